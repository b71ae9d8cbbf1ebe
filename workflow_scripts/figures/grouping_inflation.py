"""Draw the test AUC with groups kept whole and with groups parted."""

import pandas as pd

from workflow_scripts.lib.figures import grouping_inflation, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``grouping_inflation``."""
    params = snakemake.params
    parts = [
        tables.read_table(path, "grid_grouping").assign(grid=grid)
        for grid, path in zip(params.grids, snakemake.input.grouping, strict=True)
    ]
    table = grouping_inflation.source_table(pd.concat([part for part in parts if len(part)] or parts))
    style.apply()
    figure = grouping_inflation.draw(table, params.grids, params.datasets)
    style.save(figure, table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
