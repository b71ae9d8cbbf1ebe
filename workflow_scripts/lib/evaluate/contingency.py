"""McNemar's test: do two classifiers err equally often on the same units?

It sees decisions, not scores: thresholds have to be fixed before the test data are seen. Conditional on the fitted
models; units are independent.

References
----------
McNemar (1947), Psychometrika 12:153. Edwards (1948), Psychometrika 13:185 (the correction). Fagerland, Lydersen & Laake
(2013), BMC Med Res Methodol 13:91 (mid-p).
"""

import numpy as np
from scipy import stats


def mcnemar_counts(b: int, c: int) -> dict[str, float]:
    """Test from the discordant counts; see :func:`mcnemar`."""
    count, gap = b + c, abs(b - c)
    if count == 0:
        return {"b": 0, "c": 0, "chi2": 0.0, "p": 1.0, "chi2_plain": 0.0, "p_plain": 1.0, "p_exact": 1.0, "p_mid": 1.0}
    chi2, plain = max(gap - 1, 0) ** 2 / count, gap**2 / count
    point = float(stats.binom.pmf(b, count, 0.5))
    exact = float(min(1.0, 2 * stats.binom.cdf(min(b, c), count, 0.5)))
    return {
        "b": int(b),
        "c": int(c),
        "chi2": chi2,
        "p": float(stats.chi2.sf(chi2, 1)),
        "chi2_plain": plain,
        "p_plain": float(stats.chi2.sf(plain, 1)),
        "p_exact": exact,
        "p_mid": exact - point if gap else 1 - point / 2,
    }


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> dict[str, float]:
    """Compare two classifiers by the units that one of them gets right; two-sided.

    Parameters
    ----------
    correct_a, correct_b : numpy.ndarray of bool, (n,)
        Whether each is right about each unit.

    Returns
    -------
    dict
        b (a alone is right), c (b alone is right); chi2 and p with the correction of 1, capped at 0 as R does;
        chi2_plain and p_plain without; p_exact (binomial) and p_mid (half of the observed table's chance), to be
        preferred where b + c is below 25. Without discordant units all p are 1.
    """
    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    return mcnemar_counts(int((a & ~b).sum()), int((~a & b).sum()))
