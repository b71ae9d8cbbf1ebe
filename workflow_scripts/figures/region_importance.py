"""Draw which locations carry the predictions of every method that reads patches."""

import pandas as pd

from workflow_scripts.lib.figures import region_importance, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``region_importance``."""
    params = snakemake.params
    ranked = {
        method: tables.read_table(path, "region_importance")
        for method, path in zip(params.methods, snakemake.input.ranked, strict=True)
    }
    table = pd.concat(ranked, names=["representation"]).reset_index("representation")
    titles = {task: rule.get("title", task) for task, rule in params.tasks.items()}
    style.apply()
    figure = region_importance.draw(table, titles, params.level)
    style.save(figure, table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
