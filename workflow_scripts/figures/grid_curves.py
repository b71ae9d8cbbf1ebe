"""Draw the learning curves of the selected models of all grids."""

from workflow_scripts.lib.figures import grid_curves, style
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``grid_curves``."""
    given = snakemake.input
    parts = {}
    for grid, curves, selection in zip(snakemake.params.grids, given.curves, given.selection, strict=True):
        chosen = tables.read_table(selection, "grid_selection")
        parts[grid] = grid_curves.selected(tables.read_table(curves, "grid_curves"), chosen)
    table = join(parts)
    style.apply()
    figure = grid_curves.draw(table, snakemake.params.titles)
    style.save(figure, grid_curves.source_table(table), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
