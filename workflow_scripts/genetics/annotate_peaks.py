"""Intersect variants with open chromatin of cell types; from association results and BED files to overlaps."""

import logging

import pandas as pd

from workflow_scripts.lib.genetics import loci, locus_tables, peaks
from workflow_scripts.lib.study import log, tables

LOGGER = logging.getLogger(__name__)


def main(snakemake):
    """Entry point of rule ``annotate_peaks``."""
    given, params = snakemake.input, snakemake.params
    table = peaks.read_peaks(params.peaks["folder"], params.peaks["build"], params.build)
    found = tables.read_table(given.loci, "loci")
    overlaps, summaries = [], []
    for trait, path in zip(params.traits, given.results, strict=True):
        tested = loci.read_tested(path, ["chrom", "pos", "id", "p"])
        low = tested[tested["p"] < params.peaks["p"]]
        overlaps.append(peaks.overlaps(low, table, found[found["trait"] == trait]).assign(trait=trait))
        summaries.append(peaks.summarise(tested, table, params.peaks["p"], params.loci["p"]).assign(trait=trait))
    LOGGER.info(peaks.NO_EVIDENCE)
    held, summary = pd.concat(overlaps, ignore_index=True), pd.concat(summaries, ignore_index=True)
    locus_tables.write(held[["trait", *peaks.OVERLAPS]], snakemake.output.overlaps, "peak_overlaps")
    summary.insert(0, "trait", summary.pop("trait"))
    tables.write_table(summary, snakemake.output.summary, "peak_summary")
    shown = locus_tables.strongest(found, params.loci["shown"], params.loci["flank_kb"])
    regions = locus_tables.peaks_shown(shown, table, held, params.loci["p"])
    locus_tables.write(regions, snakemake.output.regions, "locus_regions")


if __name__ == "__main__":
    log.run(main, snakemake)
