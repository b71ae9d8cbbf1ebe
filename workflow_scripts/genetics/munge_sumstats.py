"""Prepare association results for LD score regression; from one table a representation to one .sumstats.gz each."""

import pandas as pd

from workflow_scripts.lib.genetics import gwas, sumstats
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``munge_sumstats``."""
    counts = []
    files = zip(snakemake.params.representations, snakemake.input.results, snakemake.output.munged, strict=True)
    for representation, source, target in files:
        results = tables.read_table(source, "gwas")
        munged, dropped = sumstats.munge(results, snakemake.params.munge["min_maf"])
        gwas.write_gzip(munged, target)
        counts.append(dropped.assign(representation=representation))
    columns = ["representation", "reason", "variants"]
    tables.write_table(pd.concat(counts)[columns], snakemake.output.dropped, "munge_dropped")


if __name__ == "__main__":
    log.run(main, snakemake)
