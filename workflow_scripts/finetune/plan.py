"""Tell people, scans, fits, jobs, hours and disk of the evaluation before any compute: on the terminal, in a file."""

from pathlib import Path

from workflow_scripts.lib.evaluate import curve_samples, plan_text
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``plan``."""
    given, params = snakemake.input, snakemake.params
    counts, labels = tables.read_table(given.task_counts, "task_counts"), tables.read_table(given.tasks, "tasks")
    finetune = params.finetune
    pools = {task: labels[labels["task"] == task] for task in finetune["tasks"]}
    options = {key: finetune[key] for key in ("sizes", "repeats", "stratify")}
    sizes = curve_samples.check_sizes(pools, share=finetune["evaluation_share"], seed=params.seed, **options)
    costs = tables.read_table(given.costs, "fit_costs") if given.get("costs") else None
    there = {name: folder_size(folder) for name, folder in params.folders.items()}
    text = plan_text.write_plan(counts, sizes, finetune, params.probe, params.representations, costs, there)
    with atomic(params.text) as temporary:
        temporary.write_text(text)
    print(text, flush=True)


def folder_size(folder):
    """Add up the files of a folder, 0 if there is none."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


if __name__ == "__main__":
    log.run(main, snakemake)
