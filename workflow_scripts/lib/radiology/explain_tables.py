"""What the maps of all fits of a cell come to, with intervals over groups, and the cases that are shown."""

import logging
import re

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.evaluate.bootstrap import draw_counts
from workflow_scripts.lib.study import seeds

logger = logging.getLogger(__name__)
KEYS = ["cell", "dataset"]
UNTRAINED = "energy_random_[0-9]+"  # columns, one a network
MEASURED = ("empty", "chance", "energy", "energy_others", "energy_random", "pointing", "insertion", "deletion")
# name -> (what, less what), image by image
DIFFERENCES = {
    "energy_over_chance": ("energy", "chance"),
    "energy_over_others": ("energy", "energy_others"),
    "energy_over_random": ("energy", "energy_random"),
    "pointing_over_chance": ("pointing", "chance"),
    "insertion_gain": ("insertion", "random_order"),
    "deletion_gain": ("random_order", "deletion"),
}
EXPLAINED = {"predicted": "is_predicted", "true": "is_true"}


def summarise(measures: pd.DataFrame, n_bootstrap: int, level: float, seed: int) -> pd.DataFrame:
    """Average the measures of each cell, with intervals.

    Parameters
    ----------
    measures : pandas.DataFrame
        Schema ``explain_measures``.
    n_bootstrap : int
        Draws of groups with replacement; all images of a group, in all fits, come together.
    level : float
        Of the percentile intervals.
    seed : int
        The study's.

    Returns
    -------
    pandas.DataFrame
        Schema ``explain_summary``. The intervals are those of new groups for these fits; where untrained networks take
        part, of other such networks too (:func:`bound_means`).
    """
    if sum(bool(re.fullmatch(UNTRAINED, name)) for name in measures) < 2:
        logger.warning(
            "one untrained network does not tell how much such networks differ: energy_random and energy_over_random "
            "have no interval. Raise radiology.explain.draws to 5 or more."
        )
    table = measures.astype({"empty": float})
    table = table.assign(**{name: table[a] - table[b] for name, (a, b) in DIFFERENCES.items()})
    parts = []
    for (cell, dataset), rows in table.groupby(KEYS, sort=False):
        for explained, flag in EXPLAINED.items():
            chosen = rows[rows[flag]]
            subsets = {"all": chosen, "right": chosen[chosen["right"]], "wrong": chosen[~chosen["right"]]}
            subsets |= {f"class_{y}": part for y, part in chosen.groupby("y")}
            for subset, part in subsets.items():
                rng = seeds.generator(seed, "explain_summary", cell, explained, subset)
                said = {"cell": cell, "dataset": dataset, "explained": explained, "subset": subset}
                parts.append(bound_means(part, n_bootstrap, level, rng).assign(**said))
    columns = [*KEYS, "explained", "subset", "quantity", "value", "lower", "upper", "images", "groups", "fits"]
    return pd.concat(parts, ignore_index=True)[columns]


def bound_means(part: pd.DataFrame, n_bootstrap: int, level: float, rng: np.random.Generator) -> pd.DataFrame:
    """Give each quantity's mean with its interval; missing where no image has it, or a single group.

    Parameters
    ----------
    part : pandas.DataFrame
        Rows of schema ``explain_measures`` with the columns of :data:`DIFFERENCES`.
    n_bootstrap, level, rng
        As :func:`summarise`.

    Returns
    -------
    pandas.DataFrame
        quantity, value, lower, upper, images, groups, fits. To the percentile interval over groups, that of
        ``energy_random`` and ``energy_over_random`` adds the chance of untrained networks (:func:`widen`).
    """
    names = [*MEASURED, "random_order", *DIFFERENCES]
    values = part[names].to_numpy(np.float64)
    known = ~np.isnan(values)
    labels, group = np.unique(part["group"].to_numpy(str), return_inverse=True)
    sums, counts = np.zeros((2, len(labels), len(names)))
    np.add.at(sums, group, np.where(known, values, 0.0))
    np.add.at(counts, group, known)
    draws = draw_counts(n_bootstrap, len(labels), rng) if len(labels) else np.zeros((n_bootstrap, 0))
    with np.errstate(invalid="ignore"):
        means, drawn = sums.sum(0) / counts.sum(0), (draws @ sums) / (draws @ counts)
    fit = part.groupby(["split", "seed"]).ngroup().to_numpy()
    energies = part[[name for name in part if re.fullmatch(UNTRAINED, name)]].to_numpy(np.float64)
    rows = []
    for column, name in enumerate(names):
        own, holders = drawn[:, column], int((counts[:, column] > 0).sum())
        own = own[~np.isnan(own)]
        ends = np.quantile(own, [(1 - level) / 2, (1 + level) / 2]) if holders > 1 and len(own) else (np.nan, np.nan)
        if name in ("energy_random", "energy_over_random"):
            own = known[:, column]
            ends = widen(means[column], ends, energies[own], fit[own], level, name == "energy_over_random")
            ends = (max(ends[0], 0.0), ends[1]) if name == "energy_random" else ends  # a share
        rows.append((name, means[column], *ends, int(known[:, column].sum()), holders, len(np.unique(fit))))
    return pd.DataFrame(rows, columns=["quantity", "value", "lower", "upper", "images", "groups", "fits"])


def widen(
    value: float,
    ends: tuple[float, float],
    energies: np.ndarray,
    fits: np.ndarray,
    level: float,
    one_more: bool,
) -> tuple[float, float]:
    """Add to an interval over groups that untrained networks differ.

    Parameters
    ----------
    value : float
    ends : (float, float)
        Of the interval over groups.
    energies : numpy.ndarray, (maps, D)
        By each untrained network; NaN where its map is empty. Each fit has networks of its own.
    fits : numpy.ndarray, (maps,)
        Whose map it is.
    level : float
    one_more : bool
        False: the mean of D networks varies by their variance / D. True: a fit that has learned nothing is one more of
        them, and differs from their mean by their variance (1 + 1 / D).

    Returns
    -------
    lower, upper : float
        Distances from the value are the roots of the sum of both squared distances, that of the networks by Student's
        t: exact where either part is nought, and rather too wide between. Missing with one network a fit.

    References
    ----------
    Zou & Donner (2008), Stat Med 27:1693 (adding intervals of independent parts).
    """
    known, member = ~np.isnan(energies), (np.unique(fits)[:, None] == fits).astype(np.float64)
    counts, sums = member @ known, member @ np.where(known, energies, 0.0)
    draws, shares = (counts > 0).sum(axis=1), member.sum(axis=1) / max(len(fits), 1)
    if not len(draws) or draws.min() < 2:
        return np.nan, np.nan
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    variance = (shares**2 * np.nanvar(means, axis=1, ddof=1) * (one_more + 1 / draws)).sum()
    free = (shares**2).sum() ** 2 / (shares**4 / (draws - 1)).sum()
    gap = stats.t.ppf(0.5 + level / 2, free) * np.sqrt(variance)
    return float(value - np.hypot(value - ends[0], gap)), float(value + np.hypot(ends[1] - value, gap))


def choose_cases(pairs: pd.DataFrame, examples: int, seed: int) -> pd.DataFrame:
    """Choose the images of one fit to show: of each true class, the surest right and the surest wrong predictions.

    No map has a part in the choice. Of a group (copies, a patient) one image is shown; equally sure ones are drawn.

    Parameters
    ----------
    pairs : pandas.DataFrame
        See :func:`explain.pair_table`; one fit.
    examples : int
        At most so many of each kind.
    seed : int
        The study's.

    Returns
    -------
    pandas.DataFrame
        Rows of ``pairs`` whose explained class is the predicted one, with ``kind`` (right, wrong): right ones first, by
        class, the surest first.
    """
    shown = pairs[pairs["is_predicted"]]
    rng = seeds.generator(seed, "explain_cases", *shown[["cell", "split", "seed"]].iloc[0]) if len(shown) else None
    parts = []
    for right in (True, False):
        for _, rows in shown[shown["right"] == right].groupby("y"):
            rows = rows.iloc[rng.permutation(len(rows))].sort_values("score", ascending=False, kind="stable")
            chosen = rows.drop_duplicates("group").head(examples)
            parts.append(chosen.assign(kind="right" if right else "wrong"))
    return pd.concat(parts) if parts else shown.assign(kind=pd.Series(dtype=str))
