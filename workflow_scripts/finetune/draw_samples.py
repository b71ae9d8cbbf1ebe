"""Labels and what every model has in; samples of the learning curves out, what pools lack, and which sizes fit."""

import logging

import pandas as pd

from workflow_scripts.lib.evaluate import curve_samples
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def main(snakemake):
    """Entry point of rule ``draw_samples``."""
    given, params = snakemake.input, snakemake.params
    labels = tables.read_table(given.tasks, "tasks")
    scans = {"included": tables.read_table(given.included, "included")["scan_id"]}
    for model, path in zip(params.linear, given.representations, strict=True):
        scans[model] = tables.read_table(path, "representation")["scan_id"]
    if params.networks:
        volumes = tables.read_table(given.volumes, "included")["scan_id"]
        scans |= dict.fromkeys(params.networks, volumes)
    pools, counts = {}, []
    for task in params.finetune["tasks"]:
        rows = labels[labels["task"] == task]
        if rows.empty:
            raise StudyError(
                f"finetune.tasks: '{task}' has no usable scan; results/cohort/task_counts.tsv says why. Leave it out."
            )
        pools[task], count = curve_samples.shared_pool(rows, scans)
        counts.append(count)
        logging.info("%s: %s", task, count.to_dict("records")[-1])
    options = {key: params.finetune[key] for key in ("sizes", "repeats", "stratify")}
    share = params.finetune["evaluation_share"]
    samples, sizes = curve_samples.draw_samples(pools, share=share, seed=params.seed, **options)
    tables.write_table(samples, snakemake.output.samples, "curve_samples")
    tables.write_table(pd.concat(counts, ignore_index=True), snakemake.output.pool, "curve_pool")
    tables.write_table(sizes, snakemake.output.sizes, "curve_sizes")


if __name__ == "__main__":
    log.run(main, snakemake)
