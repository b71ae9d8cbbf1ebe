"""Join the association results of all parts; to one table a trait, a summary, and points for the figure."""

import pandas as pd

from workflow_scripts.lib.genetics import gwas, points, results
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``merge_gwas``."""
    given, params = snakemake.input, snakemake.params
    threshold, suggestive = params.gwas["threshold"], params.gwas["suggestive"]
    summary, shown = [], []
    for number, (trait, target) in enumerate(zip(params.traits, snakemake.output.results, strict=True)):
        # inputs are listed by part, then by trait
        light = results.merge(list(given.results)[number :: len(params.traits)], target)
        summary.append(results.summarise(trait, light, threshold))
        shown.append(points.plot_points(trait, light, threshold, suggestive))
    gwas.write_results(pd.concat(shown, ignore_index=True), snakemake.output.points, "gwas_points")
    tables.write_table(pd.DataFrame(summary), snakemake.output.summary, "gwas_summary")
    entered = results.merge_entered([tables.read_table(path, "entered") for path in given.entered])
    tables.write_table(entered, snakemake.output.entered, "entered")


if __name__ == "__main__":
    log.run(main, snakemake)
