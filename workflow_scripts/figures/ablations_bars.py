"""Draw the scores of the ablations on every task."""

from workflow_scripts.lib.figures import biomarker_bars, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``ablations_bars``."""
    summary = tables.read_table(snakemake.input.summary, "probe_summary")
    metrics = ("auc", snakemake.params.probe["continuous_metric"])
    summary = summary[summary["metric"].isin(metrics)]
    titles = {task: rule.get("title", task) for task, rule in snakemake.params.tasks.items()}
    style.apply()
    figure = biomarker_bars.draw(summary, titles, snakemake.params.probe["level"])
    style.save(figure, summary, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
