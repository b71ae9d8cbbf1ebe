"""Patch store, auxiliary features and roles in; one trained patch encoder for each location of a chunk out."""

import logging
from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.pretrain import data, runs
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``pretrain_patches``."""
    given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    settings = Settings.from_config(params.pretrain, "patch", wildcards.method, params.seed, params.code)
    scans = data.training_scans(*(tables.read_table(given[name], name) for name in ("scans", "roles", "included")))
    features = tables.read_table(given.features, "features")
    assignment = tables.read_table(given.assignment, "assignment")
    covered = data.covers(assignment, PATCHES, features.columns)
    guides = set(data.select_auxiliary(features.columns[covered.any(axis=0)], settings.method.auxiliary))

    output, checkpoints = Path(snakemake.output.weights), Path(params.checkpoints)
    output.mkdir(parents=True, exist_ok=True)
    members = runs.chunk_members(PATCHES, wildcards.chunk, params.patches_per_job)
    for patch in members:
        columns = [name for name in features.columns[covered[PATCHES.index(patch)]] if name in guides]
        auxiliary = None
        if settings.method.guided and columns:
            auxiliary = data.auxiliary_features(features, scans["scan_id"], columns)
        elif settings.method.guided:
            logging.warning("%s has no auxiliary feature of this kind: the contrastive term alone trains it", patch)
        checkpoint, weights = checkpoints / f"{patch}.safetensors", output / f"{patch}.safetensors"
        task = (settings, patch, given.shards, scans, auxiliary, checkpoint, weights, Path(params.curves) / patch)
        rows = runs.run(runs.train_patch, snakemake.resources.gpu, snakemake.threads, *task)
        tables.write_table(rows, output / f"{patch}.tsv", "training_log")
    # not before all are done: if this job is killed, those that are finished cost nothing the next time
    for patch in members:
        (checkpoints / f"{patch}.safetensors").unlink(missing_ok=True)


if __name__ == "__main__":
    log.run(main, snakemake)
