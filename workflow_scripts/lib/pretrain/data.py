"""What a network is trained on: scans that may be used, and auxiliary features beside their patches."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.imaging.stats.lists import unit_of
from workflow_scripts.lib.imaging.stats.structures import ASEG
from workflow_scripts.lib.pretrain.source import PatchSource as PatchSource
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)

KINDS = ("all", "volumes", "thickness", "aseg", "none")
UNITS = {"volumes": "mm3", "thickness": "mm"}
SUBCORTICAL = frozenset(ASEG.values())
NO_FEATURES = ("scan_id", "participant_id", "icv")  # further columns of the feature table


def training_scans(scans: pd.DataFrame, roles: pd.DataFrame, included: pd.DataFrame) -> pd.DataFrame:
    """Choose the scans that may train a network: included, of split train, of participants with role pretrain.

    Parameters
    ----------
    scans, roles, included : pandas.DataFrame
        Tables of the study: ``results/cohort/scans.tsv``, ``roles.tsv``, ``results/qc/included.tsv``.

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, sorted by scan_id.

    Raises
    ------
    StudyError
        If none is left.
    LeakageError
        If one of them belongs to an evaluated participant.
    """
    people = set(roles.loc[roles["role"] == "pretrain", "participant_id"])
    chosen = scans[
        scans["participant_id"].isin(people) & (scans["split"] == "train") & scans["scan_id"].isin(included["scan_id"])
    ]
    if chosen.empty:
        raise StudyError(
            f"no scan to pretrain on: {len(people)} participants have the role pretrain and {len(included)} scans are "
            "included. Give a cohort the role pretrain (config: cohort), or look into results/qc/excluded.tsv."
        )
    evaluated = roles.loc[roles["role"] == "evaluate", "participant_id"]
    refuse_overlap(chosen["participant_id"], evaluated, "pretraining", "evaluation")
    return chosen[["scan_id", "participant_id"]].sort_values("scan_id", ignore_index=True)


def covers(assignment: pd.DataFrame, patches: Sequence[str], features: Sequence[str]) -> np.ndarray:
    """Tell which features each location covers.

    Parameters
    ----------
    assignment : pandas.DataFrame
        feature, patch; features without a patch (n/a) are covered by none.
    patches, features : sequence of str

    Returns
    -------
    numpy.ndarray
        Patches x features, bool.

    Raises
    ------
    StudyError
        If the assignment names a patch that is not known.
    """
    given = assignment.dropna(subset=["patch"])
    unknown = sorted(set(given["patch"]) - set(patches))
    if unknown:
        raise StudyError(f"the assignment of features names patch '{unknown[0]}'; known: {', '.join(patches)}")
    result = np.zeros((len(patches), len(features)), dtype=bool)
    rows, columns = pd.Index(patches), pd.Index(features)
    given = given[given["feature"].isin(columns)]
    result[rows.get_indexer(given["patch"]), columns.get_indexer(given["feature"])] = True
    return result


def select_auxiliary(columns: Sequence[str], kind: str | Sequence[str]) -> list[str]:
    """Choose which regional features are auxiliary, so that studies without some of them are entries of the config.

    Parameters
    ----------
    columns : sequence of str
        Of the feature table; ids and ``icv`` are passed over.
    kind : {'all', 'volumes', 'thickness', 'aseg', 'none'} or sequence of str
        ``volumes``: cortical and subcortical volumes. ``thickness``: cortical thickness. ``aseg``: structures
        of the subcortical segmentation, none of the cortex. Or the names themselves.

    Returns
    -------
    list of str
        In the order of ``columns``.

    Raises
    ------
    StudyError
        For an unknown kind or name, and where the table has none of the kind.
    """
    features = [name for name in columns if name not in NO_FEATURES]
    if not isinstance(kind, str):
        unknown = [name for name in kind if name not in features]
        if unknown:
            raise StudyError(
                f"auxiliary feature '{unknown[0]}' is not among the {len(features)} features to choose from. "
                "Correct the name, or add it to the list in config: features."
            )
        return [name for name in features if name in set(kind)]
    if kind not in KINDS:
        raise StudyError(f"auxiliary: found '{kind}', expected one of {', '.join(KINDS)} or a list of feature names.")
    if kind in ("all", "none"):
        return features if kind == "all" else []
    chosen = [name for name in features if (name in SUBCORTICAL if kind == "aseg" else unit_of(name) == UNITS[kind])]
    if not chosen:
        raise StudyError(
            f"auxiliary: none of the {len(features)} features of the study is of the kind '{kind}'. Choose another "
            "kind, or a list of features that has it (config: features, for instance 'published')."
        )
    return chosen


def auxiliary_features(features: pd.DataFrame, scan_ids: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """Standardise auxiliary features by the mean and standard deviation of the scans that are given.

    Parameters
    ----------
    features : pandas.DataFrame
        scan_id and the columns.
    scan_ids : sequence of str
        Training scans only: nothing about any other scan enters.
    columns : sequence of str

    Returns
    -------
    numpy.ndarray
        Scans x columns, float32, mean 0 and variance 1 (a constant column is 0). Missing values are
        set to the mean, with a warning.

    Raises
    ------
    StudyError
        If a scan has no features.
    """
    table = features.set_index("scan_id")
    absent = [scan for scan in scan_ids if scan not in table.index]
    if absent:
        raise StudyError(
            f"{len(absent)} pretraining scans have no regional features, the first is '{absent[0]}'. R-NCE needs them "
            "for each scan: make them, exclude the scan, or pretrain with SimCLR only."
        )
    values = table.loc[list(scan_ids), list(columns)].to_numpy(dtype=np.float64)
    missing = np.isnan(values)
    if missing.any():
        logger.warning("%d auxiliary values are missing; they are set to the training mean", int(missing.sum()))
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    # rounding leaves a constant column with a spread near its own precision: that is no variance
    constant = std <= 1e-9 * np.abs(mean)
    standard = (values - mean) / np.where(constant, 1.0, std)
    standard[:, constant] = 0.0
    return np.where(missing, 0.0, standard).astype(np.float32)
