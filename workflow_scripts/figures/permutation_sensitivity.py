"""Draw p-values against the number of resamples."""

from workflow_scripts.lib.figures import permutation_sensitivity, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``permutation_sensitivity``."""
    sensitivity = tables.read_table(snakemake.input.sensitivity, "probe_sensitivity")
    titles = {task: rule.get("title", task) for task, rule in snakemake.params.tasks.items()}
    style.apply()
    figure = permutation_sensitivity.draw(sensitivity, titles, snakemake.params.reference)
    style.save(figure, sensitivity, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
