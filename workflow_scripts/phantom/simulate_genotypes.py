"""Simulate the genotypes of the phantom study from its people, with the truth about loci, people and faults."""

import logging

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.phantom import genotypes
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``simulate_genotypes``."""
    people = tables.read_table(snakemake.input.people).astype({"participant_id": str})
    people = people.drop_duplicates("participant_id")
    phantom = genotypes.simulate(people, snakemake.params.genotypes, snakemake.params.seed)
    bed.write_bed(phantom.genotypes, snakemake.output.bed.removesuffix(".bed"))
    tables.write_table(phantom.loci, snakemake.output.loci)
    tables.write_table(phantom.people, snakemake.output.people)
    tables.write_table(phantom.variants, snakemake.output.variants)
    logging.info("%d variants of %d people", *phantom.genotypes.calls.shape)


if __name__ == "__main__":
    log.run(main, snakemake)
