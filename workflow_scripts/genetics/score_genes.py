"""Score genes by the association of their variants; from results, genotypes and a gene table to one table a trait."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gene_scores, genes, gwas, ld, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, seeds, tables


def main(snakemake):
    """Entry point of rule ``score_genes``."""
    given, params = snakemake.input, snakemake.params
    paths = {trait: Path(path) for trait, path in zip(params.traits, given.results, strict=True)}
    variants = gene_scores.read_chi_squares(paths)
    table = genes.read_genes(given.genes, params.genes["build"], params.build)
    if params.reference:
        parts = ld.reference_parts(params.reference, params.chromosomes)
        people = tools.read_samples(next(iter(parts.values())))
    else:
        parts = {Path(path).stem: Path(path).with_suffix("") for path in given.genotypes}
        people = tools.read_ids(given.people)
    random = seeds.generator(params.seed, "score_genes")
    people = gene_scores.some(people, params.settings["people"], random)
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory() as folder:
        scored, pairs = gene_scores.score(
            parts, people, gene_scores.one_row_a_gene(table), variants, params.settings, Path(folder), limits
        )
    for trait, path in zip(params.traits, snakemake.output.scores, strict=True):
        tables.check_table(scored[trait], "gene_scores", path)
        gwas.write_gzip(scored[trait], path)
    tables.check_table(pairs, "gene_score_pairs", snakemake.output.correlation)
    gwas.write_gzip(pairs, snakemake.output.correlation)


if __name__ == "__main__":
    log.run(main, snakemake)
