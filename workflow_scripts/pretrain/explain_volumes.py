"""A network trained on labels and volumes of people it has not seen in; mean maps of each label's evidence out."""

import logging

import numpy as np

from workflow_scripts.lib.models.weights import load_any, refuse_seen
from workflow_scripts.lib.pretrain import runs, targets, volume_maps
from workflow_scripts.lib.pretrain.encoders import Encoder
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``explain_volumes``."""
    given, params, method = snakemake.input, snakemake.params, snakemake.wildcards.method
    device = runs.use_device(snakemake.threads)
    network, card = load_any(given.weights)
    encoder = Encoder.from_card(network, card, given.weights)
    wanted = [Target.from_config(name, rule) for name, rule in params.targets.items()]
    included = tables.read_table(given.included, "included")
    scans = tables.read_table(given.scans, "scans")
    scans = scans[scans["scan_id"].isin(included["scan_id"])].reset_index(drop=True)
    sets = tables.read_table(given.sets, "pretraining_sets")
    chosen = volume_maps.choose_scans(scans, sets, params.scans, params.seed, method)
    logging.info("%d scans: %s", len(chosen), chosen["set"].value_counts().to_dict())
    unseen = chosen.loc[chosen["set"].isin(targets.UNSEEN), "participant_id"]
    refuse_seen(card, unseen.tolist(), f"pretrain.methods.{method}")
    found = volume_maps.explain_scans(encoder, given.shards, chosen, wanted, device, params.seed, method)
    tables.write_table(
        found.table.assign(sets="+".join(sorted(chosen["set"].unique()))), snakemake.output.table, "volume_maps"
    )
    with atomic(snakemake.output.arrays) as temporary:
        np.savez_compressed(temporary, **found.arrays)


if __name__ == "__main__":
    log.run(main, snakemake)
