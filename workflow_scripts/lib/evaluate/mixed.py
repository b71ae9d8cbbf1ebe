r"""Linear mixed models with crossed random effects, by restricted maximum likelihood (REML).

With random effects of standard deviations :math:`\theta_k \sigma`, the covariance of the response is
:math:`\sigma^2\Omega = \sigma^2 (I + \sum_k \theta_k^2 Z_k Z_k')`, and with
:math:`P = \Omega^{-1} - \Omega^{-1}X(X'\Omega^{-1}X)^{-1}X'\Omega^{-1}` the REML criterion is

.. math:: d(\theta, \sigma) = \log|\Omega| + \log|X'\Omega^{-1}X| + (n - p) \log 2\pi\sigma^2 + y'Py / \sigma^2

Everything it needs, gradient and Hessian too, are products of the columns of Z, X and y, so that no matrix has as many
rows as the table. Degrees of freedom are Satterthwaite's, from the Hessian of d and the slope of the fixed effects'
covariance, as in R's lmerTest.

References
----------
Bates, Maechler, Bolker & Walker (2015), J Stat Softw 67(1). Kuznetsova, Brockhoff & Christensen (2017), J Stat Softw
82(13). Satterthwaite (1946), Biometrics Bull 2:110.
"""

import dataclasses
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import linalg, optimize, stats

from workflow_scripts.lib.evaluate.design import Design, make_design

SINGULAR = 1e-4  # theta below which a variance counts as 0: lme4's limit
STARTS = (1.0, 0.1)
STEPS = 50


class State:
    """The criterion and its derivatives at one theta.

    Attributes
    ----------
    theta : (K,)
    sigma2 : float, the best residual variance given theta
    deviance : float, the criterion there
    """

    def __init__(self, design: Design, theta: np.ndarray):
        q, p, self.design, self.theta = design.z_columns, design.x_columns, design, theta
        scale = theta[design.group]
        inner = np.eye(q) + scale[:, None] * design.cross[:q, :q] * scale
        factor = linalg.cholesky(inner, lower=True)
        half = linalg.solve_triangular(factor, scale[:, None] * design.cross[:q], lower=True)
        weighted = design.cross - half.T @ half  # products of columns through the inverse of Omega
        self.x_factor = linalg.cholesky(weighted[q : q + p, q : q + p], lower=True)
        swept = linalg.solve_triangular(self.x_factor, weighted[q : q + p], lower=True)
        self.weighted, self.projected = weighted, weighted - swept.T @ swept  # ... and through P
        self.free = design.n - p
        self.rest = self.projected[-1, -1]
        self.sigma2 = self.rest / self.free
        logs = np.log(np.diag(factor)).sum() + np.log(np.diag(self.x_factor)).sum()
        self.deviance = 2 * logs + design.log_scale + self.free * (1 + np.log(2 * np.pi * self.sigma2))

    @cached_property
    def _sums(self) -> tuple[np.ndarray, ...]:
        """Per random effect: trace Z'PZ, |Z'Py|^2; per pair: |Z'PZ|^2 and y'PZZ'PZZ'Py."""
        q, count, group = self.design.z_columns, len(self.theta), self.design.group
        zz, zy = self.projected[:q, :q], self.projected[:q, -1]
        member = (group == np.arange(count)[:, None]).astype(np.float64)
        return (
            member @ np.diag(zz),
            member @ zy**2,
            member @ zz**2 @ member.T,
            member @ (zy[:, None] * zz * zy) @ member.T,
        )

    @property
    def slope(self) -> np.ndarray:
        """Gradient of the criterion in theta squared, sigma at its best, (K,)."""
        trace, fit, _, _ = self._sums
        return trace - fit / self.sigma2

    @cached_property
    def hessian(self) -> np.ndarray:
        """Second derivatives of d in (theta, sigma), sigma at its best, (K + 1, K + 1)."""
        trace, fit, pairs, fits = self._sums
        theta, sigma = self.theta, np.sqrt(self.sigma2)
        out = np.empty((len(theta) + 1,) * 2)
        out[:-1, :-1] = 4 * np.outer(theta, theta) * (2 * fits / self.sigma2 - pairs)
        out[:-1, :-1] += np.diag(2 * (trace - fit / self.sigma2))
        out[-1, :-1] = out[:-1, -1] = 4 * theta * fit / sigma**3
        out[-1, -1] = 4 * self.free / self.sigma2
        return out

    def covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the covariance of the fixed effects (p, p) and its slope in (theta, sigma), (K + 1, p, p)."""
        design, q, p = self.design, self.design.z_columns, self.design.x_columns
        inverse = linalg.cho_solve((self.x_factor, True), np.eye(p))
        zx = self.weighted[:q, q : q + p] @ inverse
        slopes = [
            2 * t * self.sigma2 * zx[design.group == k].T @ zx[design.group == k] for k, t in enumerate(self.theta)
        ]
        slopes.append(2 * np.sqrt(self.sigma2) * inverse)
        back = design.back
        return self.sigma2 * back @ inverse @ back.T, np.stack([back @ slope @ back.T for slope in slopes])

    def effects(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the fixed effects (p,) and the predicted random effects (q,)."""
        design, q = self.design, self.design.z_columns
        fixed = linalg.cho_solve((self.x_factor, True), self.weighted[q:-1, -1])
        random = self.theta[design.group] ** 2 * self.projected[:q, -1]
        return design.start + design.back @ fixed, random


def _polish(design: Design, theta: np.ndarray) -> State:
    """Step by Newton's method to where the criterion is flat; what wants to be below 0 is set to 0."""
    state = State(design, theta)
    for _ in range(STEPS):
        free = (state.theta > 1e-6) | (state.slope < 0)
        theta = np.where(free, np.maximum(state.theta, 1e-3), 0.0)
        if (theta != state.theta).any():
            state = State(design, theta)
        full, free = state.hessian, np.flatnonzero(free)
        profiled = full[:-1, :-1] - np.outer(full[:-1, -1], full[-1, :-1]) / full[-1, -1]
        gradient = 2 * state.theta * state.slope
        size, axes = np.linalg.eigh(profiled[np.ix_(free, free)])
        step = np.zeros(len(theta))
        step[free] = axes @ ((axes.T @ gradient[free]) / np.maximum(np.abs(size), 1e-8))
        share = 1.0
        while True:
            after = State(design, np.maximum(state.theta - share * step, 0))
            if after.deviance <= state.deviance + 1e-12 * abs(state.deviance) or share < 1e-6:
                break
            share /= 2
        moved = np.abs(after.theta - state.theta).max(initial=0)
        state = after if share >= 1e-6 else state
        if moved < 1e-12 * (1 + np.abs(theta).max(initial=0)) or share < 1e-6:
            break
    return state


def _search(design: Design) -> State:
    """Find the theta of the smallest criterion from two starts."""
    count = len(design.names)
    if not count:
        return State(design, np.zeros(0))

    def criterion(theta: np.ndarray) -> tuple[float, np.ndarray]:
        state = State(design, theta)
        return state.deviance, 2 * theta * state.slope

    found = []
    for start in STARTS:
        options = {"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9}
        bounds = [(0, None)] * count
        rough = optimize.minimize(
            criterion, np.full(count, start), jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        found.append(_polish(design, rough.x))
    return min(found, key=lambda state: state.deviance)


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A fitted model.

    Attributes
    ----------
    terms : pandas.DataFrame
        term, estimate, se, df (Satterthwaite), t, p (two-sided).
    variances : dict
        Random effect -> variance; ``residual``.
    reml : float
        The REML criterion, -2 log restricted likelihood.
    singular : bool
        A variance is 0: the data do not tell it from 0, and df and p lean on the others.
    effects : dict
        Random effect -> {level: predicted effect}.
    n : int
        Rows.
    covariance : numpy.ndarray, (terms, terms)
        Of the fixed effects.
    """

    terms: pd.DataFrame
    variances: dict[str, float]
    reml: float
    singular: bool
    effects: dict[str, dict[str, float]]
    n: int
    covariance: np.ndarray
    _slopes: np.ndarray = dataclasses.field(repr=False)
    _spread: np.ndarray = dataclasses.field(repr=False)

    def contrast(self, weights: dict[str, float], level: float = 0.95) -> dict[str, float]:
        """Estimate and test a weighted sum of fixed effects.

        Parameters
        ----------
        weights : dict
            Term -> weight; others have 0.
        level : float
            Coverage of the interval.

        Returns
        -------
        dict
            estimate, se, df, t, p, lower, upper.
        """
        names = self.terms["term"].tolist()
        row = np.zeros(len(names))
        for name, weight in weights.items():
            row[names.index(name)] = weight
        estimate = float(row @ self.terms["estimate"].to_numpy())
        found = _test(row, estimate, self.covariance, self._slopes, self._spread)
        width = stats.t.ppf(0.5 + level / 2, found["df"]) * found["se"]
        return {"estimate": estimate, **found, "lower": estimate - width, "upper": estimate + width}


def _test(row: np.ndarray, estimate: float, covariance: np.ndarray, slopes: np.ndarray, spread: np.ndarray) -> dict:
    """Test a weighted sum of fixed effects by t with Satterthwaite's degrees of freedom."""
    variance, gradient = row @ covariance @ row, slopes @ row @ row
    df = 2 * variance**2 / (gradient @ spread @ gradient)
    t = estimate / np.sqrt(variance)
    return {"se": float(np.sqrt(variance)), "df": float(df), "t": float(t), "p": float(2 * stats.t.sf(abs(t), df))}


def fit_mixed(table: pd.DataFrame, response: str, fixed: list[str], random: list[str]) -> Mixed:
    """Fit ``response ~ fixed + (1 | random) + ...``.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a run.
    response : str
        Numeric column.
    fixed : list of str
        Columns, and interactions written ``a:b`` or, with their main effects, ``a*b``. Numbers are taken as they are,
        all else as treatment contrasts against the first level (alphabetical, or the order of a categorical column).
    random : list of str
        Columns whose levels have random intercepts, crossed; ``a:b`` for combinations. Empty: least squares.

    Returns
    -------
    Mixed

    Raises
    ------
    StudyError
        See :func:`workflow_scripts.lib.evaluate.design.make_design`.
    """
    design = make_design(table, response, fixed, random)
    state = _search(design)
    estimates, predicted = state.effects()
    covariance, slopes = state.covariance()
    size, axes = np.linalg.eigh(state.hessian)
    kept = size > 1e-8  # lmerTest's limit: directions without curvature tell nothing
    spread = 2 * axes[:, kept] / size[kept] @ axes[:, kept].T
    rows = np.eye(len(estimates))
    tests = [
        {"term": name, "estimate": float(value), **_test(row, value, covariance, slopes, spread)}
        for name, value, row in zip(design.terms, estimates, rows, strict=True)
    ]
    variances = {name: float(t**2 * state.sigma2) for name, t in zip(design.names, state.theta, strict=True)}
    effects = {
        name: dict(zip(levels, predicted[design.group == k].tolist(), strict=True))
        for k, (name, levels) in enumerate(zip(design.names, design.levels, strict=True))
    }
    return Mixed(
        terms=pd.DataFrame(tests),
        variances=variances | {"residual": float(state.sigma2)},
        reml=float(state.deviance),
        singular=bool((state.theta < SINGULAR).any()),
        effects=effects,
        n=design.n,
        covariance=covariance,
        _slopes=slopes,
        _spread=spread,
    )
