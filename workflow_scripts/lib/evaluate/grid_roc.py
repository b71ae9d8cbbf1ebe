"""ROC curves and calibration of the selected models of a grid, with bands over draws of test groups."""

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.evaluate.bootstrap import draw_counts, weighted_auc
from workflow_scripts.lib.evaluate.grid_units import Units
from workflow_scripts.lib.study.seeds import generator

RATES = np.linspace(0, 1, 101)
BINS = 10
IN_BIN = 10  # scores a bin at least, where there are enough for two bins
ROC = ["dataset", "weights", "cell", "unit", "fpr", "tpr", "lower", "upper", "auc", "auc_lower", "auc_upper"]
CALIBRATION = ["dataset", "weights", "cell", "unit", "bin", "n", "score", "positive", "lower", "upper", "brier"]


def roc_curves(positive: np.ndarray, score: np.ndarray, weights: np.ndarray, rates: np.ndarray = RATES) -> np.ndarray:
    """Return the sensitivity at each false-positive rate under each row of weights.

    Parameters
    ----------
    positive : numpy.ndarray of bool, (n,)
    score : numpy.ndarray, (n,)
    weights : numpy.ndarray, (draws, n)
    rates : numpy.ndarray, (rates,)

    Returns
    -------
    numpy.ndarray, (draws, rates)
        Straight between the points of two scores, as the trapezoidal AUC has it, the highest at a step; NaN where a
        class has no weight.
    """
    values, place = np.unique(-np.asarray(score, dtype=np.float64), return_inverse=True)
    sides = []
    for side in (~positive, positive):
        member = np.zeros((side.sum(), len(values)))
        member[np.arange(side.sum()), place[side]] = 1
        total = np.cumsum(weights[:, side] @ member, axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            sides.append(np.hstack([np.zeros((len(weights), 1)), total / total[:, -1:]]))
    out = np.full((len(weights), len(rates)), np.nan)
    for row, (fpr, tpr) in enumerate(zip(*sides, strict=True)):
        if np.isfinite(fpr[-1] + tpr[-1]):
            out[row] = _interpolate(fpr, tpr, rates)
    return out


def _interpolate(fpr: np.ndarray, tpr: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Read a curve off; where it rises straight up, at its top."""
    fpr, rates = np.round(fpr, 12), np.round(rates, 12)  # sums of shares that ought to be equal
    after = np.minimum(np.searchsorted(fpr, rates, side="right"), len(fpr) - 1)
    before = np.where(fpr[after] > rates, after - 1, after)
    width = fpr[after] - fpr[before]
    share = np.where(width > 0, (rates - fpr[before]) / np.where(width > 0, width, 1), 0)
    return tpr[before] + share * (tpr[after] - tpr[before])


def _places(units: Units) -> pd.Series:
    """Return group -> place among the groups of all test sets."""
    names = np.unique(units.table.loc[units.table["set"] == "test", "group"])
    return pd.Series(np.arange(len(names)), index=names)


def _measurable(units: Units) -> list[pd.DataFrame]:
    parts = [units.part("test", split) for split in units.splits]
    return [part for part in parts if 0 < part["positive"].sum() < len(part)]


def roc_table(units: list[Units], n_bootstrap: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """Average the ROC curves of each selected model over splits, with a band, schema ``grid_roc``.

    Sensitivities are averaged at each false-positive rate. A draw of groups weights the units of all splits; the band
    holds at each rate by itself, not for the whole curve at once. Models without a test set of two classes have no row.
    """
    tails, tables = [(1 - level) / 2, (1 + level) / 2], []
    for one in (one for one in units if _measurable(one)):
        parts, places = _measurable(one), _places(one)
        # the same draws for all weights of a dataset
        counts = draw_counts(n_bootstrap, len(places), generator(seed, "grid roc", one.dataset))
        curves, drawn, aucs, means = [], [], [], []
        for part in parts:
            positive, score = part["positive"].to_numpy(bool), part["score"].to_numpy()
            weights = counts[:, places[part["group"]].to_numpy()]
            curves.append(roc_curves(positive, score, np.ones((1, len(part))))[0])
            drawn.append(roc_curves(positive, score, weights))
            aucs.append(weighted_auc(positive.astype(float), score, weights))
            means.append(weighted_auc(positive.astype(float), score, np.ones((1, len(part))))[0])
        band, area = np.mean(drawn, axis=0), np.mean(aucs, axis=0)
        known = np.isfinite(area) & (len(places) > 1)  # a single group, drawn again and again, bounds nothing
        lower, upper = np.quantile(band[known], tails, axis=0) if known.any() else np.full((2, len(RATES)), np.nan)
        ends = np.quantile(area[known], tails) if known.any() else [np.nan, np.nan]
        names = {"dataset": one.dataset, "weights": one.weights, "cell": one.cell, "unit": one.kind}
        columns = {"fpr": RATES, "tpr": np.mean(curves, axis=0), "lower": lower, "upper": upper}
        areas = {"auc": np.mean(means), "auc_lower": ends[0], "auc_upper": ends[1]}
        tables.append(pd.DataFrame(names | columns | areas))
    return pd.concat(tables, ignore_index=True)[ROC] if tables else pd.DataFrame(columns=ROC)


def bin_scores(score: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Number the bins of about equally many scores, equal scores together; (n,) -> (n,) int."""
    wanted = int(np.clip(len(score) // IN_BIN, 2, bins))
    edges = np.unique(np.quantile(score, np.arange(1, wanted) / wanted))
    place = np.searchsorted(edges, score, side="left")
    return np.unique(place, return_inverse=True)[1]


def _open_bounds(bounds: np.ndarray, share: np.ndarray, groups: np.ndarray, level: float) -> np.ndarray:
    """Replace bounds (2, bins) of shares of 0 and 1 by Clopper and Pearson's for as many groups."""
    upper = stats.beta.ppf(0.5 + level / 2, 1, groups)
    out = np.where(share == 0, np.stack([0 * upper, upper]), bounds)
    return np.where(share == 1, np.stack([1 - upper, 1 + 0 * upper]), out)


def calibration_table(units: list[Units], n_bootstrap: int, seed: int, level: float = 0.95) -> pd.DataFrame:
    """Compare scores with the share of positives, bin by bin, schema ``grid_calibration``.

    Units of all test sets stand together, each as often as splits test it; a draw of groups weights them all. Where all
    units of a bin are of one class draws have no spread: the open bound is then the exact one of as many groups.
    """
    tails, tables = [(1 - level) / 2, (1 + level) / 2], []
    for one in units:
        part = pd.concat([one.part("test", split) for split in one.splits], ignore_index=True)
        places, y, score = _places(one), part["positive"].to_numpy(dtype=float), part["score"].to_numpy()
        bins = bin_scores(score)
        member = (bins[:, None] == np.arange(bins.max() + 1)).astype(float)
        counts = draw_counts(n_bootstrap, len(places), generator(seed, "grid calibration", one.dataset))
        weights = counts[:, places[part["group"]].to_numpy()]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (weights * y) @ member / (weights @ member)
        n = member.sum(0)
        bounds = np.nanquantile(shares, tails, axis=0)
        lower, upper = _open_bounds(bounds, y @ member / n, part["group"].groupby(bins).nunique().to_numpy(), level)
        names = {"dataset": one.dataset, "weights": one.weights, "cell": one.cell, "unit": one.kind}
        columns = {
            "bin": np.arange(len(n)),
            "n": n.astype(int),
            "score": score @ member / n,
            "positive": y @ member / n,
        }
        ends = {"lower": lower, "upper": upper, "brier": float(((score - y) ** 2).mean())}
        tables.append(pd.DataFrame(names | columns | ends))
    return pd.concat(tables, ignore_index=True)[CALIBRATION] if tables else pd.DataFrame(columns=CALIBRATION)
