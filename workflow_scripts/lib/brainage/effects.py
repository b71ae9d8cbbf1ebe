"""One association at a time: a gap on one term and covariates, and the standardised difference of two groups."""

import dataclasses

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy import optimize, special, stats

from workflow_scripts.lib.evaluate.adjust import benjamini_hochberg

# residual degrees of freedom below which a p-value says nothing
LEAST_FREEDOM = 10


@dataclasses.dataclass(frozen=True)
class Effect:
    """The coefficient of a term in a linear model, or why there is none.

    Attributes
    ----------
    n : int
        People.
    covariates : str
        Those that entered, separated by commas.
    beta, se, lower, upper : float
        Change of the outcome for one unit of the term, its standard error and interval.
    t, df, p : float
        Test that it is 0.
    note : str
        Why the numbers are missing, or which covariate did not enter.
    """

    n: int
    covariates: str = ""
    beta: float = np.nan
    se: float = np.nan
    lower: float = np.nan
    upper: float = np.nan
    t: float = np.nan
    df: float = np.nan
    p: float = np.nan
    note: str = ""


def fit_effect(
    outcome: np.ndarray, term: np.ndarray, covariates: pd.DataFrame, level: float = 0.95, term_name: str = "term"
) -> Effect:
    """Fit outcome ~ 1 + term + covariates by least squares.

    Parameters
    ----------
    outcome, term : numpy.ndarray, (n_people,)
    covariates : pandas.DataFrame, (n_people, n_covariates)
        Numbers; a covariate that is constant, or a combination of others, does not enter, and the note names it.
    level : float
        Coverage of the interval.
    term_name : str
        For the note.

    Returns
    -------
    Effect
        Without numbers where the term does not vary or fewer than :data:`LEAST_FREEDOM` residual degrees of freedom
        would be left.
    """
    n = len(outcome)
    columns, dropped = _independent(covariates)
    shown = ", ".join(columns.columns)
    if n == 0 or np.ptp(term) == 0:
        found = f": all {n} people have {term[0]:g}" if n else ": there are no people"
        return Effect(n, shown, note=f"{term_name} does not vary{found}")
    need = LEAST_FREEDOM + 2 + columns.shape[1]
    if n < need:
        return Effect(n, shown, note=f"{n} people, {need} are needed")
    design = np.column_stack([np.ones(n), term, columns.to_numpy(dtype=np.float64)])
    if np.linalg.matrix_rank(_scaled(design)) < design.shape[1]:
        return Effect(n, shown, note=f"{term_name} is a combination of the covariates")
    fit = sm.OLS(np.asarray(outcome, dtype=np.float64), design).fit()
    lower, upper = fit.conf_int(1 - level)[1]
    numbers = (fit.params[1], fit.bse[1], lower, upper, fit.tvalues[1], fit.df_resid, fit.pvalues[1])
    note = f"left out as constant or a combination of others: {', '.join(dropped)}" if dropped else ""
    return Effect(n, shown, *map(float, numbers), note=note)


def _scaled(design: np.ndarray) -> np.ndarray:
    """Scale columns to length 1 about their mean (the first is the intercept), so that units do not decide the rank."""
    centred = design[:, 1:] - design[:, 1:].mean(0)
    length = np.sqrt((centred**2).sum(0))
    return np.column_stack([np.ones(len(design)) / np.sqrt(len(design)), centred / np.where(length > 0, length, 1)])


def _independent(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Keep columns that vary and are no combination of the ones before; also give the names of the others."""
    kept: list[str] = []
    for name in table.columns:
        values = np.column_stack([np.ones(len(table)), table[[*kept, name]].to_numpy(dtype=np.float64)])
        if len(table) and np.linalg.matrix_rank(_scaled(values)) == values.shape[1]:
            kept.append(name)
    return table[kept], [name for name in table.columns if name not in kept]


def adjust(tests: pd.DataFrame, rate: float) -> pd.DataFrame:
    """Add q (Benjamini and Hochberg over all rows with a p-value) and whether it is below the rate."""
    q = benjamini_hochberg(tests["p"].to_numpy(dtype=np.float64))
    significant = pd.Series(q < rate, index=tests.index, dtype=object).mask(np.isnan(q), None)
    place = tests.columns.get_loc("p") + 1
    tests.insert(place, "q", q)
    tests.insert(place + 1, "significant", significant)
    return tests


def hedges_g(group: np.ndarray, reference: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """Return Hedges' g, the difference of means in pooled standard deviations without small-sample bias.

    The interval is that of the noncentral t distribution, exact for normal values of equal spread, times the same
    correction.

    Parameters
    ----------
    group, reference : numpy.ndarray, (n_group,) and (n_reference,)
        g is above 0 if the group has the larger mean.
    level : float

    Returns
    -------
    g, lower, upper : float
        Missing with fewer than 2 in a group or no spread.

    References
    ----------
    Hedges (1981), J Educ Stat 6:107, equations 6e and 10. Steiger & Fouladi (1997), in: What if there were no
    significance tests?, chapter 9 (interval).
    """
    n, m = len(group), len(reference)
    df = n + m - 2
    if min(n, m) < 2:
        return (float("nan"),) * 3
    variance = (((group - group.mean()) ** 2).sum() + ((reference - reference.mean()) ** 2).sum()) / df
    if variance <= 0:
        return (float("nan"),) * 3
    unit = np.sqrt(1 / n + 1 / m)
    t = (group.mean() - reference.mean()) / np.sqrt(variance) / unit
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2) if df > 1 else np.nan
    lower, upper = (_noncentrality(t, df, share) for share in (0.5 + level / 2, 0.5 - level / 2))
    return tuple(float(correction * unit * value) for value in (t, lower, upper))


def _noncentrality(t: float, df: int, share: float) -> float:
    """Return the noncentrality under which a share of all t lies below this one; missing where scipy cannot tell."""
    width = 6 * np.sqrt(1 + t**2 / (2 * df)) + 4 / df  # six standard errors

    def miss(centre: float) -> float:
        below = stats.nct.cdf(t, df, centre)
        # scipy gives up far from the centre, where all or nothing lies below
        return (float(centre < t) if np.isnan(below) else below) - share

    found = optimize.brentq(miss, t - width, t + width, xtol=1e-10)
    return found if abs(miss(found)) < 1e-6 else float("nan")
