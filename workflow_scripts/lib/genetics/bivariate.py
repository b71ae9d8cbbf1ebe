"""Genetic and residual correlation of two traits by REML, on the rotated traits of :mod:`reml`.

Row i of two rotated traits is a pair of numbers with covariance matrix d_i A + B: A genetic, B residual, both 2 x 2.
The six parameters are the two genetic and the two residual variances and the two correlations, so that the bounds of
each are simple; they are found by Fisher scoring within those bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from workflow_scripts.lib.genetics import reml

# parameters: genetic variance of the first and second trait, genetic correlation, and the same of the residual
GENETIC, RESIDUAL, RG, RE = [0, 1], [3, 4], 2, 5
LEAST = 1e-6  # variances are sought above this share of the trait's
MOST_RE = 1 - 1e-6  # at 1 the likelihood may have no value
MOST_STEPS = 100
FAR = 2.0  # a standard error of this size spans the whole range of a correlation and more
BASES = np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]], float)  # of a symmetric 2 x 2 matrix


@dataclass(frozen=True)
class Correlation:
    """What REML finds for two traits.

    Attributes
    ----------
    rg, se : float
        Genetic correlation and its standard error (delta method on the average information); missing if a trait has no
        genetic variance, the error also if it is over 2.
    lower, upper : float
        Interval by the profile likelihood, within [-1, 1].
    p_zero, p_one : float
        Likelihood-ratio tests of rg = 0 (two-sided) and of rg = 1 (half the null distribution at 0).
    re, re_se : float
        Correlation of the residuals and its standard error.
    h2 : tuple of float
        Heritability of the two traits in this model.
    loglik : float
        Largest log-likelihood of the contrasts.
    note : str
        What to know of the fit; empty if nothing.
    """

    rg: float
    se: float
    lower: float
    upper: float
    p_zero: float
    p_one: float
    re: float
    re_se: float
    h2: tuple[float, float]
    loglik: float
    note: str


@dataclass(frozen=True)
class _Fit:
    parameters: np.ndarray
    loglik: float
    converged: bool


def bivariate(values: np.ndarray, pair: np.ndarray, level: float = 0.95) -> Correlation:
    """Estimate how far the genetic effects on two traits of the same people agree.

    Parameters
    ----------
    values : numpy.ndarray, (contrasts,)
        Eigenvalues of :class:`reml.Rotated`.
    pair : numpy.ndarray, (contrasts, 2)
        Two of its traits.
    level : float
        Coverage of the interval.

    References
    ----------
    .. [1] Lee et al., Bioinformatics 28:2540, 2012 (bivariate REML of genome-wide relatedness; tests of rg).
    .. [2] Gilmour et al., Biometrics 51:1440, 1995 (average information).
    """
    pair = pair / np.sqrt((pair**2).mean(axis=0))
    values = np.maximum(values, 0.0)  # from missing calls only; the covariance must be one at every row
    best = _best(values, pair)
    if min(best.parameters[GENETIC]) <= 2 * LEAST:
        return _without_genetic(values, pair, best)
    restricted = {rg: _best(values, pair, {RG: rg}) for rg in (0.0, 1.0)}
    zero, one = (max(0.0, 2 * (best.loglik - restricted[rg].loglik)) for rg in (0.0, 1.0))
    lower, upper = _interval(values, pair, best, best.loglik - stats.chi2.ppf(level, 1) / 2)
    rg_se, re_se = _errors(values, pair, best.parameters)
    rg = float(best.parameters[RG])
    notes = []
    if (lower, upper) == (-1, 1):
        rg = rg_se = float("nan")  # where the search ended says nothing
        notes.append("any genetic correlation fits: a trait has hardly any genetic variance")
    elif abs(rg) == 1:
        notes.append("genetic correlation at its bound: its standard error says little, the interval holds")
    if min(best.parameters[RESIDUAL]) <= 2 * LEAST or abs(best.parameters[RE]) >= MOST_RE:
        notes.append("residual variance or correlation at its bound")
    if not all(fit.converged for fit in (best, *restricted.values())):
        notes.append("not converged")
    p_zero = float(stats.chi2.sf(zero, 1))
    rg_se = rg_se if rg_se < FAR else float("nan")
    return Correlation(
        *(rg, rg_se, lower, upper, p_zero, reml.boundary_p(one), float(best.parameters[RE]), re_se),
        *(_shares(best.parameters), best.loglik, "; ".join(notes)),
    )


def loglik(values: np.ndarray, pair: np.ndarray, parameters: np.ndarray) -> float:
    """Return the log-likelihood of the contrasts at six parameters (see the head of this module)."""
    return _evaluate(values, pair, parameters, derivatives=False)[0]


def _without_genetic(values: np.ndarray, pair: np.ndarray, best: _Fit) -> Correlation:
    low = best.parameters <= 2 * LEAST
    which = " and ".join(name for name, at in zip(("first", "second"), GENETIC, strict=True) if low[at])
    note = f"genetic variance of the {which} trait at its bound 0: no genetic correlation"
    none = [float("nan")] * 6
    re_se = _errors(values, pair, best.parameters)[1]
    return Correlation(*none, float(best.parameters[RE]), re_se, _shares(best.parameters), best.loglik, note)


def _shares(parameters: np.ndarray) -> tuple[float, float]:
    genetic, residual = parameters[GENETIC], parameters[RESIDUAL]
    first, second = genetic / (genetic + residual)
    return float(first), float(second)


def _matrices(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return A and B as their entries 11, 12, 22."""
    first, second, rg, left, right, re = parameters
    genetic = np.array([first, rg * np.sqrt(first * second), second])
    return genetic, np.array([left, re * np.sqrt(left * right), right])


def _jacobian(parameters: np.ndarray) -> np.ndarray:
    """Differentiate the six entries of A and B by the six parameters."""
    slopes = np.zeros((6, 6))
    for at in (0, 3):
        first, second, correlation = parameters[at : at + 3]
        root = np.sqrt(first * second)
        slopes[at, at] = slopes[at + 2, at + 1] = 1
        slopes[at + 1, at : at + 3] = correlation * root / (2 * first), correlation * root / (2 * second), root
    return slopes


def _evaluate(
    values: np.ndarray, pair: np.ndarray, parameters: np.ndarray, derivatives: bool = True, average: bool = False
) -> tuple[float, np.ndarray, np.ndarray]:
    """Give the log-likelihood, and its gradient and information in the six entries of A and B.

    The information is the expected one, or the average one, which also takes the data in.
    """
    genetic, residual = _matrices(parameters)
    v11, v12, v22 = (values * a + b for a, b in zip(genetic, residual, strict=True))
    determinant = v11 * v22 - v12**2
    if not (determinant > 0).all():
        return -np.inf, np.zeros(6), np.zeros((6, 6))
    w11, w12, w22 = v22 / determinant, -v12 / determinant, v11 / determinant
    q1 = w11 * pair[:, 0] + w12 * pair[:, 1]
    q2 = w12 * pair[:, 0] + w22 * pair[:, 1]
    fit = pair[:, 0] @ q1 + pair[:, 1] @ q2
    value = -0.5 * (2 * len(values) * np.log(2 * np.pi) + np.log(determinant).sum() + fit)
    if not derivatives:
        return float(value), np.zeros(6), np.zeros((6, 6))
    rows = np.array([q1**2 - w11, 2 * (q1 * q2 - w12), q2**2 - w22])
    gradient = 0.5 * np.concatenate([rows @ values, rows.sum(axis=1)])
    cells = np.empty((3, 3, len(values)))
    if average:  # (E q)' W (E' q) for the bases E, E'
        moved = [(basis @ np.array([q1, q2])) for basis in BASES]
        for i, (a, b) in enumerate(moved):
            for j, (c, d) in enumerate(moved):
                cells[i, j] = w11 * a * c + w12 * (a * d + b * c) + w22 * b * d
    else:  # trace of W E W E'
        cells[0] = w11**2, 2 * w11 * w12, w12**2
        cells[1] = 2 * w11 * w12, 2 * (w11 * w22 + w12**2), 2 * w12 * w22
        cells[2] = w12**2, 2 * w12 * w22, w22**2
    powers = [cells @ values**power for power in (2, 1, 0)]
    information = 0.5 * np.block([[powers[0], powers[1]], [powers[1], powers[2]]])
    return float(value), gradient, information


def _limits() -> tuple[np.ndarray, np.ndarray]:
    return np.array([LEAST, LEAST, -1, LEAST, LEAST, -MOST_RE]), np.array([np.inf, np.inf, 1, np.inf, np.inf, MOST_RE])


def _climb(values: np.ndarray, pair: np.ndarray, start: np.ndarray, fixed: dict[int, float]) -> _Fit:
    """Climb by Fisher scoring; a parameter that its slope pushes over its bound waits there, steps that lose shrink."""
    lowest, highest = _limits()
    at = np.clip(start, lowest, highest)
    at[list(fixed)] = list(fixed.values())
    value, slopes, information = _evaluate(values, pair, at)
    for _ in range(MOST_STEPS):
        jacobian = _jacobian(at)
        slope, curve = jacobian.T @ slopes, jacobian.T @ information @ jacobian
        free = ~(((at <= lowest) & (slope <= 0)) | ((at >= highest) & (slope >= 0)))
        free[list(fixed)] = False
        chosen = np.ix_(free, free)
        scale = np.sqrt(np.diag(curve)[free])  # parameters of unlike size
        step = np.linalg.lstsq(curve[chosen] / np.outer(scale, scale), slope[free] / scale, rcond=1e-10)[0] / scale
        if slope[free] @ step < 1e-9:  # twice the gain still to be had in the log-likelihood
            return _Fit(at, value, True)
        for shrink in 0.5 ** np.arange(30):
            there = at.copy()
            there[free] += shrink * step
            there = np.clip(there, lowest, highest)
            if loglik(values, pair, there) > value:
                break
        else:
            return _Fit(at, value, bool(slope[free] @ step < 1e-5))
        at = there
        value, slopes, information = _evaluate(values, pair, at)
    return _Fit(at, value, False)


def _best(values: np.ndarray, pair: np.ndarray, fixed: dict[int, float] | None = None) -> _Fit:
    """Climb from the traits' own estimates and several correlations; the highest point counts."""
    fixed = fixed or {}
    shares = np.clip([reml.univariate(values, pair[:, column]).h2 for column in (0, 1)], 0.05, 0.95)
    observed = float(np.clip((pair[:, 0] * pair[:, 1]).mean(), -0.9, 0.9))
    fits = []
    for rg in {round(fixed.get(RG, rg), 6) for rg in (observed, 0.0, np.sign(observed) * 0.9)}:
        start = np.array([*shares, rg, *(1 - shares), observed])
        fits.append(_climb(values, pair, start, fixed))
    return max(fits, key=lambda fit: fit.loglik)


def _interval(values: np.ndarray, pair: np.ndarray, best: _Fit, floor: float) -> tuple[float, float]:
    """Find where the likelihood, all else at its best, falls below ``floor`` on both sides of the estimate."""

    def above(rg: float) -> float:
        return _climb(values, pair, best.parameters, {RG: rg}).loglik - floor

    return _crossing(above, float(best.parameters[RG]), -1.0), _crossing(above, float(best.parameters[RG]), 1.0)


def _crossing(above: Callable[[float], float], inside: float, end: float) -> float:
    if inside == end or above(end) >= 0:
        return end
    return float(optimize.brentq(above, inside, end, xtol=1e-6))


def _errors(values: np.ndarray, pair: np.ndarray, parameters: np.ndarray) -> tuple[float, float]:
    """Return the standard errors of the two correlations from the average information."""
    information = _evaluate(values, pair, parameters, average=True)[2]
    jacobian = _jacobian(parameters)
    covariance = np.linalg.pinv(jacobian.T @ information @ jacobian, hermitian=True)
    return float(np.sqrt(covariance[RG, RG])), float(np.sqrt(covariance[RE, RE]))
