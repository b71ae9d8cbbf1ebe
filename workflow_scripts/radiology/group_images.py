"""Indexed images in; which of them may not be parted out, the pairs that say so, and a page that shows them."""

from pathlib import Path

import numpy as np

from workflow_scripts.lib.figures import pairs_page
from workflow_scripts.lib.pretrain.runs import use_device
from workflow_scripts.lib.radiology import embed, groups
from workflow_scripts.lib.radiology.dataset import read_dataset
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``group_images``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    dataset = read_dataset(Path(given.images).parent, params.dataset)
    views = (
        embed.backbone_views(dataset.pixels, given.weights, use_device(snakemake.threads))
        if given.get("weights")
        else None
    )
    grey = dataset.pixels[:, 0] if dataset.pixels.shape[1] == 1 else dataset.pixels.mean(axis=1).astype(np.uint8)
    copies, checked = groups.find_copies(grey, params.grouping, views)
    found = groups.join_groups(dataset.images, copies, params.grouping["copy"])
    summary = groups.summarise(dataset.images, found, checked, dataset.name)
    for name, table in found.items():
        tables.write_table(table, getattr(made, name), f"image_{name}")
    tables.write_table(summary, made.summary, "image_group_summary")
    pairs_page.write_page(dataset.name, dataset.images, dataset.pixels, found["pairs"], summary, made.page)


if __name__ == "__main__":
    log.run(main, snakemake)
