"""Draw the calibration of predicted ages and the gap by age group."""

from workflow_scripts.lib.figures import brainage_calibration, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``brainage_calibration``."""
    bias = tables.read_table(snakemake.input.age_bias, "age_bias")
    metrics = tables.read_table(snakemake.input.metrics, "brainage_metrics")
    style.apply()
    figure = brainage_calibration.draw(bias, metrics)
    style.save(figure, bias, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
