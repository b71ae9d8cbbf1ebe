"""Prepare association results for LD score regression; from one table a trait to one .sumstats.gz each."""

import pandas as pd

from workflow_scripts.lib.genetics import gwas, sumstats
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``munge_sumstats``."""
    settings, counts = snakemake.params.munge, []
    snps = sumstats.read_snps(settings["snps"]) if settings["snps"] else None
    files = zip(snakemake.params.traits, snakemake.input.results, snakemake.output.munged, strict=True)
    for trait, source, target in files:
        chunks = sumstats.read_results(source)
        munged, dropped = sumstats.munge(chunks, settings["min_maf"], settings["literal"], snps)
        gwas.write_gzip(munged, target)
        counts.append(dropped.assign(trait=trait))
    columns = ["trait", "reason", "variants"]
    tables.write_table(pd.concat(counts)[columns], snakemake.output.dropped, "munge_dropped")


if __name__ == "__main__":
    log.run(main, snakemake)
