"""Draw every representation against the reference, task by task."""

from workflow_scripts.lib.figures import comparison_forest, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``comparison_forest``."""
    comparisons = tables.read_table(snakemake.input.comparisons, "comparisons")
    titles = {task: rule.get("title", task) for task, rule in snakemake.params.tasks.items()}
    probe = snakemake.params.probe
    style.apply()
    figure = comparison_forest.draw(comparisons, titles, probe["reference"], probe["level"])
    style.save(figure, comparisons, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
