"""Intervals of the difference of two models by drawing participants with replacement.

Drawing people is weighting them: a draw is a vector of counts. The scores have one order in all draws, so that
2,000 of them cost one sort and sums.
"""

import numpy as np
from scipy import special

from workflow_scripts.lib.study.errors import StudyError

CHUNK = 250  # draws weighted at once
METRICS = ("auc", "r2")


def weighted_auc(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUC under each row of weights.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        0 or 1.
    score : numpy.ndarray, (n,)
    weights : numpy.ndarray, (draws, n)

    Returns
    -------
    numpy.ndarray, (draws,)
        NaN where a class has no weight.
    """
    positive = y > 0.5
    order = np.argsort(score[~positive], kind="stable")
    below = np.zeros((len(weights), len(order) + 1))
    np.cumsum(weights[:, ~positive][:, order], axis=1, out=below[:, 1:])
    reference, own = score[~positive][order], weights[:, positive]
    won = below[:, np.searchsorted(reference, score[positive], "left")]
    won += below[:, np.searchsorted(reference, score[positive], "right")]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.einsum("ij,ij->i", own, won) / (2 * own.sum(1) * below[:, -1])


def weighted_r2(y: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return 1 - squared error / squared deviation from the weighted mean under each row of weights, as above."""
    y, error = y - y.mean(), (y - score) ** 2
    total = weights.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = weights @ y**2 - (weights @ y) ** 2 / total
        return np.where(spread > 1e-12 * total, 1 - weights @ error / spread, np.nan)


def bca_interval(draws: np.ndarray, estimate: float, jackknife: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval.

    Parameters
    ----------
    draws : numpy.ndarray, (n_bootstrap,)
        The statistic of each draw.
    estimate : float
        Of the data.
    jackknife : numpy.ndarray, (n,)
        With each unit left out.
    level : float

    Returns
    -------
    lower, upper : float
        Missing where all draws lie on one side of the estimate (more draws or more people are needed), or where
        leaving any unit out leaves nothing.

    References
    ----------
    Efron (1987), J Am Stat Assoc 82:171, equations 2.3 and 6.6 (by the jackknife).
    """
    bias = special.ndtri(((draws < estimate).mean() + (draws <= estimate).mean()) / 2)
    if not np.isfinite(bias) or not len(jackknife):
        return np.nan, np.nan
    change = jackknife.mean() - jackknife
    spread = (change**2).sum()
    acceleration = (change**3).sum() / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + special.ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    places = special.ndtr(bias + z / (1 - acceleration * z))
    lower, upper = np.quantile(draws, places)
    return float(lower), float(upper)


def _statistic(y: np.ndarray, a: np.ndarray, b: np.ndarray, metric: str, weights: np.ndarray) -> np.ndarray:
    function = weighted_auc if metric == "auc" else weighted_r2
    return function(y, a, weights) - function(y, b, weights)


def draw_counts(rows: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``size`` of ``size`` clusters with replacement, rows times: how often each came, (rows, size)."""
    drawn = rng.integers(0, size, (rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


def bootstrap_difference(
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    metric: str,
    n_bootstrap: int,
    rng: np.random.Generator,
    clusters: np.ndarray | None = None,
    level: float = 0.95,
) -> dict[str, float]:
    """Bound the difference of two models' metric on the same units.

    Parameters
    ----------
    y, a, b : numpy.ndarray, (n,)
        Labels, and the scores of both models.
    metric : {'auc', 'r2'}
    n_bootstrap : int
    rng : numpy.random.Generator
    clusters : numpy.ndarray, (n,), optional
        Whose unit it is; all units of a participant are drawn together.
    level : float
        Coverage.

    Returns
    -------
    dict
        difference (a - b), lower_percentile, upper_percentile, lower_bca, upper_bca, and n_bootstrap: the draws that
        had both classes.

    Raises
    ------
    StudyError
        The metric cannot be had from the data: one class only, or labels all equal.
    """
    if metric not in METRICS:
        raise ValueError(f"metric is '{metric}'; expected one of {', '.join(METRICS)}")
    y, a, b = (np.asarray(values, dtype=np.float64) for values in (y, a, b))
    unit = np.arange(len(y)) if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    size = int(unit.max()) + 1
    estimate = float(_statistic(y, a, b, metric, np.ones((1, len(y))))[0])
    if not np.isfinite(estimate):
        raise StudyError(f"no {metric} to bootstrap: the {len(y)} labels are all of one kind, or a score is missing.")
    draws, without = [], []
    for first in range(0, n_bootstrap, CHUNK):
        counts = draw_counts(min(CHUNK, n_bootstrap - first), size, rng)
        draws.append(_statistic(y, a, b, metric, counts[:, unit]))
    for first in range(0, size, CHUNK):
        left_out = np.arange(first, min(first + CHUNK, size))
        without.append(_statistic(y, a, b, metric, (unit != left_out[:, None]).astype(np.float64)))
    drawn, jackknife = (values[np.isfinite(values)] for values in map(np.concatenate, (draws, without)))
    tails = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    lower, upper = bca_interval(drawn, estimate, jackknife, level)
    found = {"difference": estimate, "lower_percentile": float(tails[0]), "upper_percentile": float(tails[1])}
    return found | {"lower_bca": lower, "upper_bca": upper, "n_bootstrap": len(drawn)}
