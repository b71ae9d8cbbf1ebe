"""Draw how much of the regional features each representation explains, and the other way round."""

from workflow_scripts.lib.figures import style, variance_explained
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``variance_explained``."""
    explained = tables.read_table(snakemake.input.explained, "explained")
    style.apply()
    figure = variance_explained.draw(explained, snakemake.params.level)
    style.save(figure, explained, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
