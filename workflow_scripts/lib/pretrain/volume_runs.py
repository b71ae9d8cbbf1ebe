"""Whole runs on whole volumes: views of the downsampled image, Models Genesis, LSSL and the multi-task SFCN."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.pretrain import data, multitask, pairs
from workflow_scripts.lib.pretrain.levels import refresh_normalisation
from workflow_scripts.lib.pretrain.runs import (
    finish,
    fit,
    log_table,
    own_device,
    source_card,
    start,
    train_patch,
)
from workflow_scripts.lib.pretrain.settings import CONTRASTIVE, Settings
from workflow_scripts.lib.pretrain.volumes import GenesisLevel, LongitudinalLevel, MultitaskLevel
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)


def train_volume(
    settings: Settings,
    volume: str,
    shards: Sequence[str | Path],
    scans: pd.DataFrame,
    auxiliary: np.ndarray | None,
    checkpoint: Path,
    output: Path,
    curves: Path | None = None,
) -> pd.DataFrame:
    """Train a network that reads whole volumes and write its weights and card.

    Parameters
    ----------
    settings : Settings
    volume : {'cube', 'whole'}
    shards : sequence of path
        See :class:`data.PatchSource`.
    scans : pandas.DataFrame
        scan_id, participant_id, set ('train' or 'validation'), and what the objective needs: age (lssl), the
        columns of the targets (multitask).
    auxiliary : numpy.ndarray or None
        Scans x d_a; rnce only.
    checkpoint, output, curves
        See :func:`runs.train_patch`.

    Returns
    -------
    pandas.DataFrame
        The log: one row an epoch.
    """
    objective = settings.method.objective
    if objective in (*CONTRASTIVE, "random"):
        return train_patch(settings, volume, shards, scans, auxiliary, checkpoint, output, curves)
    known = {"genesis": _genesis, "lssl": _longitudinal, "multitask": _multitask}
    return known[objective](settings, volume, shards, scans, checkpoint, output, curves)


def _source(settings: Settings, volume: str, shards: Sequence, scans: pd.DataFrame) -> data.PatchSource:
    ids = scans["scan_id"].tolist()
    return data.PatchSource(shards, volume, ids, own_device(), settings.resident_bytes, rule=settings.method.rule)


def _genesis(settings, volume, shards, scans, checkpoint, output, curves) -> pd.DataFrame:
    source = _source(settings, volume, shards, scans)
    keys = start(settings, volume)
    level = GenesisLevel(settings, source)
    rows = fit(settings, level, len(source), keys, checkpoint, {"volumes": source.fingerprint()}, curves)
    refresh_normalisation(level.network, source, settings.schedule.batch)
    finish(settings, level.network, rows, scans["participant_id"], output, source_card(source))
    return log_table(rows)


def _longitudinal(settings, volume, shards, scans, checkpoint, output, curves) -> pd.DataFrame:
    chosen = pairs.find_pairs(scans, settings.method.min_years)
    # what has no second scan takes no part
    used = np.unique(chosen)
    scans = scans.iloc[used].reset_index(drop=True)
    chosen = np.searchsorted(used, chosen)
    source = _source(settings, volume, shards, scans)
    keys = start(settings, volume)
    level = LongitudinalLevel(settings, source, chosen)
    identity = {"volumes": source.fingerprint(), "pairs": chosen.tolist()}
    rows = fit(settings, level, len(chosen), keys, checkpoint, identity, curves)
    refresh_normalisation(level.network, source, settings.schedule.batch)
    finish(settings, level.network, rows, scans["participant_id"], output, source_card(source))
    return log_table(rows)


def _multitask(settings, volume, shards, scans, checkpoint, output, curves) -> pd.DataFrame:
    targets, sets = settings.method.targets, {name: part for name, part in scans.groupby("set")}
    values, statistics = multitask.encode(sets["train"], targets)
    validation_values, _ = multitask.encode(sets["validation"], targets, statistics)
    source, validation = (_source(settings, volume, shards, sets[name]) for name in ("train", "validation"))
    keys = start(settings, volume)
    level = MultitaskLevel(settings, source, validation, values, validation_values)
    identity = {"volumes": [source.fingerprint(), validation.fingerprint()]}
    identity["values"] = [np.nan_to_num(part, nan=-1e9).tolist() for part in (values, validation_values)]
    rows = fit(settings, level, len(source), keys, checkpoint, identity, curves)
    card = {**source_card(source), "statistics": statistics}
    finish(settings, level.network, rows, scans["participant_id"], output, card)
    return log_table(rows)


def hold_out(scans: pd.DataFrame, share: float, seed: int, method: str) -> pd.DataFrame:
    """Choose the participants of the validation set, which picks the epoch and trains nothing.

    Parameters
    ----------
    scans : pandas.DataFrame
        scan_id, participant_id of the scans that pretraining may use.
    share : float
        Of the participants, at least one.
    seed : int
        Of the study.
    method : str
        Name of the method.

    Returns
    -------
    pandas.DataFrame
        ``scans`` with ``set``: 'train', or 'validation'. A validation participant keeps the first scan, as
        published; its other scans are left out, since they may not train either.

    Raises
    ------
    StudyError
        If nobody is left to train on.
    """
    people = np.array(sorted(scans["participant_id"].unique()))
    count = max(1, round(share * len(people)))
    if count >= len(people):
        raise StudyError(
            f"{len(people)} participants to pretrain {method} on, of whom {count} would choose the epoch: nobody is "
            "left. Lower pretrain.validation_share or add participants."
        )
    chosen = seeds.generator(seed, method, "validation").permutation(people)[:count]
    held = scans["participant_id"].isin(chosen)
    repeated = scans.duplicated("participant_id") & held
    kept = scans.assign(set=held.map({True: "validation", False: "train"}))[~repeated]
    logger.info("%d scans train, %d choose the epoch", (kept["set"] == "train").sum(), held.sum() - repeated.sum())
    return kept.reset_index(drop=True)
