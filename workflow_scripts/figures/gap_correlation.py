"""Draw the correlations of the gaps."""

from workflow_scripts.lib.figures import gap_correlation, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``gap_correlation``."""
    correlations = tables.read_table(snakemake.input.correlations, "gap_correlations")
    style.apply()
    figure = gap_correlation.draw(correlations, level=snakemake.params.level)
    style.save(figure, correlations, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
