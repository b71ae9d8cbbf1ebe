"""Tail probabilities of weighted sums of squared normal numbers."""

import numpy as np
from scipy import optimize, special

NODES, MOST_NODES = 60, 2000  # of the trapezoid rule: doubled until the integral stays
DROP = 45.0  # the integrand is followed until it has fallen by e^-45


def log_tail(statistic: float, weights: np.ndarray) -> float:
    """Return the natural logarithm of P(sum_i w_i X_i^2 > statistic), X_i independent standard normal.

    The distribution's Laplace transform is inverted numerically along a path through (near) its saddle point that bends
    to the right, where the integrand falls like exp(-x^2): about 10 digits of the probability, however small it is,
    where moment matching [1]_ has a relative error that grows in the tail.

    Parameters
    ----------
    statistic : float
    weights : numpy.ndarray, (terms,)
        Not negative, at least one positive.

    Returns
    -------
    float
        0 for a statistic that is not positive.

    Raises
    ------
    ValueError
        If no weight is positive.

    References
    ----------
    .. [1] Liu, Tang & Zhang, Comput Stat Data Anal 53:853, 2009.
    .. [2] Rice, SIAM J Sci Stat Comput 1:438, 1980 (inversion along a path through the saddle point).
    """
    weights = np.asarray(weights, float)
    weights = weights[weights > 1e-12 * weights.max(initial=0.0)]
    if not weights.size:
        raise ValueError("no weight is positive")
    if statistic <= 0:
        return 0.0
    weights, point = weights / weights.max(), statistic / weights.max()  # the singularity is now at 1/2
    saddle = _saddle(point, weights)
    # P = (1 / pi) * integral over y > 0 of Im[exp(K(s) - s x) / s * ds/dy], K(s) = -sum log(1 - 2 w s) / 2
    width = 1 / np.sqrt(2 * ((weights / (1 - 2 * weights * saddle)) ** 2).sum() + 1 / saddle**2)
    start = float(_exponent(saddle + 0j, point, weights).real)
    # ds/dy = i + 2 bend y: upwards where the peak is, to the right farther out, less so below the mean
    bend = 0.5 / (0.5 - saddle) * min(1.0, point / weights.sum())
    reach = _reach(point, weights, saddle, width, bend, start)
    while reach is None:  # the integrand rises on that path: K grows to the right at first
        bend /= 4
        reach = _reach(point, weights, saddle, width, bend, start)
    # y = width sinh(t): fine steps over the peak, wide ones where little happens
    nodes, before = NODES, np.nan
    while True:
        t, step = np.linspace(0, reach, nodes + 1, retstep=True)
        y, slope = width * np.sinh(t), width * np.cosh(t)
        s = _path(y, saddle, bend)
        heights = (np.exp(_exponent(s, point, weights) - start) / s * (1j + 2 * bend * y)).imag * slope
        integral = step * (heights.sum() - 0.5 * (heights[0] + heights[-1])) / np.pi
        if abs(integral - before) <= 1e-8 * abs(integral) or nodes > MOST_NODES:
            return min(0.0, start + float(np.log(max(integral, np.finfo(float).tiny))))
        nodes, before = 2 * nodes, integral


def _reach(point: float, weights: np.ndarray, saddle: float, width: float, bend: float, start: float) -> float | None:
    """Find how far (in t) the integrand must be followed on a path; None if it rises on its way."""
    t = np.arange(0, 50, 0.5)
    with np.errstate(over="ignore", invalid="ignore"):
        fall = _exponent(_path(width * np.sinh(t), saddle, bend), point, weights).real - start
    end = int(np.argmax(fall < -DROP))
    return None if end == 0 or (np.diff(fall[: end + 1]) > 0.01).any() else float(t[end])


def z_of(log_p: float) -> float:
    """Return the normal quantile with an upper tail of exp(log_p), also where that is too small for a float."""
    return float(-special.ndtri_exp(log_p))


def _path(y: np.ndarray | float, saddle: float, bend: float) -> np.ndarray | complex:
    return saddle + 1j * y + bend * y**2


def _exponent(s: np.ndarray | complex, point: float, weights: np.ndarray) -> np.ndarray | complex:
    return -0.5 * np.log(1 - 2 * np.multiply.outer(np.asarray(s), weights)).sum(axis=-1) - s * point


def _saddle(point: float, weights: np.ndarray) -> float:
    """Find where exp(K(s) - s x) / s is smallest on (0, 1/2): there it is highest along the path."""

    def slope(s: float) -> float:
        return float((weights / (1 - 2 * weights * s)).sum()) - point - 1 / s

    return optimize.brentq(slope, 1e-12 / max(point, 1.0), 0.5 * (1 - 1e-12))
