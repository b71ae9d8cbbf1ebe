"""Samples, volumes and weights in; all fits of one chunk of repeats and the test scores of the chosen ones out."""

import shutil
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.evaluate.curve_linear import FITS, SCORES
from workflow_scripts.lib.finetune import chunk, starts
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.pretrain import runs
from workflow_scripts.lib.study import log, tables


def begin(given, params):
    """Find out where the fits start: from random weights, from a volume's network, or from patch encoders."""
    if not given.get("weights"):
        return starts.untrained(**params.network)
    files = [Path(file) for file in given.weights]
    if params.network["volume"]:
        return starts.pretrained_volume(files[0])
    folders, aggregator = files[:-1], files[-1]
    found = {file.stem: file for folder in folders for file in folder.glob("*.safetensors")}
    return starts.pretrained_patches({patch: found.get(patch, folders[0] / patch) for patch in PATCHES}, aggregator)


def main(snakemake):
    """Entry point of rule ``fit_networks``."""
    given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    device = runs.use_device(1)
    options = Options.from_config(params.fit, wildcards.model, params.seed, params.code)
    samples = tables.read_table(given.samples, "curve_samples")
    mine = samples["repeat"] // params.repeats_per_job == int(wildcards.chunk)
    samples = samples[mine & (samples["task"] == wildcards.task) & (samples["n"] == int(wildcards.n))]
    if samples.empty:  # the pool is too small for this size: draw_samples has said so
        tables.write_table(pd.DataFrame(columns=FITS), snakemake.output.fits, "curve_fits")
        tables.write_table(pd.DataFrame(columns=SCORES), snakemake.output.scores, "curve_scores")
        return
    checkpoints = Path(params.checkpoints)
    fits, scores = chunk.fit_chunk(samples, options, begin(given, params), given.shards, checkpoints, device)
    tables.write_table(fits, snakemake.output.fits, "curve_fits")
    tables.write_table(scores, snakemake.output.scores, "curve_scores")
    shutil.rmtree(checkpoints, ignore_errors=True)


if __name__ == "__main__":
    log.run(main, snakemake)
