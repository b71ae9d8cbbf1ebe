"""How accurate predicted ages are, how the gap depends on age, and how far the gaps of representations agree."""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.brainage import metrics

SAMPLES = ("train_out_of_fold", "test", "test_normative")
QUANTITIES = ("predicted_age", "gap", "gap_debiased")


def samples(gaps: pd.DataFrame, healthy: set[str]) -> dict[str, pd.DataFrame]:
    """Cut gaps into the samples that are reported.

    Parameters
    ----------
    gaps : pandas.DataFrame
        scan_id, role (train, test) and any others.
    healthy : set of str
        Scans of people who count as normative.

    Returns
    -------
    dict
        :data:`SAMPLES` -> rows of ``gaps``.
    """
    test = gaps[gaps["role"] == "test"]
    parts = gaps[gaps["role"] == "train"], test, test[test["scan_id"].isin(healthy)]
    return dict(zip(SAMPLES, parts, strict=True))


def describe(gaps: pd.DataFrame, healthy: set[str], n_train: int) -> pd.DataFrame:
    """Describe predicted ages of each representation in each sample, before and after debiasing.

    Parameters
    ----------
    gaps : pandas.DataFrame
        Schema ``gaps``.
    healthy : set of str
        As :func:`samples`.
    n_train : int
        People who trained the model.

    Returns
    -------
    pandas.DataFrame
        representation, sample, n_train, n, then what :func:`metrics.accuracy` gives and the same with ``_debiased``
        (of true age + debiased gap, which looks better than it is: see
        :func:`workflow_scripts.lib.brainage.debias.debias`).
    """
    rows = []
    for name, part in gaps.groupby("representation", sort=False):
        for sample, some in samples(part, healthy).items():
            age = some["age"].to_numpy()
            raw = metrics.accuracy(age, some["predicted_age"].to_numpy())
            after = metrics.accuracy(age, age + some["gap_debiased"].to_numpy())
            row = {"representation": name, "sample": sample, "n_train": n_train, "n": len(some)}
            rows.append(row | raw | {f"{key}_debiased": value for key, value in after.items()})
    after = [f"{key}_debiased" for key in metrics.ACCURACY]
    columns = ["representation", "sample", "n_train", "n", *metrics.ACCURACY, *after]
    return pd.DataFrame(rows, columns=columns)


def _mean_row(values: np.ndarray, level: float) -> dict[str, float]:
    """Return mean, standard deviation and Student's interval of the mean; missing where there are too few."""
    n, nan = len(values), float("nan")
    if n < 2:
        return {"mean": float(values[0]) if n else nan, "sd": nan, "lower": nan, "upper": nan}
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    width = stats.t.ppf(0.5 + level / 2, n - 1) * sd / np.sqrt(n)
    return {"mean": mean, "sd": sd, "lower": mean - width, "upper": mean + width}


def age_bias(gaps: pd.DataFrame, healthy: set[str], edges: list[float], level: float) -> pd.DataFrame:
    """Describe predicted ages and gaps of each age group, before and after debiasing.

    Parameters
    ----------
    gaps, healthy
        As :func:`describe`.
    edges : list of float
        Increasing ages in years that cut the groups; people younger and older make two groups more.
    level : float
        Coverage of the intervals of means.

    Returns
    -------
    pandas.DataFrame
        representation, sample, age_from, age_to (years, missing at the open ends), quantity (:data:`QUANTITIES`), n,
        mean_age, mean, sd, lower, upper (years). Groups without people are left out.
    """
    ends = [np.nan, *edges, np.nan]
    rows = []
    for name, part in gaps.groupby("representation", sort=False):
        for sample, some in samples(part, healthy).items():
            group = np.digitize(some["age"], edges)
            for index, quantity in itertools.product(np.unique(group), QUANTITIES):
                inside = some[group == index]
                row = {"representation": name, "sample": sample, "age_from": ends[index], "age_to": ends[index + 1]}
                row |= {"quantity": quantity, "n": len(inside), "mean_age": inside["age"].mean()}
                rows.append(row | _mean_row(inside[quantity].to_numpy(), level))
    return pd.DataFrame(rows)


def correlate(gaps: pd.DataFrame, healthy: set[str], level: float) -> pd.DataFrame:
    """Correlate raw and debiased gaps of each pair of representations among people who do not train.

    Returns
    -------
    pandas.DataFrame
        sample (test, test_normative), a, b, gap (gap or gap_debiased), n, r, lower, upper.
    """
    parts = []
    for sample, some in samples(gaps, healthy).items():
        if sample != "train_out_of_fold":
            for column in ("gap", "gap_debiased"):
                found = metrics.correlate_gaps(some, column, level)
                found.insert(0, "sample", sample)
                parts.append(found)
    return pd.concat(parts, ignore_index=True)
