"""Kept classifiers of a grid in; measures of their maps, what fresh weights leave of them, and chosen cases out."""

from pathlib import Path

import numpy as np

from workflow_scripts.lib.pretrain.runs import use_device
from workflow_scripts.lib.radiology.dataset import read_dataset
from workflow_scripts.lib.radiology.explain import Options
from workflow_scripts.lib.radiology.explain_runs import explain_fits, kept_fits
from workflow_scripts.lib.radiology.explain_tables import summarise
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``explain_grid``."""
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    device = use_device(snakemake.threads)
    folders = [Path(file).parent for file in given.images]
    datasets = {folder.name: read_dataset(folder, params.datasets[folder.name]) for folder in folders}
    splits = {Path(file).stem: tables.read_table(file, "image_splits") for file in given.splits}
    options = Options.from_config(params.explain)
    found = explain_fits(kept_fits(given.weights), datasets, splits, options, params.seed, device)
    tables.write_table(found.measures, output.measures, "explain_measures")
    tables.write_table(found.randomisation, output.randomisation, "explain_randomisation")
    summary = summarise(found.measures, params.n_bootstrap, params.level, params.seed)
    tables.write_table(summary, output.summary, "explain_summary")
    tables.write_table(found.panels, output.panels, "explain_panels")
    with atomic(output.pictures) as temporary:
        np.savez_compressed(temporary, **found.pictures)


if __name__ == "__main__":
    log.run(main, snakemake)
