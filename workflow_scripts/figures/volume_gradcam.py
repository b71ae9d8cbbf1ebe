"""Draw the mean Grad-CAM maps of a network that was trained on labels."""

import numpy as np

from workflow_scripts.lib.figures import style, volume_gradcam
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``volume_gradcam``."""
    table = tables.read_table(snakemake.input.table, "volume_maps")
    with np.load(snakemake.input.arrays, allow_pickle=False) as stored:
        arrays = dict(stored)
    style.apply()
    figure = volume_gradcam.draw(table, arrays, snakemake.wildcards.method)
    style.save(figure, table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
