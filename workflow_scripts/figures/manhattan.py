"""Draw Manhattan and QQ plots of every trait."""

from workflow_scripts.lib.figures import manhattan, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``manhattan``."""
    given = snakemake.input
    points = tables.read_table(given.points, "gwas_points")
    # find_loci and run_ldsc are inputs only where the study has them
    loci, ldsc = (tables.read_table(path) if path else None for path in (given.loci, given.ldsc))
    style.apply()
    figure = manhattan.draw(points, loci, ldsc)
    style.save(figure, points, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
