"""Draw how often images are positive against the probability that the selected models give them."""

from workflow_scripts.lib.figures import image_calibration, style
from workflow_scripts.lib.figures.factor_boxes import join
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``image_calibration``."""
    calibration = join(
        {
            grid: tables.read_table(path, "grid_calibration")
            for grid, path in zip(snakemake.params.grids, snakemake.input.calibration, strict=True)
        }
    )
    style.apply()
    figure = image_calibration.draw(calibration, snakemake.params.titles)
    style.save(figure, image_calibration.source_table(calibration), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
