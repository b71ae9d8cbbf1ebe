"""Draw what the quality control of genotypes left, and the components of ancestry."""

from workflow_scripts.lib.figures import genetic_qc, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``genetic_qc``."""
    given = snakemake.input
    table = genetic_qc.tidy(
        tables.read_table(given.steps, "genotype_qc_steps"),
        tables.read_table(given.components, "genetic_pcs"),
        tables.read_table(given.eigenvalues),
    )
    style.apply()
    style.save(genetic_qc.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
