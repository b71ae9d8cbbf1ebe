"""Say which locations carry a method's predictions: scores without each of them, and attention to each of them."""

import pandas as pd

from workflow_scripts.lib.evaluate.importance import ImportanceOptions, rank_tasks
from workflow_scripts.lib.evaluate.probe import ProbeOptions
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.pretrain import runs, tokens
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def main(snakemake):
    """Entry point of rule ``rank_regions``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    device = runs.use_device(snakemake.threads)
    tasks, scores = tables.read_table(given.tasks, "tasks"), tables.read_table(given.scores, "probe_scores")
    included = tables.read_table(given.included, "included")["scan_id"]
    tasks = tasks[tasks["task"].isin(params.interpret["tasks"]) & tasks["scan_id"].isin(included)]
    scans = sorted(tasks["scan_id"].unique())
    if not scans:
        named = ", ".join(params.interpret["tasks"])
        raise StudyError(f"no scan has a label of the tasks {named}. Name others in interpret: tasks.")
    values = tokens.read_tokens(given.tokens, given.token_scans, PATCHES, scans)
    aggregator = Aggregator(len(PATCHES), params.representation).to(device)
    weights.load_weights(aggregator, given.weights)

    def embed(without=None):
        return tokens.embed(aggregator, values, device, method, without).set_axis(scans)

    probe = ProbeOptions(**params.probe, n_resamples=params.interpret["n_resamples"])
    options = ImportanceOptions(probe, params.interpret["reading"], params.continuous_metric, params.interpret["level"])
    without = {patch: embed(place) for place, patch in enumerate(PATCHES)}
    ranked = rank_tasks(embed(), without, tasks, scores, options)
    attention, rollout = tokens.attend(aggregator, values, device)
    seen = pd.DataFrame({"location": PATCHES, "attention": attention.mean(0), "rollout": rollout.mean(0)})
    tables.write_table(ranked.merge(seen, on="location"), snakemake.output.ranked, "region_importance")


if __name__ == "__main__":
    log.run(main, snakemake)
