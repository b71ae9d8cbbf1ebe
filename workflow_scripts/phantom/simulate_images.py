"""Simulate one set of 2D images with its table, pictures and planted truth."""

import logging
from pathlib import Path

from workflow_scripts.lib.phantom import images
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``simulate_images``."""
    made = images.simulate(snakemake.wildcards.images, snakemake.params.images, snakemake.params.seed)
    images.write(made, Path(snakemake.output.images).parent, snakemake.output.truth)
    labels = made.images["label"].value_counts().to_dict()
    copied = int(made.truth["original"].notna().sum())
    logging.info("%d images, labels %s, %d of them copies", len(made.images), labels, copied)


if __name__ == "__main__":
    log.run(main, snakemake)
