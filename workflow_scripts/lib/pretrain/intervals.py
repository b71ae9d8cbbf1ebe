"""Intervals of scores of predicted labels: whole participants are drawn again, since scans of one are alike."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from workflow_scripts.lib.study import seeds

LEAST_PEOPLE = 10  # percentiles over fewer say nothing about anybody else
LEAST_IN_CLASS = 5
FEWER = f"no interval from fewer than {LEAST_PEOPLE} participants, or {LEAST_IN_CLASS} of a class"
MEMORY = 20_000_000  # numbers that one batch of draws holds


@dataclasses.dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn.

    Attributes
    ----------
    seed : int
        Of the study.
    draws : int
    level : float
        Coverage.
    """

    seed: int
    draws: int = 1000
    level: float = 0.95


def bootstrap_scores(
    y: np.ndarray,
    predicted: np.ndarray,
    people: np.ndarray,
    naive: float | None,
    settings: Bootstrap,
    keys: Sequence[object],
) -> dict[str, tuple[float, float]]:
    """Give percentile intervals of the scores of one target.

    Parameters
    ----------
    y, predicted : numpy.ndarray
        float64, scans with a known label.
    people : numpy.ndarray
        Participant of each scan.
    naive : float or None
        Mean of the training labels, which the naive predictor gives everybody (continuous targets); None for a binary
        target, whose ``y`` is 0 or 1.
    settings : Bootstrap
    keys : sequence
        Names of the draw, beside the study's seed.

    Returns
    -------
    dict
        metric (``auc``, or ``mae``, ``mae_naive``, ``mae_gain``, ``r2``, ``r``) -> lower, upper. NaN with fewer than 10
        participants, or fewer than 5 of a class, or where fewer than half of the draws have a value.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; participants as clusters: Field and Welsh
    2007, J R Stat Soc B 69:369.
    """
    names, place = np.unique(people, return_inverse=True)
    score = weighted_auc if naive is None else weighted_errors
    metrics = ("auc",) if naive is None else ("mae", "mae_naive", "mae_gain", "r2", "r")
    if len(names) < LEAST_PEOPLE or (naive is None and _smallest_class(y, people) < LEAST_IN_CLASS):
        return dict.fromkeys(metrics, (np.nan, np.nan))
    rng, parts, left = seeds.generator(settings.seed, "bootstrap", *keys), [], settings.draws
    while left > 0:
        # as many draws whatever the size of a batch, in the same order
        count = min(left, max(1, MEMORY // (len(names) + 4 * len(y))))
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
        parts.append(score(y, predicted, drawn[:, place].astype(float), naive))
        left -= count
    tail = (1 - settings.level) / 2
    return {metric: _percentiles(np.concatenate([part[metric] for part in parts]), tail) for metric in metrics}


def _smallest_class(y: np.ndarray, people: np.ndarray) -> int:
    return min(len(np.unique(people[y == label])) for label in (0, 1))


def _percentiles(values: np.ndarray, tail: float) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if len(known) < len(values) / 2:
        return np.nan, np.nan
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


def weighted_errors(y: np.ndarray, predicted: np.ndarray, weights: np.ndarray, naive: float) -> dict[str, np.ndarray]:
    """Score a continuous target under weights.

    Parameters
    ----------
    y, predicted : numpy.ndarray
        float64, scans.
    weights : numpy.ndarray
        float64, draws x scans: how often each draw has each scan.
    naive : float
        What the naive predictor says; NaN if there is none.

    Returns
    -------
    dict of str to numpy.ndarray
        ``mae``, ``mae_naive``, ``mae_gain`` (naive less model), ``r2``, ``r``: float64, draws; NaN where a draw has no
        variance.
    """
    error, blind = np.abs(y - predicted), np.abs(y - naive)
    total = weights.sum(axis=1)
    # about the middle, so that sums of squares keep their digits
    a, b = y - y.mean(), predicted - predicted.mean()
    means = [weights @ values / total for values in (a, b, a * a, b * b, a * b)]
    spread_a, spread_b = means[2] - means[0] ** 2, means[3] - means[1] ** 2
    tiny = 1e-12 * max(float(np.mean(a * a)), float(np.mean(b * b)), 1e-300)
    spread_a, spread_b = (np.where(one > tiny, one, np.nan) for one in (spread_a, spread_b))
    return {
        "mae": weights @ error / total,
        "mae_naive": weights @ blind / total,
        "mae_gain": weights @ (blind - error) / total,
        "r2": 1 - (weights @ (y - predicted) ** 2 / total) / spread_a,
        "r": (means[4] - means[0] * means[1]) / np.sqrt(spread_a * spread_b),
    }


def weighted_auc(
    y: np.ndarray, predicted: np.ndarray, weights: np.ndarray, naive: None = None
) -> dict[str, np.ndarray]:
    """Score a binary target under weights; see :func:`weighted_errors`. Ties count one half; NaN for one class only."""
    order = np.argsort(predicted, kind="stable")
    starts = np.flatnonzero(np.diff(predicted[order], prepend=-np.inf))
    positive = np.add.reduceat(weights[:, order] * y[order], starts, axis=1)
    negative = np.add.reduceat(weights[:, order] * (1 - y[order]), starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return {"auc": np.where(pairs > 0, (positive * below).sum(axis=1) / np.where(pairs > 0, pairs, 1), np.nan)}
