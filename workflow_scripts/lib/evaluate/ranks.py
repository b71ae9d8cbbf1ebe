"""Wilcoxon's tests as R computes them, and AUCs without float noise.

An AUC of n1 positives and n0 negatives is a multiple of 1 / (2 n1 n0). Two ways of computing the same AUC can differ in
the 16th digit; rank tests then see an order where there is a tie.
"""

import numpy as np
from scipy import stats

from workflow_scripts.lib.study.errors import StudyError

EXACT_BELOW = 50  # units a sample: R's rule
FURTHEST = 1e-5  # printed AUCs have six digits or more


def snap_auc(auc: np.ndarray, n_positive: int, n_negative: int) -> np.ndarray:
    """Move AUCs to the nearest value that so many people can give.

    Parameters
    ----------
    auc : numpy.ndarray
    n_positive, n_negative : int

    Returns
    -------
    numpy.ndarray of float64

    Raises
    ------
    StudyError
        An AUC is further than 1e-5 from each such value.
    """
    auc, steps = np.asarray(auc, dtype=np.float64), 2 * n_positive * n_negative
    snapped = np.round(auc * steps) / steps
    far = np.abs(auc - snapped) > FURTHEST
    if far.any():
        found = auc[far].flat[0]
        raise StudyError(
            f"AUC {found} is not one of {n_positive} positives and {n_negative} negatives: the nearest is "
            f"{snapped[far].flat[0]:.8g}. Correct the counts, or give the AUC with six digits or more."
        )
    return snapped


def rank_sum(x: np.ndarray, y: np.ndarray) -> dict[str, float | str]:
    """Compare two independent samples by Wilcoxon's rank-sum test; two-sided.

    Parameters
    ----------
    x, y : numpy.ndarray, (n,) and (m,)

    Returns
    -------
    dict
        w (pairs in which x is larger, ties one half: R's W), p, method: ``exact`` without ties and with fewer than 50
        values on each side, else ``normal``, with the corrections for ties and continuity.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
    exact = not ties and max(len(x), len(y)) < EXACT_BELOW
    found = stats.mannwhitneyu(x, y, method="exact" if exact else "asymptotic")
    # all values equal: no variance, nothing to tell apart
    p = 1.0 if np.isnan(found.pvalue) else float(found.pvalue)
    return {"w": float(found.statistic), "p": p, "method": "exact" if exact else "normal"}


def signed_rank(x: np.ndarray, y: np.ndarray, digits: int | None = None) -> dict[str, float | str]:
    """Compare pairs by Wilcoxon's signed-rank test; two-sided.

    Parameters
    ----------
    x, y : numpy.ndarray, (n,)
    digits : int, optional
        Decimals that count. Differences of equal size that floating point puts apart (0.3 - 0.2 and 0.2 - 0.1) are tied
        only if they are rounded; R, as most others, does not round by itself. For AUCs: 12.

    Returns
    -------
    dict
        v (sum of the ranks of positive differences: R's V), p, method as :func:`rank_sum`. Pairs without a difference
        are left out, and p is then never exact; without any other pair v is 0 and p 1.
    """
    difference = np.asarray(x, dtype=np.float64) - np.asarray(y, dtype=np.float64)
    difference = difference if digits is None else np.round(difference, digits)
    other = difference[difference != 0]
    if not len(other):
        return {"v": 0.0, "p": 1.0, "method": "normal"}
    v = float(stats.rankdata(np.abs(other))[other > 0].sum())
    ties = len(np.unique(np.abs(other))) < len(other)
    exact = len(other) == len(difference) < EXACT_BELOW and not ties
    found = stats.wilcoxon(other, correction=not exact, method="exact" if exact else "asymptotic")
    return {"v": v, "p": float(found.pvalue), "method": "exact" if exact else "normal"}
