"""A network trained on labels and the volumes of all usable scans in; predictions and scores by set and cohort out."""

from workflow_scripts.lib.models.weights import load_any, refuse_seen
from workflow_scripts.lib.pretrain import runs, targets
from workflow_scripts.lib.pretrain.encoders import Encoder
from workflow_scripts.lib.pretrain.intervals import Bootstrap
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``predict_targets``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    device = runs.use_device(snakemake.threads)
    network, card = load_any(given.weights)
    encoder = Encoder.from_card(network, card, given.weights)
    wanted = [Target.from_config(name, rule) for name, rule in params.targets.items()]
    included = tables.read_table(given.included, "included")
    scans = tables.read_table(given.scans, "scans")
    scans = scans[scans["scan_id"].isin(included["scan_id"])].sort_values("scan_id", ignore_index=True)
    sets = tables.read_table(given.sets, "pretraining_sets")
    predictions = targets.predict_scans(encoder, given.shards, scans, sets, wanted, card["statistics"], device)
    # the weights say themselves whom they have seen, whatever the table of sets says
    unseen = predictions.loc[predictions["set"].isin(targets.UNSEEN), "participant_id"].unique()
    refuse_seen(card, unseen.tolist(), f"pretrain.methods.{method}")
    tables.write_table(predictions, snakemake.output.predictions, "target_predictions")
    bootstrap = Bootstrap(params.seed, params.n_bootstrap, params.level)
    metrics = targets.score_sets(predictions, wanted, card["statistics"], bootstrap, method)
    tables.write_table(metrics, snakemake.output.metrics, "target_metrics")


if __name__ == "__main__":
    log.run(main, snakemake)
