"""Adjust p-values for the number of tests. Missing ones stay missing and are not counted."""

import numpy as np


def _ordered(p: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an array of missing values to fill, where the known p-values stand by size, and them in that order."""
    p = np.asarray(p, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    return np.full(len(p), np.nan), order, p[order]


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust by Holm's step-down rule: the chance of any false rejection, whatever the tests have in common.

    Parameters
    ----------
    p : numpy.ndarray, (tests,)
        May hold NaN.

    Returns
    -------
    numpy.ndarray, (tests,), float64

    References
    ----------
    Holm (1979), Scand J Stat 6:65.
    """
    out, order, known = _ordered(p)
    out[order] = np.minimum(1, np.maximum.accumulate(known * np.arange(len(known), 0, -1)))
    return out


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Adjust by Benjamini and Hochberg's step-up rule: the share of rejections that are false.

    Holds for independent tests and for tests that move together; shapes as :func:`holm`.

    References
    ----------
    Benjamini & Hochberg (1995), J R Stat Soc B 57:289.
    """
    out, order, known = _ordered(p)
    steps = known * len(known) / np.arange(1, len(known) + 1)
    out[order] = np.minimum(1, np.minimum.accumulate(steps[::-1])[::-1])
    return out
