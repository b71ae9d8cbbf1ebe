"""Images and their groups in; numbered splits that keep groups whole, and others drawn image by image, out."""

from workflow_scripts.lib.radiology import splits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``draw_splits``."""
    images = tables.read_table(snakemake.input.images, "image_index")
    groups = tables.read_table(snakemake.input.groups, "image_groups")
    params, dataset = snakemake.params, snakemake.wildcards.dataset
    drawn = splits.draw_splits(images, groups, params.splits, params.seed, dataset)
    tables.write_table(drawn, snakemake.output.splits, "image_splits")


if __name__ == "__main__":
    log.run(main, snakemake)
