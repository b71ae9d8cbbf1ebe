"""Fits and scores of a grid in; mixed models, tests, intervals and curves of it out."""

from workflow_scripts.lib.evaluate import grid_report
from workflow_scripts.lib.radiology import cells
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``compare_grid``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    fits = tables.read_table(given.fits, "grid_fits")
    scores = tables.read_table(given.scores, "grid_scores")
    selection = tables.read_table(given.selection, "grid_selection")
    images = {}
    for dataset, index, splits in zip(params.datasets, given.images, given.splits, strict=True):
        tested = tables.read_table(index, "image_index"), tables.read_table(splits, "image_splits")
        images[dataset] = grid_report.describe_images(*tested, dataset)
    found = grid_report.compare(
        fits,
        scores,
        selection,
        images,
        params.datasets,
        list(cells.KEYS),
        params.statistics,
        params.seed,
    )
    for name, table in found.items():
        tables.write_table(table, getattr(made, name), f"grid_{name}")


if __name__ == "__main__":
    log.run(main, snakemake)
