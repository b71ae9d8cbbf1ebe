"""Metrics of held-out scores, for many resamples at once.

Each row is a resample; ``mask`` says which scans are scored in it. A metric that a row cannot have
(one class only, fewer than two values) is missing (NaN).
"""

import numpy as np
from scipy import stats


def auc_rows(scores: np.ndarray, y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each row, ties counting one half.

    Parameters
    ----------
    scores : numpy.ndarray, (rows, n), float64
    y : numpy.ndarray, (n,) or (rows, n)
        0 or 1.
    mask : numpy.ndarray of bool, (rows, n)

    Returns
    -------
    numpy.ndarray, (rows,)
        By midranks: (sum of the positives' ranks - n1 (n1 + 1) / 2) / (n1 n0).
    """
    # scores that do not count rank last, where they move no other rank
    ranks = stats.rankdata(np.where(mask, scores, np.inf), axis=1)
    positive = mask & (y > 0.5)
    n1 = positive.sum(1)
    n0 = mask.sum(1) - n1
    with np.errstate(invalid="ignore", divide="ignore"):
        return ((ranks * positive).sum(1) - n1 * (n1 + 1) / 2) / (n1 * n0)


def _centred(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Centre each row on the mean of its masked values, 0 elsewhere."""
    mean = (values * mask).sum(1, keepdims=True) / mask.sum(1, keepdims=True)
    return (values - mean) * mask


def r2_rows(scores: np.ndarray, y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return 1 - (squared error / squared deviation from the row's own mean), shapes as :func:`auc_rows`.

    With few people left out this is harsh and noisy, since their own mean is the rival.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        y = np.broadcast_to(y, mask.shape)
        error = (((scores - y) * mask) ** 2).sum(1)
        spread = (_centred(y, mask) ** 2).sum(1)
        return np.where(spread > 0, 1 - error / spread, np.nan)


def r2_pool_rows(scores: np.ndarray, y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return 1 - (mean squared error of the row / variance of y over all scans), shapes as :func:`auc_rows`.

    The same as :func:`r2_rows` when many are left out. When few are, the spread of a row's own
    labels can be near 0 by chance and its R2 hugely negative; this one has a fixed rival.
    """
    everyone = np.broadcast_to(y, mask.shape)[0][mask.any(0)] if len(mask) else np.zeros(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - (((scores - y) * mask) ** 2).sum(1) / mask.sum(1) / everyone.var()


def mae_rows(scores: np.ndarray, y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean absolute error of each row, shapes as :func:`auc_rows`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (np.abs(scores - y) * mask).sum(1) / mask.sum(1)


def r_rows(scores: np.ndarray, y: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation of each row, shapes as :func:`auc_rows`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = _centred(scores, mask), _centred(np.broadcast_to(y, mask.shape), mask)
        return (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))


METRICS = {
    "binary": {"auc": auc_rows},
    "continuous": {"r2": r2_rows, "r2_pool": r2_pool_rows, "mae": mae_rows, "r": r_rows},
}
BOUNDS = {"auc": (0.0, 1.0), "r2": (-np.inf, 1.0), "r2_pool": (-np.inf, 1.0), "mae": (0.0, np.inf), "r": (-1.0, 1.0)}
