"""Score the held-out scans of every task and resample, from one representation."""

from workflow_scripts.lib.cohort.tasks import count_tasks, keep_used
from workflow_scripts.lib.evaluate.probe import ProbeOptions, run_tasks
from workflow_scripts.lib.study import log, tables

OPTIONS = ("n_resamples", "n_test", "test_fraction", "stratify", "c", "alpha")


def main(snakemake):
    """Entry point of rule ``probe_representation``."""
    probe = snakemake.params.probe
    tasks = tables.read_table(snakemake.input.tasks, "tasks")
    included = tables.read_table(snakemake.input.included, "included")
    tasks = tasks[tasks["scan_id"].isin(included["scan_id"])]
    # a task may have become too small by scans that failed quality control
    kinds = {name: {"kind": kind} for name, kind in tasks.groupby("task", sort=False)["kind"].first().items()}
    tasks = keep_used(tasks, count_tasks(tasks, kinds, probe["min_participants"]))
    representation = tables.read_table(snakemake.input.representation, "representation")
    options = ProbeOptions(**{key: probe[key] for key in OPTIONS})
    scores = run_tasks(representation, tasks, options, snakemake.params.seed)
    scores.insert(1, "representation", snakemake.wildcards.representation)
    tables.write_table(scores, snakemake.output.scores, "probe_scores")


if __name__ == "__main__":
    log.run(main, snakemake)
