"""Draw what the Grad-CAM maps of all explained cells are worth."""

import pandas as pd

from workflow_scripts.lib.figures import gradcam_measures, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``gradcam_measures``."""
    given, params = snakemake.input, snakemake.params

    def read(files: list[str], schema: str) -> pd.DataFrame:
        parts = zip(files, params.grids, strict=True)
        return pd.concat([tables.read_table(file, schema).assign(grid=grid) for file, grid in parts], ignore_index=True)

    summary = read(given.summary, "explain_summary")
    randomisation = read(given.randomisation, "explain_randomisation")
    titles = {name: entry.get("title") or name for name, entry in params.datasets.items()}
    style.apply()
    table = gradcam_measures.source_table(summary, randomisation)
    style.save(gradcam_measures.draw(table, titles), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
