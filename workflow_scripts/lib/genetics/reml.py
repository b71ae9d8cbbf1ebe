"""Variance components by restricted maximum likelihood (REML): one trait and two, after one eigendecomposition.

With covariates X and relatedness G, a trait is y = X b + g + e, g ~ N(0, vg G), e ~ N(0, ve I). REML is the likelihood
of the contrasts A'y whose columns are orthonormal and free of X; with A'GA = U D U' the numbers U'A'y are independent,
each with variance vg d + ve. The decomposition is the same for all traits of the same people, and what follows costs as
many operations as there are people.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize, stats

from workflow_scripts.lib.study.errors import StudyError

GRID = np.linspace(0.0, 1.0, 201)  # where a maximum is looked for before it is polished
CLOSE = 1e-6  # distance from 1 up to which a share is searched: at 1 itself the likelihood may have no value


@dataclass(frozen=True)
class Rotated:
    """Traits as independent numbers.

    Attributes
    ----------
    values : numpy.ndarray, (contrasts,)
        Eigenvalues of the relatedness of the contrasts.
    traits : numpy.ndarray, (contrasts, traits)
        float64; of trait k, row i has variance vg values[i] + ve.
    """

    values: np.ndarray
    traits: np.ndarray


@dataclass(frozen=True)
class Heritability:
    """What REML finds for one trait. Variances are of the trait after covariates, in its unit squared.

    Attributes
    ----------
    h2 : float
        vg / (vg + ve), in [0, 1].
    se : float
        Its standard error, from the average information of vg and ve (delta method).
    lower, upper : float
        Interval by the profile likelihood: it stays in [0, 1] and needs no symmetry.
    lrt, p : float
        Likelihood-ratio test of vg = 0 and its p-value, with half its null distribution at 0.
    genetic, residual : float
        vg and ve.
    loglik : float
        Largest log-likelihood of the contrasts.
    note : str
        What to know of the fit; empty if nothing.
    """

    h2: float
    se: float
    lower: float
    upper: float
    lrt: float
    p: float
    genetic: float
    residual: float
    loglik: float
    note: str


def rotate(relatedness: np.ndarray, traits: np.ndarray, covariates: np.ndarray) -> Rotated:
    """Project covariates and a constant out of traits and relatedness, and make the traits' rows independent.

    Householder reflections turn the covariates into the first coordinates, which are then left out; it and the
    decomposition (LAPACK's dsyevr) work in place: about twice the matrix is needed in all.

    Parameters
    ----------
    relatedness : numpy.ndarray, (people, people)
        float64, symmetric, C order. **Its memory is used for the work: it holds something else afterwards.**
    traits : numpy.ndarray, (people, traits)
        Without missing values.
    covariates : numpy.ndarray, (people, covariates)
        A constant is added; columns that are sums of others count once.

    Raises
    ------
    StudyError
        If covariates leave fewer than 10 contrasts, or nothing of a trait.
    """
    people = len(traits)
    design = np.column_stack([np.ones(people), covariates])
    (reflectors, factors), upper, _ = linalg.qr(design, mode="raw", pivoting=True)
    sizes = np.abs(np.diag(upper))
    rank = int((sizes > 1e-9 * sizes[0]).sum())
    if people - rank < 10:
        raise StudyError(
            f"genetics: {people} people and {rank} covariates (with the constant) leave {people - rank} numbers to "
            "estimate variances from; at least 10 are needed. Use fewer covariates or more people."
        )
    reflectors, factors = np.asfortranarray(reflectors[:, :rank]), factors[:rank]

    def reflect(side: str, transpose: str, matrix: np.ndarray) -> np.ndarray:
        size = int(linalg.lapack.dormqr(side, transpose, reflectors, factors, matrix, -1)[1][0])
        return linalg.lapack.dormqr(side, transpose, reflectors, factors, matrix, size, overwrite_c=1)[0]

    turned = reflect("L", "T", np.array(traits, np.float64, order="F"))[rank:]
    spread = (turned**2).sum(axis=0)
    total = ((traits - traits.mean(axis=0)) ** 2).sum(axis=0)
    if (empty := np.flatnonzero(spread <= 1e-12 * np.maximum(total, np.finfo(float).tiny))).size:
        raise StudyError(f"genetics: trait {empty[0] + 1} does not vary among people after covariates.")
    whole = reflect("R", "N", reflect("L", "T", relatedness.T)).T  # .T: LAPACK's order, without a copy
    left = people - rank
    memory = whole.reshape(-1)
    for row in range(left):  # each row moves forwards, never onto one that is still to move
        memory[row * left : (row + 1) * left] = whole[rank + row, rank:]
    inner = memory[: left * left].reshape(left, left)
    values, vectors = linalg.eigh(inner.T, overwrite_a=True, check_finite=False, driver="evr")
    return Rotated(values, vectors.T @ turned)


def _profile(values: np.ndarray, squares: np.ndarray, share: float) -> tuple[float, float, float]:
    """Give log-likelihood, its slope and the total variance at a share h2, the best total variance taken."""
    weights = 1 / (1 + share * (values - 1))
    count = len(values)
    total = float(weights @ squares) / count
    loglik = -0.5 * (count * (np.log(2 * np.pi) + 1 + np.log(total)) - np.log(weights).sum())
    excess = (values - 1) * weights
    slope = 0.5 * (float((excess * weights) @ squares) / total - excess.sum())
    return float(loglik), float(slope), total


def highest_share(values: np.ndarray) -> float:
    """Give the largest h2 at which every rotated number has a positive variance.

    Just below 1; less if relatedness has negative eigenvalues (from missing calls).
    """
    return (1 - CLOSE) / (1 - min(0.0, float(values.min())))


def univariate(values: np.ndarray, trait: np.ndarray, level: float = 0.95) -> Heritability:
    """Estimate the share of a trait's variance that relatedness explains.

    Parameters
    ----------
    values, trait : numpy.ndarray, (contrasts,)
        Of :class:`Rotated`.
    level : float
        Coverage of the interval.

    References
    ----------
    .. [1] Patterson & Thompson, Biometrika 58:545, 1971 (REML).
    .. [2] Kang et al., Genetics 178:1709, 2008 (one eigendecomposition; here of relatedness without covariates).
    .. [3] Gilmour et al., Biometrics 51:1440, 1995 (average information).
    .. [4] Self & Liang, J Am Stat Assoc 82:605, 1987 (null distribution of the likelihood ratio at a bound).
    """
    squares, top = trait**2, highest_share(values)
    best, (loglik, _, total) = _maximise(values, squares, top)
    genetic, residual = best * total, (1 - best) * total
    note = ""
    if best == 0:
        note = "genetic variance at its bound 0"
    elif best == top:
        note = "residual variance at its bound 0"
    lrt = max(0.0, 2 * (loglik - _profile(values, squares, 0.0)[0]))
    lower, upper = _interval(values, squares, best, top, loglik - stats.chi2.ppf(level, 1) / 2)
    se = _share_error(values, squares, genetic, residual)
    p = boundary_p(lrt)
    return Heritability(best, se, lower, upper, lrt, p, genetic, residual, loglik, note)


def boundary_p(lrt: float) -> float:
    """Return the p-value of a likelihood ratio whose null value is the end of its range: half chi2_0, half chi2_1."""
    return 1.0 if lrt <= 0 else 0.5 * float(stats.chi2.sf(lrt, 1))


def _maximise(values: np.ndarray, squares: np.ndarray, top: float) -> tuple[float, tuple[float, float, float]]:
    """Find the highest point of the profile likelihood: the best of a grid, then the root of the slope beside it."""
    shares = top * GRID
    found = int(np.argmax([_profile(values, squares, share)[0] for share in shares]))
    left, right = shares[max(found - 1, 0)], shares[min(found + 1, len(shares) - 1)]

    def slope(share: float) -> float:
        return _profile(values, squares, share)[1]

    if found == 0 and slope(0.0) <= 0:
        best = 0.0
    elif found == len(shares) - 1 and slope(top) >= 0:
        best = top
    elif slope(left) > 0 > slope(right):
        best = optimize.brentq(slope, left, right, xtol=1e-13)
    else:  # two maxima within two steps of the grid
        answer = optimize.minimize_scalar(
            lambda share: -_profile(values, squares, share)[0], bounds=(left, right), options={"xatol": 1e-10}
        )
        best = answer.x
    return float(best), _profile(values, squares, best)


def _interval(values: np.ndarray, squares: np.ndarray, best: float, top: float, floor: float) -> tuple[float, float]:
    """Find where the profile likelihood falls below ``floor`` on both sides; an end of the range where it does not."""

    def above(share: float) -> float:
        return _profile(values, squares, share)[0] - floor

    lower = 0.0 if above(0.0) >= 0 else optimize.brentq(above, 0.0, best, xtol=1e-10)
    upper = 1.0 if above(top) >= 0 else optimize.brentq(above, best, top, xtol=1e-10)
    return float(lower), float(upper)


def _share_error(values: np.ndarray, squares: np.ndarray, genetic: float, residual: float) -> float:
    weights = 1 / (genetic * values + residual)
    cubes = weights**3 * squares
    information = 0.5 * np.array([[values**2 @ cubes, values @ cubes], [values @ cubes, cubes.sum()]])
    slope = np.array([residual, -genetic]) / (genetic + residual) ** 2
    return float(np.sqrt(slope @ np.linalg.solve(information, slope)))
