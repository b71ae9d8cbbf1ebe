"""Test which cell types express the associated genes; from gene scores and expression to a table of cell types."""

from workflow_scripts.lib.genetics import expression
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``enrich_cell_types``."""
    given, params = snakemake.input, snakemake.params
    data_sets = expression.name_tables(params.expression["table"])
    if data_sets and params.genes["table"]:
        files = zip(params.traits, given.scores, strict=True)
        scores = {trait: tables.read_table(path, "gene_scores") for trait, path in files}
        pairs = tables.read_table(given.correlation, "gene_score_pairs")
        data_sets = {name: expression.read_expression(path) for name, path in data_sets.items()}
        found, counts = expression.enrich(scores, pairs, data_sets)
    else:
        found, counts = expression.nothing(params.traits, expression.NO_TABLE if not data_sets else expression.NO_GENES)
    tables.write_table(found, snakemake.output.cell_types, "expression_cell_types")
    tables.write_table(counts, snakemake.output.counts, "expression_counts")


if __name__ == "__main__":
    log.run(main, snakemake)
