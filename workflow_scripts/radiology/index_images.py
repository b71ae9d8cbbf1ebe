"""A table or folder of pictures in; their pixels and masks as arrays, their table, what was dropped, and counts out."""

import logging

import numpy as np

from workflow_scripts.lib.radiology.index import index_images
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``index_images``."""
    params, made = snakemake.params, snakemake.output
    index = index_images(snakemake.wildcards.dataset, params.dataset, params.options)
    logging.info("images: %d, dropped: %d", len(index.images), len(index.dropped))
    tables.write_table(index.images, made.images, "image_index")
    tables.write_table(index.dropped, made.dropped, "image_dropped")
    tables.write_table(index.counts, made.counts, "image_counts")
    for path, array in ((made.pixels, index.pixels), (made.masks, index.masks)):
        with atomic(path) as temporary:
            np.save(temporary, array)


if __name__ == "__main__":
    log.run(main, snakemake)
