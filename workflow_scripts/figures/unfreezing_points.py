"""Draw AUCs against how much of the backbone learns."""

from workflow_scripts.lib.figures import style, unfreezing_points
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``unfreezing_points``."""
    fits = join(
        {
            grid: tables.read_table(path, "grid_fits")
            for grid, path in zip(snakemake.params.grids, snakemake.input.fits, strict=True)
        }
    )
    style.apply()
    figure = unfreezing_points.draw(fits, snakemake.params.titles)
    style.save(figure, unfreezing_points.source_table(fits), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
