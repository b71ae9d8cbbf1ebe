r"""Logistic regression for many resamples at once.

Resampling is weighting: every resample shares one matrix X and has its own row of weights W (0 or
1, or counts). Standardising the columns inside each resample and penalising the standardised
coefficients is the same as penalising coefficient j of the commonly scaled X by its variance in
that resample, so that no resample needs a matrix of its own:

.. math:: \min_{\beta, b} \sum_i w_i \log(1 + e^{-s_i (x_i\beta + b)}) + \frac{1}{2C} \sum_j var_j \beta_j^2

Two solvers share this objective, which is that of scikit-learn's ``LogisticRegression(C=C)`` after a
``StandardScaler``: steps preconditioned by one Hessian for all fits (two matrix products a step),
then, for fits that it does not bring to the tolerance, Newton's method with step halving.
"""

import dataclasses

import numpy as np
from scipy import linalg, special

from workflow_scripts.lib.study.errors import StudyError

TOLERANCE = 1e-9  # of the gradient per unit of weight, in standardised units
ACCEPTED = 1e-6  # rounding may stop a nearly separable fit here
SHARED_STEPS = 60  # a shared step costs about d/4 times less than a Newton step
SHARED_FITS = 128  # stepped together: few enough that what a step works on stays in the cache
DIVERGED = 1e6
NEWTON_STEPS = 100
HALVINGS = 30


@dataclasses.dataclass(frozen=True)
class Problem:
    """A batch of penalised fits that share one design matrix.

    Attributes
    ----------
    x : (n, d + 1) commonly scaled columns and a last column of ones
    y : (n,) 0 or 1
    weights : (fits, n)
    penalty : (fits, d + 1) variance / C; 0 for the intercept
    scale : (fits, d + 1) standard deviations, to measure the gradient in standardised units
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    penalty: np.ndarray
    scale: np.ndarray

    def part(self, fits: np.ndarray | slice) -> "Problem":
        """Return the problem of some of the fits."""
        return Problem(self.x, self.y, self.weights[fits], self.penalty[fits], self.scale[fits])

    def loss(self, beta: np.ndarray) -> np.ndarray:
        """Return the objective of each fit at ``beta``, (fits, d + 1) -> (fits,)."""
        margin = (2 * self.y - 1) * (beta @ self.x.T)
        return (self.weights * np.logaddexp(0, -margin)).sum(1) + 0.5 * (self.penalty * beta**2).sum(1)

    def slope(self, beta: np.ndarray) -> np.ndarray:
        """Return the gradient alone, (fits, d + 1) -> (fits, d + 1); in place, since it is most of the work."""
        p = -beta @ self.x.T
        with np.errstate(over="ignore"):  # exp(710): p is 0
            np.exp(p, out=p)
        p += 1
        np.reciprocal(p, out=p)
        p -= self.y
        p *= self.weights
        return p @ self.x + self.penalty * beta

    def error(self, gradient: np.ndarray) -> np.ndarray:
        """Measure gradients in standardised units per unit of weight: the largest of each fit, (fits,)."""
        return np.abs(gradient / self.scale).max(1) / self.weights.sum(1)

    def gradient(self, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the gradient (fits, d + 1), the curvatures w p (1 - p) (fits, n) and the error (fits,)."""
        p = special.expit(beta @ self.x.T)
        gradient = (self.weights * (p - self.y)) @ self.x + self.penalty * beta
        return gradient, self.weights * p * (1 - p), self.error(gradient)


def common_scale(x: np.ndarray) -> np.ndarray:
    """Centre and scale the columns by all rows; constant columns become 0."""
    centred = x - x.mean(0)
    deviation = centred.std(0)
    return centred / np.where(deviation > 1e-12 * np.maximum(np.abs(x).max(0), 1), deviation, np.inf)


def resample_moments(z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, variances and constancy of the columns inside each resample, (fits, d) each.

    A column that is constant in a resample gets variance 1: its penalised coefficient is then 0,
    since the free intercept can do the same, and it takes no part in that fit.
    """
    total = weights.sum(1, keepdims=True)
    mean = weights @ z / total
    variance = weights @ z**2 / total - mean**2
    constant = variance <= 1e-12
    return mean, np.where(constant, 1.0, variance), constant


def make_problem(x: np.ndarray, y: np.ndarray, weights: np.ndarray, c: float) -> Problem:
    """Pose the fits of :func:`fit_logistic`; the arguments are its own."""
    weights = np.asarray(weights, dtype=np.float64)
    positive = weights @ y
    single = (positive == 0) | (positive == weights.sum(1))
    if single.any():
        raise StudyError(
            f"resample {int(np.argmax(single))} of this batch trains on one class only. "
            "Turn probe: stratify on, or leave such resamples out."
        )
    z = common_scale(np.asarray(x, dtype=np.float64))
    _, variance, _ = resample_moments(z, weights)
    ones = np.ones((len(weights), 1))
    return Problem(
        x=np.hstack([z, np.ones((len(z), 1))]),
        y=np.asarray(y, dtype=np.float64),
        weights=weights,
        penalty=np.hstack([variance / c, 0 * ones]),
        scale=np.hstack([np.sqrt(variance), ones]),
    )


def _hessians(problem: Problem, curvature: np.ndarray) -> np.ndarray:
    """Return X' diag(curvature) X + diag(penalty) for each fit, (fits, d + 1, d + 1)."""
    hessian = np.stack([(root[:, None] * problem.x).T @ (root[:, None] * problem.x) for root in np.sqrt(curvature)])
    diagonal = np.arange(hessian.shape[1])
    hessian[:, diagonal, diagonal] += problem.penalty
    hessian[:, -1, -1] += 1e-12 * problem.weights.sum(1)  # certain fits have no curvature left in the intercept
    return hessian


def newton(problem: Problem, beta: np.ndarray, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Minimise by Newton's method, halving a step that does not lower the objective enough.

    Returns
    -------
    beta : numpy.ndarray, (fits, d + 1)
    error : numpy.ndarray, (fits,)
        Largest standardised gradient per unit of weight.
    """
    beta = beta.copy()
    error = np.full(len(beta), np.inf)
    active = np.arange(len(beta))
    for _ in range(NEWTON_STEPS):
        gradient, curvature, error[active] = problem.part(active).gradient(beta[active])
        keep = error[active] > tolerance
        active, gradient, curvature = active[keep], gradient[keep], curvature[keep]
        if not len(active):
            break
        part = problem.part(active)
        step = np.linalg.solve(_hessians(part, curvature), gradient[..., None])[..., 0]
        before, slope = part.loss(beta[active]), (gradient * step).sum(1)
        size = np.ones(len(active))
        for _ in range(HALVINGS):
            after = part.loss(beta[active] - size[:, None] * step)
            poor = after > before - 1e-4 * size * slope + 1e-12 * np.abs(before)
            if not poor.any():
                break
            size[poor] /= 2
        beta[active] -= size[:, None] * step
    return beta, error


def _descend(
    problem: Problem, factor: tuple, beta: np.ndarray, gradient: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Step a few fits from ``beta``, where their gradient is known, until the error is small, huge or not to be mended.

    Each step is corrected by what the last one taught (a secant in the metric of the shared Hessian; Anderson's method
    of depth 1): 7 to 8 steps instead of 8 to 10 with 64 to 104 columns.
    """
    beta, error = beta.copy(), problem.error(gradient)
    active, share = np.arange(len(beta)), np.minimum(problem.weights.mean(1, keepdims=True), 1)
    last = None
    for _ in range(SHARED_STEPS):
        keep = (error[active] > tolerance) & (error[active] < DIVERGED)
        if not keep.all():
            active, gradient = active[keep], gradient[keep]
            last = last and tuple(values[keep] for values in last)
        if not len(active):
            break
        step = plain = -linalg.cho_solve(factor, gradient.T, check_finite=False).T / share[active]
        if last is not None:
            moved, before, plain_before = last
            taught, turn = gradient - before, plain - plain_before
            length = (taught * turn).sum(1)
            part = (taught * plain).sum(1) / np.where(length < 0, length, -np.inf)
            step = plain - part[:, None] * (moved + turn)
        last = (step, gradient, plain)
        beta[active] += step
        part = problem if len(active) == len(beta) else problem.part(active)
        gradient = part.slope(beta[active])
        error[active] = part.error(gradient)
    return beta, error


def shared_steps(problem: Problem, pooled: Problem, tolerance: float = TOLERANCE) -> tuple[np.ndarray, np.ndarray]:
    """Minimise with one factorised Hessian for all fits, that of the fit to all rows.

    It converges fast where each resample keeps nearly all rows (the published design leaves 100 of
    2,431 out) and not at all for some others: see the returned error. It starts from the fit to
    all rows, so that a fit does not depend on which others share its batch.

    Parameters
    ----------
    problem : Problem
    pooled : Problem
        One fit with weight 1 for every row.
    tolerance : float

    Returns
    -------
    beta, error
        As :func:`newton`.
    """
    start, _ = newton(pooled, np.zeros((1, problem.x.shape[1])), tolerance)
    _, curvature, _ = pooled.gradient(start)
    factor = linalg.cho_factor(_hessians(pooled, curvature)[0])
    residual = special.expit(problem.x @ start[0]) - problem.y  # the same for all fits: their first gradient is cheap
    gradient = problem.weights @ (residual[:, None] * problem.x) + problem.penalty * start
    beta, error = np.repeat(start, len(problem.weights), 0), np.empty(len(problem.weights))
    for first in range(0, len(beta), SHARED_FITS):
        rows = slice(first, first + SHARED_FITS)
        beta[rows], error[rows] = _descend(problem.part(rows), factor, beta[rows], gradient[rows], tolerance)
    return beta, error


def fit_logistic(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, c: float = 1.0, shared: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Fit every resample and return its linear score for every row.

    Parameters
    ----------
    x : numpy.ndarray, (n, d), float64
        Any units; columns are standardised inside each resample.
    y : numpy.ndarray, (n,)
        0 or 1.
    weights : numpy.ndarray, (fits, n)
        0 where a row is left out, else 1 (or a count).
    c : float
        Inverse strength of the L2 penalty on standardised coefficients, as in scikit-learn.
    shared : bool
        Try :func:`shared_steps` first.

    Returns
    -------
    scores : numpy.ndarray, (fits, n), float64
        Log odds.
    error : numpy.ndarray, (fits,)
        Largest standardised gradient per unit of weight at the solution.

    Raises
    ------
    StudyError
        A resample has one class only, or a fit does not converge.
    """
    problem = make_problem(x, y, weights, c)
    beta = np.zeros((len(problem.weights), problem.x.shape[1]))
    error = np.full(len(beta), np.inf)
    if shared:
        beta, error = shared_steps(problem, make_problem(x, y, np.ones((1, len(x))), c))
    todo = np.flatnonzero(~(error <= TOLERANCE))
    if len(todo):
        near = error[todo] < 1e-2  # else the shared steps led astray: start afresh
        start = np.where(near[:, None], beta[todo], 0.0)
        beta[todo], error[todo] = newton(problem.part(todo), start)
    if not (error <= ACCEPTED).all():
        raise StudyError(
            f"logistic regression: {int((~(error <= ACCEPTED)).sum())} fits did not converge with C = {c} "
            f"(gradient {np.nanmax(error):.1e}). Lower probe: c."
        )
    return beta @ problem.x.T, error
