"""Draw how well labels are predicted in validation, in new people and in new cohorts."""

import pandas as pd

from workflow_scripts.lib.figures import external_tests, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``external_tests``."""
    params = snakemake.params
    parts = [
        tables.read_table(path, "target_metrics").assign(method=method)
        for method, path in zip(params.methods, snakemake.input.metrics, strict=True)
    ]
    metrics = pd.concat(parts, ignore_index=True)
    style.apply()
    figure = external_tests.draw(metrics, params.level, params.published)
    style.save(figure, metrics, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
