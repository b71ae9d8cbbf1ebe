"""Draw predicted against true age for every representation."""

from workflow_scripts.lib.figures import brainage_scatter, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``brainage_scatter``."""
    gaps = tables.read_table(snakemake.input.gaps, "gaps")
    metrics = tables.read_table(snakemake.input.metrics, "brainage_metrics")
    style.apply()
    figure = brainage_scatter.draw(gaps, metrics)
    style.save(figure, gaps, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
