"""Draw which cell types express the associated genes."""

from workflow_scripts.lib.figures import cell_type_enrichment, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``cell_type_enrichment``."""
    table = tables.read_table(snakemake.input.cell_types, "expression_cell_types")
    counts = tables.read_table(snakemake.input.counts, "expression_counts")
    style.apply()
    figure = cell_type_enrichment.draw(table, counts)
    style.save(figure, table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
