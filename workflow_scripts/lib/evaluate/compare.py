"""Tests between two representations that were scored on the same resamples.

Two questions look alike and are not:

* *Do the two differ on resamples of this pool of people?* The published permutation test answers
  that (:mod:`~workflow_scripts.lib.evaluate.permutation`). Resamples of one pool are not independent, so its p-value
  falls towards 0 as resamples are added, whatever the truth in the population: it is conditional on the pool.
* *Do the two differ in the population that the pool was drawn from?* The pool-corrected t test
  widens the variance by the correlation between resamples that share a pool.

What each test is conditional on stands in :mod:`~workflow_scripts.lib.evaluate.catalogue`.
"""

import numpy as np
from scipy import stats


def pool_factor(n_test: float, n_participants: int) -> float:
    r"""Return what the overlap of resamples adds to the variance of their mean.

    Two resamples that leave ``n_test`` of M participants out correlate by about n_test / M. That
    gives the factor (n_test / M) / (1 - n_test / M) = n_test / (M - n_test), which equals Nadeau and
    Bengio's n_test / n_train when all others train. Participants count, not scans.

    References
    ----------
    Nadeau & Bengio (2003), Mach Learn 52:239.
    """
    return n_test / (n_participants - n_test)


def corrected_t(
    values: np.ndarray, n_test: float, n_participants: int, level: float = 0.95, n_train: float | None = None
) -> dict[str, float]:
    r"""Test and bound the mean of a metric, or of a difference, over resamples of one pool.

    .. math:: \bar d \pm t_{B-1} \, s \sqrt{1/B + n_{test} / (M - n_{test})}

    About the population that the pool stands for, as far as the correction is right, which is an
    approximation. Between two equally good sets of 8 features it rejected, at a nominal 5%, 6% of
    simulated pools of 500 people with 100 left out and 6% of 1,000 with 41; but 9 to 10% of pools of
    40 to 120 people: with few people read p-values near the limit as undecided. The permutation
    test rejected 51 to 82% of the same pools.

    Parameters
    ----------
    values : numpy.ndarray, (n_resamples,)
        Differences between two representations (or one's metric, for an interval only).
    n_test : float
        Participants left out of each resample.
    n_participants : int
        Participants in the pool, M.
    level : float
        Coverage of the interval.
    n_train : float, optional
        Participants that train. Given, the factor is Nadeau and Bengio's n_test / n_train instead: the same where all
        others train, and far too wide where a resample uses only part of its pool (of 861 people, 500 of them in each
        sample, it rejected 1 to 2% of true nulls).

    Returns
    -------
    dict
        mean, sd, lower, upper, t, p (two-sided, against 0). Where all values are equal the
        interval is that value and p is 1 if it is 0, else missing.
    """
    count, mean, sd = len(values), float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else np.nan
    if count > 1 and sd <= 1e-12 * max(1.0, abs(mean)):
        p = 1.0 if abs(mean) <= 1e-12 else np.nan
        return {"mean": mean, "sd": 0.0, "lower": mean, "upper": mean, "t": np.nan, "p": p}
    factor = pool_factor(n_test, n_participants) if n_train is None else n_test / n_train
    error = sd * np.sqrt(1 / count + factor)
    width = stats.t.ppf(0.5 + level / 2, count - 1) * error
    t = mean / error
    p = float(2 * stats.t.sf(abs(t), count - 1))
    return {"mean": mean, "sd": sd, "lower": mean - width, "upper": mean + width, "t": t, "p": p}
