"""Whole volumes of the training scans, their labels and auxiliary features in; one trained network out."""

from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.pretrain import data, runs, volume_runs
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``pretrain_volume``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    settings = Settings.from_config(params.pretrain, "volume", method, params.seed, params.code)
    everyone = tables.read_table(given.scans, "scans")
    roles, included = (tables.read_table(given[name], name) for name in ("roles", "included"))
    scans = data.training_scans(everyone, roles, included)
    scans = scans.merge(everyone.drop(columns="participant_id"), on="scan_id", validate="one_to_one")
    scans["set"] = "train"
    if settings.method.objective == "multitask":
        scans = volume_runs.hold_out(scans, params.validation_share, params.seed, method)
    auxiliary = None
    if settings.method.guided:
        features = tables.read_table(given.features, "features")
        covered = data.covers(tables.read_table(given.assignment, "assignment"), PATCHES, features.columns)
        columns = data.select_auxiliary(features.columns[covered.any(axis=0)], settings.method.auxiliary)
        auxiliary = data.auxiliary_features(features, scans["scan_id"], columns)
    checkpoint, weights = Path(params.checkpoints) / "volume.safetensors", Path(snakemake.output.weights)
    task = (
        settings,
        params.volume,
        given.shards,
        scans,
        auxiliary,
        checkpoint,
        weights,
        Path(params.curves) / "volume",
    )
    rows = runs.run(volume_runs.train_volume, snakemake.resources.gpu, snakemake.threads, *task)
    tables.write_table(rows, snakemake.output.training, "training_log")
    tables.write_table(scans[["scan_id", "participant_id", "set"]], snakemake.output.sets, "pretraining_sets")
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    log.run(main, snakemake)
