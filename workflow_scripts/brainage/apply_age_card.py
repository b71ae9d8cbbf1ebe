"""Brain-age gaps of all scans by the card of a model that was trained elsewhere, or in this study before."""

from workflow_scripts.lib.brainage import cards, describe, sample
from workflow_scripts.lib.brainage.gaps import is_healthy
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``apply_age_card``."""
    path = str(snakemake.input.card)
    card = cards.read_card(path)
    representation = tables.read_table(snakemake.input.representation, "representation")
    scans = tables.read_table(snakemake.input.scans, "scans")
    included = tables.read_table(snakemake.input.included, "included")
    scans = scans[scans["scan_id"].isin(included["scan_id"])]
    applied = cards.apply_card(card, representation, scans)
    first = sample.first_sessions(scans[scans["scan_id"].isin(applied["scan_id"])])
    applied.insert(5, "first", applied["scan_id"].isin(first["scan_id"]))
    cards.warn_of(card, applied, path)
    tables.write_table(applied, snakemake.output.gaps, "applied_gaps")
    healthy = set(first.loc[is_healthy(first["diagnosis"]), "scan_id"])
    # people whom the model has seen say nothing of its accuracy
    unseen = applied[applied["first"] & (applied["role"] == "test")]
    metrics = describe.describe(unseen, healthy, card["n_train"])
    metrics = metrics[metrics["sample"] != "train_out_of_fold"]
    tables.write_table(metrics, snakemake.output.metrics, "brainage_metrics")


if __name__ == "__main__":
    log.run(main, snakemake)
