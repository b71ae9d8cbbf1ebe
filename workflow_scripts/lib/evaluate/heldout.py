"""One score a scan: the mean over the resamples in which the scan was held out.

Resamples of one pool are not independent, participants are. Tests that count participants
(:mod:`~workflow_scripts.lib.evaluate.delong`, swaps, bootstrap) therefore work on these means.
"""

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

SCALES = ("rank", "logit", "raw")


def ranks_within(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Rank values inside their group, scaled to 0..1: (midrank - 1/2) / size of the group.

    Parameters
    ----------
    groups : numpy.ndarray of int, (rows,)
        0, 1, ...
    values : numpy.ndarray, (rows,)

    Returns
    -------
    numpy.ndarray, (rows,), float64
    """
    order = np.lexsort((values, groups))
    group, value = groups[order], values[order]
    new = np.r_[True, (group[1:] != group[:-1]) | (value[1:] != value[:-1])]  # where a run of equal values starts
    starts = np.flatnonzero(new)
    middle = (starts + np.r_[starts[1:], len(order)]) / 2  # of a run, as midrank - 1/2 over all rows
    size = np.bincount(groups, minlength=1)
    out = np.empty(len(order))
    out[order] = (middle[np.cumsum(new) - 1] - (np.cumsum(size) - size)[group]) / size[group]
    return out


def _on_scale(groups: np.ndarray, values: np.ndarray, scale: str) -> np.ndarray:
    """Bring scores to the scale on which their mean is taken."""
    if scale not in SCALES:
        raise ValueError(f"scale is '{scale}'; expected one of {', '.join(SCALES)}")
    return ranks_within(groups, values) if scale == "rank" and len(values) else values


def _settled(means: np.ndarray, scale: str) -> np.ndarray:
    """Make means of ranks that are equal but for the order of adding equal, or rounding would break ties."""
    return np.round(means, 12) if scale == "rank" else means


def mean_scores(scores: pd.DataFrame, scale: str = "rank") -> pd.DataFrame:
    """Return each scan's mean over the resamples in which it was held out.

    Parameters
    ----------
    scores : pandas.DataFrame
        Held-out scores of one task and representation: resample, participant_id, scan_id, y, score.
    scale : {'rank', 'logit', 'raw'}
        ``rank``: each score is first its rank within the resample, scaled to 0..1, so that resamples whose scores
        spread more do not weigh more. ``logit`` takes the scores of a binary task as they are, which are log odds;
        ``raw`` those of a continuous task, in y's units.

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, y, score; by participant and scan.

    Raises
    ------
    StudyError
        A scan has two labels, two participants, or two scores in one resample.
    """
    values = _on_scale(pd.factorize(scores["resample"])[0], scores["score"].to_numpy(dtype=np.float64), scale)
    table = scores[["scan_id", "participant_id", "y"]].assign(score=values)
    means = table.groupby(["participant_id", "scan_id", "y"], as_index=False, sort=True)["score"].mean()
    means["score"] = _settled(means["score"].to_numpy(), scale)
    if means["scan_id"].duplicated().any():
        scan = means.loc[means["scan_id"].duplicated(), "scan_id"].iloc[0]
        found = means.loc[means["scan_id"] == scan, ["participant_id", "y"]].to_numpy().tolist()
        raise StudyError(
            f"held-out scores: scan {scan} has participant and label {found}; expected one of each. "
            "Pass the scores of one task and one representation."
        )
    twice = scores.duplicated(["resample", "scan_id"])
    if twice.any():
        first = scores[twice].iloc[0]
        raise StudyError(
            f"held-out scores: scan {first['scan_id']} stands twice in resample {first['resample']}; expected once. "
            "Pass the scores of one task and one representation."
        )
    return means[["scan_id", "participant_id", "y", "score"]]
