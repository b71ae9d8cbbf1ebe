"""Predicted labels of every scan, scored on the sets of a pretraining and on cohorts that it has never seen."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.imaging.contract import check_same
from workflow_scripts.lib.pretrain import multitask
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.encoders import Encoder
from workflow_scripts.lib.pretrain.intervals import FEWER, Bootstrap, bootstrap_scores
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.pretrain.volumes import predict

EVERYONE = "all"
# people whom the network has never seen: of cohorts that others of it were seen from, and of cohorts new to it
UNSEEN = ("test", "external")


def name_sets(scans: pd.DataFrame, sets: pd.DataFrame) -> pd.Series:
    """Say of every scan what it was to a training.

    Parameters
    ----------
    scans : pandas.DataFrame
        scan_id, participant_id, cohort.
    sets : pandas.DataFrame
        scan_id, participant_id, set (train, validation) of the scans that had a part in the training.

    Returns
    -------
    pandas.Series of str
        ``train``, ``validation``, ``unused`` (another scan of somebody who had a part: no test), ``test`` (participants
        that the network has never seen, of cohorts that it knows) or ``external`` (of cohorts nobody of which had a
        part, in training or in choosing the epoch).

    Raises
    ------
    LeakageError
        If a participant both trained and chose the epoch.
    """
    by_set = {name: sets.loc[sets["set"] == name, "participant_id"] for name in ("train", "validation")}
    refuse_overlap(by_set["train"], by_set["validation"], "the training set", "the validation set")
    seen = scans["participant_id"].isin(sets["participant_id"])
    known_cohorts = set(scans.loc[seen, "cohort"])
    unseen = scans["cohort"].isin(known_cohorts).map({True: UNSEEN[0], False: UNSEEN[1]})
    part = scans["scan_id"].map(sets.set_index("scan_id")["set"])
    return part.fillna(unseen.where(~seen, "unused")).rename("set")


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
    said = scans[["scan_id", "participant_id", "cohort"]].assign(set=name_sets(scans, sets))
    parts = [
        said.assign(target=target.name, y=truth[:, column], prediction=predictions[:, column])
        for column, target in enumerate(targets)
    ]
    return pd.concat(parts, ignore_index=True)


def score_sets(
    predictions: pd.DataFrame,
    targets: Sequence[Target],
    statistics: Mapping[str, Mapping[str, float]],
    bootstrap: Bootstrap,
    method: str = "",
) -> pd.DataFrame:
    """Score predictions by set, and within a set by cohort where there are several, with intervals.

    Parameters
    ----------
    predictions : pandas.DataFrame
        From :func:`predict_scans`.
    targets, statistics
        As there.
    bootstrap : Bootstrap
    method : str
        Names the draws.

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
            predicted, truth = (np.asarray(part, dtype=float) for part in wide.values())
            table = multitask.metrics(predicted, truth, targets, statistics)
            people = group.drop_duplicates("scan_id").set_index("scan_id")["participant_id"][wide["y"].index].to_numpy()
            table = table.merge(
                _intervals(predicted, truth, people, targets, statistics, bootstrap, (method, name, cohort)),
                on=["target", "metric"],
                how="left",
            )
            few = table["value"].notna() & table["lower"].isna()
            table["reason"] = table["reason"].mask(few, FEWER)
            parts.append(table.assign(set=name, cohort=cohort))
    columns = ["set", "cohort", "target", "metric", "value", "lower", "upper", "n", "participants", "reason"]
    return pd.concat(parts, ignore_index=True)[columns]


def _intervals(predicted, truth, people, targets, statistics, bootstrap, keys) -> pd.DataFrame:
    """Give target, metric, participants, lower, upper of one group of scans."""
    rows = []
    for column, target in enumerate(targets):
        known = ~np.isnan(truth[:, column])
        own = statistics[target.name]
        # without training labels there is no naive predictor, and its scores have no interval
        naive = None if target.kind == "binary" else (own["mean"] if own["n"] else np.nan)
        found = bootstrap_scores(
            truth[known, column],
            predicted[known, column],
            people[known],
            naive,
            bootstrap,
            (*keys, target.name),
        )
        count = len(np.unique(people[known]))
        rows += [(target.name, metric, count, *ends) for metric, ends in found.items()]
    return pd.DataFrame(rows, columns=["target", "metric", "participants", "lower", "upper"])
