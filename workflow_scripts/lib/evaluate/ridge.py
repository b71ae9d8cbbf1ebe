"""Ridge regression for many resamples at once, columns standardised inside each resample."""

import dataclasses

import numpy as np

from workflow_scripts.lib.evaluate.logistic import common_scale, resample_moments


@dataclasses.dataclass(frozen=True)
class Pool:
    """All rows, their Gram matrix and their products with the centred target.

    Attributes
    ----------
    z : (n, d) commonly scaled columns
    y : (n,) centred target
    gram : (d, d)
    cross : (d,)
    """

    z: np.ndarray
    y: np.ndarray
    gram: np.ndarray
    cross: np.ndarray


def _standard_products(pool: Pool, weight: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> tuple:
    """Return Gram matrix and cross products of one resample's standardised rows.

    They are those of all rows less those of the rows left out, which are few.
    """
    changed = weight != 1
    less = (1 - weight[changed])[:, None] * pool.z[changed]
    total, target = weight.sum(), weight @ pool.y
    gram = pool.gram - pool.z[changed].T @ less - total * np.outer(mean, mean)
    cross = pool.cross - less.T @ pool.y[changed] - mean * target
    return gram / np.outer(scale, scale), cross / scale


def fit_ridge(x: np.ndarray, y: np.ndarray, weights: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    r"""Fit every resample and return its prediction for every row.

    .. math:: \min_{\beta, b} \sum_i w_i (y_i - z_i\beta - b)^2 + \alpha \|\beta\|^2

    with z the columns standardised by the rows of the resample. With more columns than rows the
    same solution is found from the rows' inner products.

    Parameters
    ----------
    x : numpy.ndarray, (n, d), float64
        Any units.
    y : numpy.ndarray, (n,), float64
    weights : numpy.ndarray, (fits, n)
        0 where a row is left out, else 1 (or a count).
    alpha : float
        Penalty on standardised coefficients, above 0, as in scikit-learn's ``Ridge``.

    Returns
    -------
    numpy.ndarray, (fits, n), float64
        In the units of y.
    """
    z = common_scale(np.asarray(x, dtype=np.float64))
    weights = np.asarray(weights, dtype=np.float64)
    mean, variance, constant = resample_moments(z, weights)
    scale = np.where(constant, np.inf, np.sqrt(variance))
    offset = y.mean()
    y = y - offset
    tall = z.shape[0] > z.shape[1]
    pool = Pool(z, y, z.T @ z, z.T @ y) if tall else None
    out = np.empty((len(weights), len(z)))
    for fit, weight in enumerate(weights):
        standard = (z - mean[fit]) / scale[fit]
        target = weight @ y / weight.sum()
        if tall:
            gram, cross = _standard_products(pool, weight, mean[fit], scale[fit])
            beta = np.linalg.solve(gram + alpha * np.eye(len(gram)), cross)
        else:
            root = np.sqrt(weight[weight > 0])
            rows = root[:, None] * standard[weight > 0]
            dual = np.linalg.solve(rows @ rows.T + alpha * np.eye(len(rows)), root * (y - target)[weight > 0])
            beta = rows.T @ dual
        out[fit] = standard @ beta + target + offset
    return out
