"""Images, splits and weights in; all fits of one job of a grid, the scores of each and its learning curve out."""

import shutil
from pathlib import Path

from workflow_scripts.lib.pretrain import runs
from workflow_scripts.lib.radiology import augment, cells, fits
from workflow_scripts.lib.radiology.dataset import read_dataset
from workflow_scripts.lib.radiology.job import Job, Options
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``fit_cells``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    device = runs.use_device(snakemake.threads)
    needed = cells.needs(params.cells)
    names = needed["datasets"]
    images = {
        name: read_dataset(Path(table).parent, params.datasets[name])
        for name, table in zip(names, given.images, strict=True)
    }
    splits = {name: tables.read_table(path, "image_splits") for name, path in zip(names, given.splits, strict=True)}
    backbones = dict(zip(needed["backbones"], given.weights, strict=True))
    options = Options(
        grid=params.grid,
        seed=params.seed,
        moves=augment.from_config(params.augmentation),
        keep_weights=params.keep_weights,
        cache_mb=params.cache_mb,
        code=params.code,
    )
    job = Job(options, images, splits, backbones, params.checkpoints, device)
    fitted, scores, curves, files = fits.fit_cells(job, params.cells, params.splits, params.seeds)
    tables.write_table(fitted, made.fits, "grid_fits")
    tables.write_table(scores, made.scores, "grid_scores")
    tables.write_table(curves, made.curves, "grid_curves")
    fits.publish(files, made.weights)
    shutil.rmtree(params.checkpoints, ignore_errors=True)


if __name__ == "__main__":
    log.run(main, snakemake)
