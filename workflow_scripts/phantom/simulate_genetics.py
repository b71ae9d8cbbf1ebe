"""Simulate the genetics study: genotypes, a reference panel, traits, annotations and the truth about all of it."""

import logging

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.phantom import annotations, genetics
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``simulate_genetics``."""
    study = genetics.simulate(snakemake.params.genetics, snakemake.params.seed)
    out = snakemake.output
    bed.write_bed(study.genotypes, out.bed.removesuffix(".bed"))
    bed.write_bed(study.reference, out.reference_bed.removesuffix(".bed"))
    tables.write_table(study.traits, out.traits)
    tables.write_table(study.catalogue, out.catalogue)
    annotations.write(study.annotations, out.genes, out.expression, out.peaks)
    for name, table in study.truth.items():
        tables.write_table(table, out[f"truth_{name}"])
    logging.info("%d variants of %d people", *study.genotypes.calls.shape)


if __name__ == "__main__":
    log.run(main, snakemake)
