"""Fit a linear model on a representation to every sample of the learning curves."""

from workflow_scripts.lib.evaluate import curve_linear
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``fit_linear``."""
    representation = tables.read_table(snakemake.input.representation, "representation")
    samples = tables.read_table(snakemake.input.samples, "curve_samples")
    penalties = snakemake.params.linear["c"]
    fits, scores = curve_linear.fit_linear(representation, samples, penalties, snakemake.wildcards.model)
    tables.write_table(fits, snakemake.output.fits, "curve_fits")
    tables.write_table(scores, snakemake.output.scores, "curve_scores")


if __name__ == "__main__":
    log.run(main, snakemake)
