"""How good predicted ages are, and how far the gaps of two representations agree."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation; missing with fewer than 3 pairs or no spread."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def fisher_interval(r: float, n: int, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a correlation by Fisher's z: tanh(atanh r -+ z / sqrt(n - 3)).

    Missing with fewer than 4 pairs. It takes people as independent and gaps as roughly normal.
    """
    if n < 4 or not np.isfinite(r):
        return float("nan"), float("nan")
    width = stats.norm.ppf(0.5 + level / 2) / np.sqrt(n - 3)
    centre = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15))
    return float(np.tanh(centre - width)), float(np.tanh(centre + width))


def accuracy(age: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Describe predicted ages.

    Parameters
    ----------
    age, predicted : numpy.ndarray, (n_people,)
        Years.

    Returns
    -------
    dict
        mae (years), r, r2 (1 - squared error / squared deviation from these people's mean),
        gap_age_r (correlation of the gap with age).
    """
    if not len(age):
        return dict.fromkeys(("mae", "r", "r2", "gap_age_r"), float("nan"))
    gap = predicted - age
    spread = ((age - age.mean()) ** 2).sum()
    return {
        "mae": float(np.abs(gap).mean()),
        "r": pearson(age, predicted),
        "r2": float(1 - (gap**2).sum() / spread) if spread > 0 else float("nan"),
        "gap_age_r": pearson(gap, age),
    }


def correlate_gaps(gaps: pd.DataFrame, column: str, level: float = 0.95) -> pd.DataFrame:
    """Correlate the gaps of each pair of representations over the people that both have.

    Parameters
    ----------
    gaps : pandas.DataFrame
        scan_id, representation and ``column`` (years).
    column : str
        ``gap`` or ``gap_debiased``.
    level : float
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        a, b, gap (the column), n, r, lower, upper.
    """
    wide = gaps.pivot(index="scan_id", columns="representation", values=column)
    rows = []
    for a, b in itertools.combinations(gaps["representation"].unique(), 2):
        both = wide[[a, b]].dropna().to_numpy()
        r = pearson(both[:, 0], both[:, 1])
        rows.append((a, b, column, len(both), r, *fisher_interval(r, len(both), level)))
    return pd.DataFrame(rows, columns=["a", "b", "gap", "n", "r", "lower", "upper"])
