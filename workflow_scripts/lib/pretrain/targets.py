"""Predicted labels of every scan, scored on the sets of a pretraining and on cohorts that it has never seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.imaging.contract import check_same
from workflow_scripts.lib.pretrain import multitask
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.encoders import Encoder
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.pretrain.volumes import predict

EVERYONE = "all"


def predict_scans(
    encoder: Encoder,
    shards: Sequence[str | Path],
    scans: pd.DataFrame,
    sets: pd.DataFrame,
    targets: Sequence[Target],
    statistics: Mapping[str, Mapping[str, float]],
    device: torch.device,
) -> pd.DataFrame:
    """Predict the labels of scans.

    Parameters
    ----------
    encoder : Encoder
        A network trained on these targets.
    shards : sequence of path
        Of rule ``extract_volumes``.
    scans : pandas.DataFrame
        scan_id, participant_id, cohort and the targets' columns.
    sets : pandas.DataFrame
        scan_id, participant_id, set of the scans that had a part in the training.
    targets : sequence of Target
    statistics : mapping
        Of the training scans, from the network's card.
    device : torch.device

    Returns
    -------
    pandas.DataFrame
        Schema ``target_predictions``.
    """
    source = PatchSource(shards, encoder.volume, scans["scan_id"].tolist(), device, 0, rule=encoder.rule)
    check_same(source.contract, encoder.contract, f"volumes for {encoder.name}")
    network = encoder.network.to(device).eval()
    predictions = multitask.predict(predict(network, source, batch=8), targets, statistics)
    values, _ = multitask.encode(scans, targets, statistics)
    truth = multitask.restore(values, targets, statistics)
    known = scans["scan_id"].map(sets.set_index("scan_id")["set"])
    # another scan of somebody who had a part is no test
    seen = scans["participant_id"].isin(sets["participant_id"]).map({True: "unused", False: "test"})
    said = scans[["scan_id", "participant_id", "cohort"]].assign(set=known.fillna(seen))
    parts = [
        said.assign(target=target.name, y=truth[:, column], prediction=predictions[:, column])
        for column, target in enumerate(targets)
    ]
    return pd.concat(parts, ignore_index=True)


def score_sets(
    predictions: pd.DataFrame, targets: Sequence[Target], statistics: Mapping[str, Mapping[str, float]]
) -> pd.DataFrame:
    """Score predictions by set, and within a set by cohort where there are several.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From :func:`predict_scans`.
    targets, statistics
        As there.

    Returns
    -------
    pandas.DataFrame
        Schema ``target_metrics``.
    """
    names = [target.name for target in targets]
    parts = []
    for name, rows in predictions.groupby("set", sort=False):
        cohorts = rows["cohort"].unique()
        groups = {EVERYONE: rows} | ({c: rows[rows["cohort"] == c] for c in cohorts} if len(cohorts) > 1 else {})
        for cohort, group in groups.items():
            wide = {
                key: group.pivot(index="scan_id", columns="target", values=key)[names] for key in ("prediction", "y")
            }
            table = multitask.metrics(*(np.asarray(part, dtype=float) for part in wide.values()), targets, statistics)
            table.insert(0, "set", name)
            table.insert(1, "cohort", cohort)
            parts.append(table)
    return pd.concat(parts, ignore_index=True)
