"""Tokens of the training scans and their auxiliary features in; the trained aggregator out."""

from pathlib import Path

from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.pretrain import data, runs, tokens
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``pretrain_image``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    settings = Settings.from_config(params.pretrain, "image", method, params.seed, params.code)
    scans = data.training_scans(*(tables.read_table(given[name], name) for name in ("scans", "roles", "included")))
    auxiliary = covered = None
    if settings.method.guided:
        features = tables.read_table(given.features, "features")
        covered = data.covers(tables.read_table(given.assignment, "assignment"), PATCHES, features.columns)
        columns = data.select_auxiliary(features.columns[covered.any(axis=0)], settings.method.auxiliary)
        covered = covered[:, features.columns.get_indexer(columns)]
        auxiliary = data.auxiliary_features(features, scans["scan_id"], columns)
    values = tokens.read_tokens(given.tokens, given.token_scans, PATCHES, scans["scan_id"])
    checkpoint, weights = Path(params.checkpoints) / "image.safetensors", Path(snakemake.output.weights)
    task = (settings, values, scans, auxiliary, covered, checkpoint, weights, Path(params.curves) / "image")
    rows = runs.run(runs.train_image, snakemake.resources.gpu, snakemake.threads, *task)
    tables.write_table(rows, snakemake.output.training, "training_log")
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    log.run(main, snakemake)
