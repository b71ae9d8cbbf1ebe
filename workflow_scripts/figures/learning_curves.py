"""Draw the learning curves of all models and tasks."""

from workflow_scripts.lib.figures import learning_curves, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``learning_curves``."""
    fits = tables.read_table(snakemake.input.fits, "curve_fits")
    summary = tables.read_table(snakemake.input.summary, "curve_summary")
    points = fits[fits["chosen"]]
    models = {model: rule.get("title") or model for model, rule in snakemake.params.models.items()}
    tasks = {task: rule.get("title", task) for task, rule in snakemake.params.tasks.items()}
    style.apply()
    figure = learning_curves.draw(points, summary, models, tasks)
    style.save(figure, learning_curves.source_table(points, summary), snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
