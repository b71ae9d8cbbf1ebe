"""Draw the ROC curves of the selected models of all grids, and their AUCs with intervals."""

from workflow_scripts.lib.figures import roc_curves, style
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``roc_curves``."""
    given, grids = snakemake.input, snakemake.params.grids
    roc, intervals = (
        join({grid: tables.read_table(path, f"grid_{name}") for grid, path in zip(grids, paths, strict=True)})
        for name, paths in (("roc", given.roc), ("intervals", given.intervals))
    )
    style.apply()
    figure = roc_curves.draw(roc, intervals, snakemake.params.titles)
    style.save(figure, roc_curves.source_table(roc, intervals), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
