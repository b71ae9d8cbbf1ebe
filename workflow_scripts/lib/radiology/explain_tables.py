"""What the maps of all fits of a cell come to, with intervals over groups, and the cases that are shown."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.bootstrap import draw_counts
from workflow_scripts.lib.study import seeds

KEYS = ["cell", "dataset"]
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
        Schema ``explain_summary``. The intervals are those of new groups for these fits.
    """
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
                parts.append(_bounds(part, n_bootstrap, level, rng).assign(**said))
    columns = [*KEYS, "explained", "subset", "quantity", "value", "lower", "upper", "images", "groups", "fits"]
    return pd.concat(parts, ignore_index=True)[columns]


def _bounds(part: pd.DataFrame, n_bootstrap: int, level: float, rng: np.random.Generator) -> pd.DataFrame:
    """Give each quantity's mean with its interval; missing where no image has it, or a single group."""
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
    fits = part[["split", "seed"]].drop_duplicates()
    rows = []
    for column, name in enumerate(names):
        own, holders = drawn[:, column], int((counts[:, column] > 0).sum())
        own = own[~np.isnan(own)]
        ends = np.quantile(own, [(1 - level) / 2, (1 + level) / 2]) if holders > 1 and len(own) else (np.nan, np.nan)
        rows.append((name, means[column], *ends, int(known[:, column].sum()), holders, len(fits)))
    return pd.DataFrame(rows, columns=["quantity", "value", "lower", "upper", "images", "groups", "fits"])


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
