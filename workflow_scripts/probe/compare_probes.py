"""Metrics by resample, their summary and the tests between representations, from all held-out scores."""

from workflow_scripts.lib.evaluate import summarise
from workflow_scripts.lib.evaluate.sensitivity import sensitivity
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``compare_probes``."""
    names, probe, seed = snakemake.params.representations, snakemake.params.probe, snakemake.params.seed
    paths = dict(zip(names, snakemake.input.scores, strict=True))
    tasks = tables.read_table(snakemake.input.tasks, "tasks")
    kinds = tasks.groupby("task")["kind"].first().to_dict()

    def read(name):
        return tables.read_table(paths[name], "probe_scores")

    values, pool = summarise.collect(read, names, kinds)
    tables.write_table(values.drop(columns="participants"), snakemake.output.resamples, "probe_resamples")
    tables.write_table(summarise.summarise(values, pool, probe["level"]), snakemake.output.summary, "probe_summary")
    comparisons = summarise.compare_representations(values, pool, probe, seed)
    tables.write_table(comparisons, snakemake.output.comparisons, "comparisons")
    by_number = sensitivity(values, pool, probe, seed)
    tables.write_table(by_number, snakemake.output.sensitivity, "probe_sensitivity")


if __name__ == "__main__":
    log.run(main, snakemake)
