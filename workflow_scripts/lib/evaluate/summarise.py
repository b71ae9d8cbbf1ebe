"""From held-out scores to metrics by resample, and their summary with what it says of the population."""

import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import compare
from workflow_scripts.lib.evaluate.metrics import BOUNDS, METRICS
from workflow_scripts.lib.evaluate.participants import score_interval
from workflow_scripts.lib.study.seeds import generator

logger = logging.getLogger(__name__)
KEYS = ["task", "representation", "metric"]
COUNTS = ["n_resamples", "n_participants", "n_scans", "n_test"]
HELDOUT = ["heldout", "lower_heldout", "upper_heldout"]
# on all scans together both R2 have the same rival
HELDOUT_METRICS = {"auc": "auc", "r2": "r2", "r2_pool": "r2"}


def metrics_by_resample(scores: pd.DataFrame, kinds: dict[str, str], representation: str) -> pd.DataFrame:
    """Compute each metric of each resample of one representation.

    Parameters
    ----------
    scores : pandas.DataFrame
        task, resample, participant_id, scan_id, y, score.
    kinds : dict
        Task -> binary or continuous.
    representation : str
        Its name.

    Returns
    -------
    pandas.DataFrame
        task, representation, resample, metric, value (missing where a resample has one class
        only), participants (scored in it).
    """
    parts = [pd.DataFrame(columns=["task", "representation", "resample", "metric", "value", "participants"])]
    for task, part in scores.groupby("task", sort=False):
        row, resamples = pd.factorize(part["resample"], sort=True)
        column, scans = pd.factorize(part["scan_id"], sort=True)
        mask = np.zeros((len(resamples), len(scans)), dtype=bool)
        mask[row, column] = True
        grid = np.zeros(mask.shape)
        grid[row, column] = part["score"]
        y = np.zeros(len(scans))
        y[column] = part["y"]
        people = part.groupby("resample")["participant_id"].nunique().reindex(resamples).to_numpy()
        for metric, function in METRICS[kinds[task]].items():
            frame = {"task": task, "representation": representation, "resample": resamples}
            parts.append(
                pd.DataFrame({**frame, "metric": metric, "value": function(grid, y, mask), "participants": people})
            )
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _row(part: pd.DataFrame, scans: pd.DataFrame, level: float) -> dict[str, float]:
    """Summarise one metric of one representation: known values by resample, and the task's mean held-out scores."""
    people, n_test, metric = scans["participant_id"].nunique(), part["participants"].mean(), part["metric"].iloc[0]
    found = compare.corrected_t(part["value"].to_numpy(), n_test, people, level)
    low, high = np.clip([found["lower"], found["upper"]], *BOUNDS[metric])
    counts = {"n_resamples": len(part), "n_participants": people, "n_scans": len(scans), "n_test": n_test}
    return counts | {"mean": found["mean"], "sd": found["sd"], "lower": low, "upper": high}


def summarise(
    values: pd.DataFrame, heldout: pd.DataFrame, level: float = 0.95, n_bootstrap: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Summarise each metric over resamples and, for AUC and R2, from mean held-out scores.

    Parameters
    ----------
    values : pandas.DataFrame
        What :func:`metrics_by_resample` gave.
    heldout : pandas.DataFrame
        task, representation, scan_id, participant_id, y, score: mean held-out scores of all resamples.
    level : float
    n_bootstrap : int
        Draws of participants for the interval of R2; that of AUC is DeLong's.
    seed : int
        Seed of the study.

    Returns
    -------
    pandas.DataFrame
        task, representation, metric, n_resamples, n_participants, n_scans (scored at least once), n_test (mean left
        out and scored), mean, sd (over resamples; not a standard error), lower, upper (pool-corrected interval of the
        mean, cut where the metric ends), heldout (the metric of mean held-out scores), lower_heldout, upper_heldout
        (its interval over participants).
    """
    rows, scans = [], dict(iter(heldout.groupby(["task", "representation"], sort=False)))
    for (task, representation, metric), part in values.groupby(KEYS, sort=False):
        known = part.dropna(subset="value")
        if len(known) < 2:
            logger.warning("%s, %s: %d resamples with a %s: left out", task, representation, len(known), metric)
            continue
        mine = scans[task, representation]
        row = {"task": task, "representation": representation, "metric": metric} | _row(known, mine, level)
        if metric in HELDOUT_METRICS:
            rng = generator(seed, "summarise", task, representation)
            row |= score_interval(mine, HELDOUT_METRICS[metric], level, n_bootstrap, rng)
        rows.append(row)
    return pd.DataFrame(rows, columns=[*KEYS, *COUNTS, "mean", "sd", "lower", "upper", *HELDOUT])
