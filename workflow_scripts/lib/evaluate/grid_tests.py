"""Tests between the selected models of the weights of a dataset, and intervals of their AUCs.

DeLong's test with the units of a group together stands beside the bootstrap of groups and the published test, which
takes units as independent; McNemar's test sees decisions at thresholds fixed on validation. All are conditional on the
models as fitted and selected: the validation set chose them, other patients are what the p-values are about.
"""

import itertools

import numpy as np
import pandas as pd
from scipy import optimize, stats

from workflow_scripts.lib.evaluate import bootstrap, delong
from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.evaluate.contingency import mcnemar
from workflow_scripts.lib.evaluate.grid_units import ALL, Units, decide, over_splits
from workflow_scripts.lib.study.seeds import generator

TEST = ["dataset", "split", "a", "b", "cell_a", "cell_b", "unit", "units", "positives", "groups", "auc_a", "auc_b"]
TEST += ["difference", "se_delong", "z", "p_delong", "p_delong_holm", "lower_delong", "upper_delong"]
TEST += ["se_independent", "p_independent", "lower_bootstrap", "upper_bootstrap", "n_bootstrap"]
TEST += ["threshold_a", "threshold_b", "accuracy_a", "accuracy_b", "only_a", "only_b", "chi2_mcnemar", "p_mcnemar"]
TEST += ["p_mcnemar_exact", "p_mcnemar_mid", "p_mcnemar_clustered", "p_mcnemar_holm"]
INTERVAL = ["dataset", "weights", "cell", "split", "method", "unit", "units", "positives", "groups"]
INTERVAL += ["auc", "lower", "upper"]


def clustered_mcnemar(correct_a: np.ndarray, correct_b: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    r"""Compare two classifiers' decisions on units that come in clusters; two-sided.

    With :math:`d_g` the units of cluster g that a alone decides rightly less those that b alone does,
    :math:`\chi^2 = (\sum_g d_g)^2 / \sum_g d_g^2`. With one unit a cluster it is McNemar's without correction.

    Parameters
    ----------
    correct_a, correct_b : numpy.ndarray of bool, (n,)
    clusters : numpy.ndarray, (n,)

    Returns
    -------
    dict
        chi2, p; 0 and 1 without discordant clusters.

    References
    ----------
    Durkalski, Palesch, Lipsitz & Rust (2003), Stat Med 22:2417 (with equal weights of units).
    """
    place = np.unique(np.asarray(clusters), return_inverse=True)[1]
    difference = np.asarray(correct_a, dtype=int) - np.asarray(correct_b, dtype=int)
    sums = np.bincount(place, weights=difference)
    if not (sums**2).sum():
        return {"chi2": 0.0, "p": 1.0}
    chi2 = float(sums.sum() ** 2 / (sums**2).sum())
    return {"chi2": chi2, "p": float(stats.chi2.sf(chi2, 1))}


def _counts(part: pd.DataFrame) -> dict[str, int]:
    return {"units": len(part), "positives": int(part["positive"].sum()), "groups": part["group"].nunique()}


def _compare_scores(both: pd.DataFrame, n_bootstrap: int, rng: np.random.Generator, level: float) -> dict:
    """Compare score_a and score_b; missing where a class is."""
    y, group = both["positive"].to_numpy(dtype=float), both["group"].to_numpy(dtype=str)
    if not 0 < y.sum() < len(y):
        return {"n_bootstrap": 0}
    a, b = both["score_a"].to_numpy(), both["score_b"].to_numpy()
    own = delong.compare_paired(y, a, b, level, group)
    alone = delong.compare_paired(y, a, b, level)
    drawn = bootstrap_differences(y, a, b, group, n_bootstrap, rng)
    lower, upper = percentiles(drawn, group, level)
    return {
        **{name: own[name] for name in ("auc_a", "auc_b", "difference", "z")},
        **{"se_delong": own["se"], "p_delong": own["p"], "lower_delong": own["lower"], "upper_delong": own["upper"]},
        **{"se_independent": alone["se"], "p_independent": alone["p"], "n_bootstrap": len(drawn)},
        **{"lower_bootstrap": lower, "upper_bootstrap": upper},
    }


def _compare_decisions(right: pd.DataFrame, thresholds: tuple[float, float]) -> dict:
    """Compare columns a and b (bool) of units; missing where a threshold is."""
    a, b, group = right["a"].to_numpy(bool), right["b"].to_numpy(bool), right["group"].to_numpy(str)
    found = mcnemar(a, b)
    return {
        "threshold_a": thresholds[0],
        "threshold_b": thresholds[1],
        "accuracy_a": a.mean(),
        "accuracy_b": b.mean(),
        "only_a": found["b"],
        "only_b": found["c"],
        "chi2_mcnemar": found["chi2"],
        "p_mcnemar": found["p"],
        "p_mcnemar_exact": found["p_exact"],
        "p_mcnemar_mid": found["p_mid"],
        "p_mcnemar_clustered": clustered_mcnemar(a, b, group)["p"],
    }


def _pair(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Put the scores of both on the units that both scored."""
    return a.merge(b[["unit", "score"]], on="unit", suffixes=("_a", "_b"))


def _decisions(a: Units, b: Units, split: int) -> tuple[pd.DataFrame, tuple[float, float]]:
    (right_a, threshold_a), (right_b, threshold_b) = decide(a, split), decide(b, split)
    right = pd.DataFrame({"a": right_a, "b": right_b}).dropna().reset_index()
    right = right.merge(a.part("test", split)[["unit", "group"]], on="unit")
    known = np.isfinite([threshold_a, threshold_b]).all()
    return right if known else right.iloc[:0], (threshold_a, threshold_b)


def compare_units(a: Units, b: Units, n_bootstrap: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """Test two selected models of a dataset against each other.

    Parameters
    ----------
    a, b : Units
    n_bootstrap, seed : int
    level : float

    Returns
    -------
    pandas.DataFrame
        Schema ``grid_tests``, a row for each split that both have and one over all (``all``), unadjusted. Over all:
        scores are mean ranks over the splits that test a unit, decisions those of the first split that tests it, so
        that each unit counts once.
    """
    shared = [split for split in a.splits if split in b.splits]
    names = {"dataset": a.dataset, "a": a.weights, "b": b.weights, "cell_a": a.cell, "cell_b": b.cell, "unit": a.kind}
    rows, decided = [], []
    for split in [*shared, ALL]:
        if split == ALL:
            both = _pair(over_splits(a), over_splits(b))
            right = pd.concat(decided).drop_duplicates("unit") if decided else pd.DataFrame()
            thresholds = (np.nan, np.nan)
        else:
            both = _pair(a.part("test", split), b.part("test", split))
            right, thresholds = _decisions(a, b, split)
            decided += [right] if len(right) else []
        rng = generator(seed, "grid tests", a.dataset, a.weights, b.weights, split)
        row = {**names, "split": str(split), **_counts(both), **_compare_scores(both, n_bootstrap, rng, level)}
        rows.append(row | (_compare_decisions(right, thresholds) if len(right) else {}))
    return pd.DataFrame(rows).reindex(columns=TEST)


def tests_table(units: list[Units], n_bootstrap: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """Test all pairs of weights of each dataset, schema ``grid_tests``.

    Holm is over the rows over all splits: of DeLong's p, and of McNemar's, clustered where a group has several units,
    else exact.
    """
    parts = []
    for dataset in dict.fromkeys(one.dataset for one in units):
        own = [one for one in units if one.dataset == dataset]
        parts += [compare_units(a, b, n_bootstrap, seed, level) for a, b in itertools.combinations(own, 2)]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=TEST)
    whole = (table["split"] == ALL).to_numpy(bool)
    shared = table["groups"] < table["units"]
    decided = table["p_mcnemar_clustered"].where(shared, table["p_mcnemar_exact"])
    for column, p in (("p_delong_holm", table["p_delong"]), ("p_mcnemar_holm", decided)):
        adjusted = np.full(len(table), np.nan)
        adjusted[whole] = holm(p[whole].to_numpy(dtype=float))
        table[column] = adjusted
    return table.astype({"only_a": "Int64", "only_b": "Int64"})


def bootstrap_aucs(
    y: np.ndarray, score: np.ndarray, groups: np.ndarray, n_bootstrap: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the AUC of each draw of groups that has both classes, (n_bootstrap or fewer,)."""
    return bootstrap_differences(y, score, None, groups, n_bootstrap, rng)


def bootstrap_differences(
    y: np.ndarray, a: np.ndarray, b: np.ndarray | None, groups: np.ndarray, n_bootstrap: int, rng: np.random.Generator
) -> np.ndarray:
    """Return AUC(a) - AUC(b), or AUC(a) without b, of each draw of groups that has both classes."""
    place, drawn = np.unique(np.asarray(groups), return_inverse=True)[1], []
    for first in range(0, n_bootstrap, bootstrap.CHUNK):
        counts = bootstrap.draw_counts(min(bootstrap.CHUNK, n_bootstrap - first), int(place.max()) + 1, rng)
        own = bootstrap.weighted_auc(y, a, counts[:, place])
        drawn.append(own if b is None else own - bootstrap.weighted_auc(y, b, counts[:, place]))
    joined = np.concatenate(drawn)
    return joined[np.isfinite(joined)]


def percentiles(drawn: np.ndarray, groups: np.ndarray, level: float) -> tuple[float, float]:
    """Bound by the percentiles of draws; missing where nothing was drawn or a single group bounds nothing."""
    if not len(drawn) or len(np.unique(groups)) < 2:
        return np.nan, np.nan
    lower, upper = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def newcombe_interval(auc: float, positives: int, negatives: int, level: float = 0.95) -> tuple[float, float]:
    r"""Bound an AUC by those that differ from it by less than z of their own standard errors.

    :math:`V(A) = A(1-A)(1 + N(\frac{1-A}{2-A} + \frac{A}{1+A})) / n_1 n_0` with :math:`N = (n_1 + n_0)/2 - 1`. An AUC
    of 1 has a bound below 1, where DeLong's and the bootstrap see no spread at all.

    Parameters
    ----------
    auc : float
    positives, negatives : int
        Independent units of each class.
    level : float

    Returns
    -------
    lower, upper : float

    References
    ----------
    Newcombe (2006), Stat Med 25:559, method 5.
    """
    z, size = stats.norm.ppf(0.5 + level / 2), (positives + negatives) / 2 - 1

    def beyond(a: float) -> float:
        spread = a * (1 - a) * (1 + size * ((1 - a) / (2 - a) + a / (1 + a))) / (positives * negatives)
        return (a - auc) ** 2 - z**2 * spread

    lower = 0.0 if auc <= 0 else optimize.brentq(beyond, 0.0, auc if auc < 1 else 1 - 1e-9)
    upper = 1.0 if auc >= 1 else optimize.brentq(beyond, auc if auc > 0 else 1e-9, 1.0)
    return float(lower), float(upper)


def _bound(part: pd.DataFrame, n_bootstrap: int, rng: np.random.Generator, level: float) -> dict[str, dict]:
    """Return method -> auc, lower, upper."""
    y, score = part["positive"].to_numpy(dtype=float), part["score"].to_numpy()
    group = part["group"].to_numpy(str)
    if not 0 < y.sum() < len(y):
        return {method: {} for method in ("delong", "logit", "bootstrap", "newcombe")}
    bounds = {
        method: delong.auc_interval(y, score, level, scale, group)
        for method, scale in (("delong", "wald"), ("logit", "logit"))
    }
    ends = percentiles(bootstrap_aucs(y, score, group, n_bootstrap, rng), group, level)
    auc, sides = bounds["delong"]["auc"], (len(np.unique(group[y == side])) for side in (1, 0))
    own = newcombe_interval(auc, *sides, level)
    bounds["bootstrap"] = {"auc": auc, "lower": ends[0], "upper": ends[1]}
    return bounds | {"newcombe": {"auc": auc, "lower": own[0], "upper": own[1]}}


def intervals_table(units: list[Units], n_bootstrap: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """Bound the AUC of each selected model by four methods, by split and over all, schema ``grid_intervals``."""
    rows = []
    for one in units:
        for split in [*one.splits, ALL]:
            part = over_splits(one) if split == ALL else one.part("test", split)
            rng = generator(seed, "grid intervals", one.dataset, one.weights, split)
            names = {"dataset": one.dataset, "weights": one.weights, "cell": one.cell, "split": str(split)}
            names |= {"unit": one.kind, **_counts(part)}
            found = _bound(part, n_bootstrap, rng, level)
            rows += [{**names, "method": method, **values} for method, values in found.items()]
    return pd.DataFrame(rows).reindex(columns=INTERVAL)
