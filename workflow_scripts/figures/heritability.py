"""Draw heritabilities and genetic correlations of the traits by two methods."""

from workflow_scripts.lib.figures import heritability, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``heritability``."""
    given = snakemake.input
    table = heritability.gather(
        tables.read_table(given.greml_h2, "greml_heritability"),
        tables.read_table(given.greml_rg, "greml_correlation"),
        tables.read_table(given.ldsc_h2, "ldsc_heritability"),
        tables.read_table(given.ldsc_rg, "ldsc_correlation"),
    )
    style.apply()
    style.save(heritability.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
