"""Compute LD scores by annotation; from the genotypes of a panel and peaks of cell types to LDSC's files."""

import tempfile
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import genotypes, peaks, sumstats
from workflow_scripts.lib.genetics.ldsc import annotations, panel
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``make_ld_scores``."""
    params, given = snakemake.params, snakemake.input
    settings, part = params.ldsc, snakemake.wildcards.part
    own = str(Path(given.genotypes[0]).with_suffix(""))
    variants = genotypes.read_variants(own, alleles=True) if params.reference else None
    keep = None if params.reference else Path(given.people)
    printed = set(sumstats.read_snps(params.snps)["SNP"]) if params.snps else None
    cells = params.peaks if params.peaks and params.peaks["folder"] else None
    intervals = peaks.read_peaks(cells["folder"], cells["build"], params.build) if cells else None
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    out, rows = Path(snakemake.output.scores), []
    for name, prefix in panel.part_files(params.reference or own, part, params.chromosomes).items():
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            panel.choose_people(prefix, keep, settings["people"], params.seed, work / "people.txt")
            chosen = params.chromosomes if name == panel.ALL else [name]
            panel.export(prefix, chosen, work / "people.txt", work / "panel", limits, variants is not None)
            for chromosome in panel.read_chromosomes(work / "panel"):
                if variants is not None:
                    chromosome = panel.rename(chromosome, variants, str(prefix))
                rows.append(annotations.score(chromosome, settings, intervals, printed, out))
    tables.write_table(pd.concat(rows), out / "annotations.tsv", "ld_scores")


if __name__ == "__main__":
    log.run(main, snakemake)
