"""Draw Manhattan and QQ plots of every gap."""

from workflow_scripts.lib.figures import manhattan, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``manhattan``."""
    points = tables.read_table(snakemake.input.points, "gwas_points")
    style.apply()
    figure = manhattan.draw(points)
    style.save(figure, points, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
