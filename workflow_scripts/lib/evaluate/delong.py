r"""Areas under ROC curves with the covariance of several models on the same people.

A positive's placement is the share of negatives that it beats, a negative's the share of positives that beat it
(ties count one half); the AUC is the mean of either. Placements are nearly independent between people, so

.. math:: S = cov(V_{10}) / n_1 + cov(V_{01}) / n_0

estimates the covariance of the AUCs of several models. Where people have several scans, placements of one person are
added up first, and a person may have scans of both classes (Obuchowski).

Conditional on the fitted models: nothing here knows that another training set would give other scores.

References
----------
DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837. Sun & Xu (2014), IEEE Signal Process Lett 21:1389.
Obuchowski (1997), Biometrics 53:567.
"""

import dataclasses

import numpy as np
from scipy import special, stats

from workflow_scripts.lib.study.errors import StudyError

ROUNDING = 1e-13  # share of the models' own variances below which the variance of a difference is rounding
NO_DIFFERENCE = 1e-12  # between AUCs


@dataclasses.dataclass(frozen=True)
class Curves:
    """Areas under the ROC curves of k models.

    Attributes
    ----------
    auc : (k,)
    covariance : (k, k)
    """

    auc: np.ndarray
    covariance: np.ndarray


def share_below(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the share of ``reference`` below each value, equal ones counting one half; (n,), (m,) -> (n,)."""
    reference = np.sort(reference)
    below = np.searchsorted(reference, values, side="left") + np.searchsorted(reference, values, side="right")
    return below / (2 * len(reference))


def placements(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the placements of the positives, (k, n1), and of the negatives, (k, n0).

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        0 or 1.
    scores : numpy.ndarray, (k, n)

    Raises
    ------
    StudyError
        A class is missing, or a score is.
    """
    y, scores = np.asarray(y, dtype=np.float64), np.atleast_2d(np.asarray(scores, dtype=np.float64))
    positive = y > 0.5
    if not 0 < positive.sum() < len(y):
        raise StudyError(
            f"an AUC needs both classes; found {positive.sum()} positives and {(~positive).sum()} negatives. "
            "Give the task more people or leave it out."
        )
    if np.isnan(scores).any():
        model, unit = np.argwhere(np.isnan(scores))[0]
        raise StudyError(f"an AUC needs a score for everybody; that of row {unit}, model {model}, is missing.")
    of_positives = np.stack([share_below(row[positive], row[~positive]) for row in scores])
    of_negatives = np.stack([1 - share_below(row[~positive], row[positive]) for row in scores])
    return of_positives, of_negatives


def _clustered(positive: np.ndarray, v10: np.ndarray, v01: np.ndarray, auc: np.ndarray, clusters: np.ndarray):
    """Covariance when units come in clusters (Obuchowski 1997, section 2), for k models."""
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    size = cluster.max() + 1
    parts, with_any = [], []
    for side, values in ((positive, v10), (~positive, v01)):
        excess = values - auc[:, None]
        parts.append(np.stack([np.bincount(cluster[side], weights=row, minlength=size) for row in excess]))
        with_any.append(len(np.unique(cluster[side])))
    n1, n0 = v10.shape[1], v01.shape[1]
    (x, z), (i1, i0) = parts, with_any
    factor = [np.nan if count < 2 else count / (count - 1) for count in (i1, i0, size)]
    cross = x @ z.T
    return factor[0] * x @ x.T / n1**2 + factor[1] * z @ z.T / n0**2 + factor[2] * (cross + cross.T) / (n1 * n0)


def delong(y: np.ndarray, scores: np.ndarray, clusters: np.ndarray | None = None) -> Curves:
    """Return the AUCs of k models on the same units, and their covariance.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        0 or 1.
    scores : numpy.ndarray, (k, n) or (n,)
        Higher for class 1.
    clusters : numpy.ndarray, (n,), optional
        Whose unit it is (participant of a scan). Left out, units are independent.

    Returns
    -------
    Curves
        The covariance is missing where a class has one unit or one cluster only.

    Raises
    ------
    StudyError
        See :func:`placements`.
    """
    v10, v01 = placements(y, scores)
    auc = v10.mean(1)
    if clusters is not None:
        return Curves(auc, _clustered(np.asarray(y) > 0.5, v10, v01, auc, clusters))
    if min(v10.shape[1], v01.shape[1]) < 2:
        return Curves(auc, np.full((len(auc), len(auc)), np.nan))
    return Curves(auc, np.atleast_2d(np.cov(v10)) / v10.shape[1] + np.atleast_2d(np.cov(v01)) / v01.shape[1])


def _z(difference: float, variance: float, own: float) -> tuple[float, float]:
    """Return standard error and z. Without any variance z is 0 if there is no difference, else missing."""
    if variance <= ROUNDING * own:
        return 0.0, 0.0 if abs(difference) <= NO_DIFFERENCE else np.nan
    return float(np.sqrt(variance)), float(difference / np.sqrt(variance))


def compare_paired(
    y: np.ndarray, a: np.ndarray, b: np.ndarray, level: float = 0.95, clusters: np.ndarray | None = None
) -> dict[str, float]:
    """Compare the AUCs of two models on the same units; two-sided.

    Parameters
    ----------
    y, a, b : numpy.ndarray, (n,)
        Labels, and the scores of both models.
    level : float
        Coverage of the interval of the difference.
    clusters : numpy.ndarray, (n,), optional
        As :func:`delong`.

    Returns
    -------
    dict
        auc_a, auc_b, difference (a - b), se, z, p, lower, upper. Two curves without variance (both AUCs 1) have z 0
        and p 1.
    """
    curves = delong(y, np.stack([a, b]), clusters)
    difference, s = float(curves.auc[0] - curves.auc[1]), curves.covariance
    se, z = _z(difference, s[0, 0] + s[1, 1] - 2 * s[0, 1], s[0, 0] + s[1, 1])
    width = stats.norm.ppf(0.5 + level / 2) * se
    found = {"auc_a": float(curves.auc[0]), "auc_b": float(curves.auc[1]), "difference": difference, "se": se, "z": z}
    return found | {"p": float(2 * stats.norm.sf(abs(z))), "lower": difference - width, "upper": difference + width}


def compare_unpaired(
    y_a: np.ndarray, a: np.ndarray, y_b: np.ndarray, b: np.ndarray, level: float = 0.95
) -> dict[str, float]:
    """Compare the AUCs of two models on different people, by t with Welch's degrees of freedom (those of pROC).

    Parameters
    ----------
    y_a, a : numpy.ndarray, (n_a,)
        Labels and scores of the first.
    y_b, b : numpy.ndarray, (n_b,)
        Of the second.
    level : float

    Returns
    -------
    dict
        auc_a, auc_b, difference, se, t, df, p, lower, upper.
    """
    first, second = delong(y_a, a), delong(y_b, b)
    difference = float(first.auc[0] - second.auc[0])
    variances = np.array([first.covariance[0, 0], second.covariance[0, 0]])
    se, t = _z(difference, variances.sum(), variances.sum())
    parts = variances**2 / (np.array([len(y_a), len(y_b)]) - 1)
    df = float(variances.sum() ** 2 / parts.sum()) if parts.sum() > 0 else np.inf
    width = stats.t.ppf(0.5 + level / 2, df) * se
    found = {"auc_a": float(first.auc[0]), "auc_b": float(second.auc[0]), "difference": difference, "se": se, "t": t}
    bounds = {"lower": difference - width, "upper": difference + width}
    return found | {"df": df, "p": float(2 * stats.t.sf(abs(t), df))} | bounds


def auc_interval(
    y: np.ndarray, s: np.ndarray, level: float = 0.95, scale: str = "wald", clusters: np.ndarray | None = None
) -> dict[str, float]:
    """Bound the AUC of one model.

    Parameters
    ----------
    y, s : numpy.ndarray, (n,)
    level : float
    scale : {'wald', 'logit'}
        ``wald``: AUC -+ z se, cut at 0 and 1. ``logit``: the same for the log odds of the AUC, which keeps the
        interval inside and suits small samples with an AUC near 1; missing where the AUC is 0 or 1.
    clusters : numpy.ndarray, (n,), optional

    Returns
    -------
    dict
        auc, se, lower, upper.
    """
    if scale not in ("wald", "logit"):
        raise ValueError(f"scale is '{scale}'; expected wald or logit")
    curves = delong(y, s, clusters)
    auc, se = float(curves.auc[0]), float(np.sqrt(max(curves.covariance[0, 0], 0)))
    signs = np.array([-1, 1]) * stats.norm.ppf(0.5 + level / 2)
    if scale == "wald":
        lower, upper = np.clip(auc + signs * se, 0, 1)
    elif 0 < auc < 1:
        lower, upper = special.expit(special.logit(auc) + signs * se / (auc * (1 - auc)))
    else:
        lower, upper = np.nan, np.nan
    return {"auc": auc, "se": se, "lower": float(lower), "upper": float(upper)}


def contrast_test(
    y: np.ndarray, scores: np.ndarray, contrasts: np.ndarray, clusters: np.ndarray | None = None
) -> dict[str, float]:
    """Test that all contrasts of the AUCs of k models are 0, by chi square.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
    scores : numpy.ndarray, (k, n)
    contrasts : numpy.ndarray, (rows, k)
        E.g. [[1, -1, 0], [0, 1, -1]] for "all three are equal".
    clusters : numpy.ndarray, (n,), optional

    Returns
    -------
    dict
        chi2, df (the rank of the contrasts' covariance), p. Contrasts that are 0 without variance have chi2 0, df 0
        and p 1; p is missing where one without variance is not 0.
    """
    curves = delong(y, scores, clusters)
    contrasts = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    value, covariance = contrasts @ curves.auc, contrasts @ curves.covariance @ contrasts.T
    size, axes = np.linalg.eigh(covariance)
    kept = size > ROUNDING * np.trace(curves.covariance) * max(1.0, np.abs(contrasts).max() ** 2)
    along = axes.T @ value
    if (np.abs(along[~kept]) > NO_DIFFERENCE * max(1.0, np.abs(contrasts).max())).any():
        return {"chi2": np.nan, "df": int(kept.sum()), "p": np.nan}
    chi2, df = float((along[kept] ** 2 / size[kept]).sum()), int(kept.sum())
    return {"chi2": chi2, "df": df, "p": float(stats.chi2.sf(chi2, df)) if df else 1.0}
