"""Scores of the ablations in; their summary and the tests between them out."""

from workflow_scripts.lib.evaluate.collect import collect
from workflow_scripts.lib.evaluate.pairs import CompareOptions, compare_representations
from workflow_scripts.lib.evaluate.summarise import summarise
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``compare_ablations``."""
    names, seed, out = snakemake.params.representations, snakemake.params.seed, snakemake.output
    options = CompareOptions(**snakemake.params.probe)
    paths = dict(zip(names, snakemake.input.scores, strict=True))
    kinds = tables.read_table(snakemake.input.tasks, "tasks").groupby("task")["kind"].first().to_dict()
    found = collect(lambda name: tables.read_table(paths[name], "probe_scores"), names, kinds)
    tables.write_table(found.coverage, out.coverage, "probe_coverage")
    summary = summarise(found.values, found.final, options.level, options.n_bootstrap, seed)
    tables.write_table(summary, out.summary, "probe_summary")
    tables.write_table(compare_representations(found, options, seed), out.comparisons, "comparisons")


if __name__ == "__main__":
    log.run(main, snakemake)
