"""What ignoring groups adds to the score: cells that differ in nothing but how their splits were drawn."""

import numpy as np
import pandas as pd
from scipy import stats

# columns that never tell twins apart
BESIDES = ("cell", "grouping")
COLUMNS = ["dataset", "cell", "cell_images", "weights", "backbone", "head", "split", "splits"]
COLUMNS += ["auc_groups", "auc_images", "difference", "lower", "upper", "leaks"]
ALL = "all"


def find_twins(fits: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Pair the cells that differ in ``grouping`` only.

    Parameters
    ----------
    fits : pandas.DataFrame
        cell, grouping and the keys of a cell.
    keys : list of str
        Settings of a cell; those that the table lacks do not matter.

    Returns
    -------
    pandas.DataFrame
        cell, cell_images: one row a pair.
    """
    keys = [key for key in keys if key in fits and key not in BESIDES]
    cells = fits.drop_duplicates("cell").assign(
        settings=lambda table: (
            table[keys].astype(object).where(table[keys].notna(), "none").astype(str).agg("|".join, axis=1)
        )
    )
    sides = [cells.loc[cells["grouping"] == kind, ["settings", "cell"]] for kind in ("groups", "images")]
    pairs = sides[0].merge(sides[1], on="settings", suffixes=("", "_images"))
    return pairs[["cell", "cell_images"]].sort_values("cell", ignore_index=True)


def welch_interval(a: np.ndarray, b: np.ndarray, level: float) -> tuple[float, float]:
    """Bound mean(a) - mean(b) of independent samples by Welch's t; missing with fewer than two values on a side."""
    if min(len(a), len(b)) < 2:
        return np.nan, np.nan
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    difference = float(a.mean() - b.mean())
    if parts.sum() <= 1e-24:
        return difference, difference
    free = parts.sum() ** 2 / (parts**2 / np.array([len(a) - 1, len(b) - 1])).sum()
    width = float(stats.t.ppf(0.5 + level / 2, free) * np.sqrt(parts.sum()))
    return difference - width, difference + width


def _rows(groups: pd.DataFrame, images: pd.DataFrame, names: dict, level: float) -> list[dict]:
    """Return a row for each split that both have, and one over all splits; index split, columns auc, leaks."""
    both = groups.join(images, how="inner", suffixes=("_groups", "_images"))
    rows = [
        {
            **names,
            "split": split,
            "splits": 1,
            "auc_groups": row["auc_groups"],
            "auc_images": row["auc_images"],
            "difference": row["auc_images"] - row["auc_groups"],
            "leaks": row["leaks_images"],
        }
        for split, row in both.iterrows()
    ]
    if len(both):
        a, b = (both[column].to_numpy() for column in ("auc_images", "auc_groups"))
        lower, upper = welch_interval(a, b, level)
        means = {"auc_groups": b.mean(), "auc_images": a.mean(), "difference": a.mean() - b.mean()}
        whole = {"lower": lower, "upper": upper, "leaks": both["leaks_images"].mean(), "splits": len(both)}
        rows.append({**names, "split": pd.NA, **means, **whole})
    return rows


def compare_groupings(fits: pd.DataFrame, keys: list[str], level: float = 0.95) -> pd.DataFrame:
    """Compare the test AUCs of splits that keep groups whole and of splits that part them.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``.
    keys : list of str
        Settings of a cell.
    level : float
        Coverage.

    Returns
    -------
    pandas.DataFrame
        Schema ``grid_grouping``; without rows where the grid has no such pairs. The interval is about other random
        splits of these images, not about other patients: splits of both kinds are independent given the images.
    """
    twins, found = find_twins(fits, keys), []
    means = fits.dropna(subset=["test_auc"]).groupby(["cell", "split"])[["test_auc", "leaks"]].mean()
    means = means.rename(columns={"test_auc": "auc"})
    first = fits.drop_duplicates("cell").set_index("cell")
    twins = twins[twins["cell"].isin(means.index.levels[0]) & twins["cell_images"].isin(means.index.levels[0])]
    for dataset, pairs in twins.groupby(twins["cell"].map(first["dataset"]), sort=True):
        for cell, twin in pairs[["cell", "cell_images"]].itertuples(index=False):
            names = {"dataset": dataset, "cell": cell, "cell_images": twin}
            names |= first.loc[cell, ["weights", "backbone", "head"]].to_dict()
            found += _rows(means.loc[cell], means.loc[twin], names, level)
        sides = [means.loc[list(pairs[column])].groupby("split").mean() for column in ("cell", "cell_images")]
        names = {"dataset": dataset, "cell": ALL, "cell_images": ALL, "weights": None, "backbone": None, "head": None}
        found += _rows(*sides, names, level)
    return pd.DataFrame(found, columns=COLUMNS).astype({"split": "Int64"})
