"""Images of a source dataset and their split in; a backbone trained on their classes, its card and its log out."""

from pathlib import Path

from workflow_scripts.lib.pretrain import runs
from workflow_scripts.lib.radiology import augment
from workflow_scripts.lib.radiology.dataset import read_dataset
from workflow_scripts.lib.radiology.sources import Source, train_backbone
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``pretrain_backbone``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    device = runs.use_device(snakemake.threads)
    data = read_dataset(Path(given.images).parent, params.dataset)
    splits = tables.read_table(given.splits, "image_splits")
    source = Source(
        weights=snakemake.wildcards.weights,
        backbone=snakemake.wildcards.backbone,
        entry=params.entry,
        sizes=params.backbone,
        moves=augment.from_config(params.augmentation),
        seed=params.seed,
        code=params.code,
    )
    checkpoint = Path(params.checkpoint)
    rows = train_backbone(source, data, splits, checkpoint, Path(made.weights), device)
    tables.write_table(rows, made.rows)
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    log.run(main, snakemake)
