"""Draw in which cell types' open chromatin heritability is enriched."""

from workflow_scripts.lib.figures import ldsc_cell_types, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``ldsc_cell_types``."""
    table = tables.read_table(snakemake.input.cell_types, "ldsc_cell_types")
    style.apply()
    figure = ldsc_cell_types.draw(table, snakemake.params.fdr)
    style.save(figure, table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
