"""Draw the validation scores of all grids by each factor."""

from workflow_scripts.lib.figures import factor_boxes, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``factor_boxes``."""
    fits = factor_boxes.join(
        {
            grid: tables.read_table(path, "grid_fits")
            for grid, path in zip(snakemake.params.grids, snakemake.input.fits, strict=True)
        }
    )
    style.apply()
    figure = factor_boxes.draw(fits, snakemake.params.titles)
    style.save(figure, factor_boxes.source_table(fits), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
