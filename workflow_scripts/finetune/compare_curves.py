"""All fits of all models in; one table of them, their summary, the tests between models and a text of results out."""

import pandas as pd

from workflow_scripts.lib.evaluate import curve_summary, curve_text
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``compare_curves``."""
    given, params, made = snakemake.input, snakemake.params, snakemake.output
    samples = tables.read_table(given.samples, "curve_samples")
    pool, sizes = tables.read_table(given.pool, "curve_pool"), tables.read_table(given.sizes, "curve_sizes")
    people = pool[pool["source"] == "pool"].set_index("task")["participants"].to_dict()
    fits = curve_summary.join_fits([tables.read_table(path, "curve_fits") for path in given.fits])
    parts = [tables.read_table(path, "curve_scores") for path in given.scores]
    scores = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    aucs = curve_summary.chosen_aucs(fits)
    summary = curve_summary.summarise_curves(aucs, samples, people, params.options["level"])
    comparisons = curve_summary.compare_models(aucs, scores, samples, people, params.options, params.seed)
    tables.write_table(fits, made.fits, "curve_fits")
    tables.write_table(scores, made.scores, "curve_scores")
    tables.write_table(summary, made.summary, "curve_summary")
    tables.write_table(comparisons, made.comparisons, "curve_comparisons")
    tasks = {task: rule.get("title", task) for task, rule in params.tasks.items()}
    models = {model: rule.get("title") or model for model, rule in params.models.items()}
    text = curve_text.write_results(summary, comparisons, sizes, models, tasks)
    for path, content in ((made.results, text), (made.page, curve_text.as_page(text))):
        with atomic(path) as temporary:
            temporary.write_text(content)


if __name__ == "__main__":
    log.run(main, snakemake)
