"""Scores of the ablations in; their summary and the tests between them out."""

from workflow_scripts.lib.evaluate import summarise
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``compare_ablations``."""
    names, probe = snakemake.params.representations, snakemake.params.probe
    paths = dict(zip(names, snakemake.input.scores, strict=True))
    kinds = tables.read_table(snakemake.input.tasks, "tasks").groupby("task")["kind"].first().to_dict()
    values, pool = summarise.collect(lambda name: tables.read_table(paths[name], "probe_scores"), names, kinds)
    tables.write_table(summarise.summarise(values, pool, probe["level"]), snakemake.output.summary, "probe_summary")
    comparisons = summarise.compare_representations(values, pool, probe, snakemake.params.seed)
    tables.write_table(comparisons, snakemake.output.comparisons, "comparisons")


if __name__ == "__main__":
    log.run(main, snakemake)
