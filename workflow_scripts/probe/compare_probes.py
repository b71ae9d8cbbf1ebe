"""Metrics by resample, mean held-out scores, summary and all tests between representations, from held-out scores."""

from workflow_scripts.lib.evaluate.collect import collect
from workflow_scripts.lib.evaluate.pairs import CompareOptions, compare_representations
from workflow_scripts.lib.evaluate.sensitivity import sensitivity
from workflow_scripts.lib.evaluate.summarise import summarise
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``compare_probes``."""
    names, seed, out = snakemake.params.representations, snakemake.params.seed, snakemake.output
    options = CompareOptions(**snakemake.params.probe)
    paths = dict(zip(names, snakemake.input.scores, strict=True))
    kinds = tables.read_table(snakemake.input.tasks, "tasks").groupby("task")["kind"].first().to_dict()
    found = collect(lambda name: tables.read_table(paths[name], "probe_scores"), names, kinds, early=True)
    tables.write_table(found.values.drop(columns="participants"), out.resamples, "probe_resamples")
    tables.write_table(found.final, out.heldout, "probe_heldout")
    tables.write_table(found.coverage, out.coverage, "probe_coverage")
    summary = summarise(found.values, found.final, options.level, options.n_bootstrap, seed)
    tables.write_table(summary, out.summary, "probe_summary")
    comparisons = compare_representations(found, options, seed)
    tables.write_table(comparisons, out.comparisons, "comparisons")
    tables.write_table(sensitivity(found, comparisons, options, seed), out.sensitivity, "probe_sensitivity")


if __name__ == "__main__":
    log.run(main, snakemake)
