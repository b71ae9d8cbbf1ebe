"""Draw genes, expression and open chromatin that fit the genotypes of the embedded study."""

import logging

import pandas as pd

from workflow_scripts.lib.genetics.bed import BIM
from workflow_scripts.lib.phantom import annotations
from workflow_scripts.lib.study import log, seeds, tables


def main(snakemake):
    """Entry point of rule ``simulate_annotations``."""
    variants = pd.read_csv(snakemake.input.variants, sep="\t", header=None, names=BIM, dtype={"chrom": str})
    loci = tables.read_table(snakemake.input.loci).astype({"chrom": str})
    random = seeds.generator(snakemake.params.seed, "annotations")
    drawn = annotations.simulate(variants, loci, random)
    annotations.write(drawn, snakemake.output.genes, snakemake.output.expression, snakemake.output.peaks)
    logging.info("%d genes, %s peaks", len(drawn.genes), {name: len(table) for name, table in drawn.peaks.items()})


if __name__ == "__main__":
    log.run(main, snakemake)
