"""Wilcoxon's tests between the weights of a grid: the rank-sum test as published, and the signed-rank test of pairs.

Units are cells. Both speak about other settings of the same fits' test images; neither knows of patients. The published
test takes the cells of both weights as unrelated samples; cells that differ in the weights only are pairs.
"""

import itertools

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.ranks import rank_sum, signed_rank, snap_auc

DIGITS = 12  # of AUCs
DIFFERENCE_DIGITS = 10  # a difference of two rounded AUCs is off by up to 1e-12
# what weights bring with them is no difference of settings
BESIDES = ("cell", "weights", "preprocessing")
COLUMNS = ["dataset", "a", "b", "cells_a", "cells_b", "w", "p_rank_sum", "method_rank_sum", "pairs"]
COLUMNS += ["mean_difference", "v", "p_signed_rank", "method_signed_rank"]


def count_classes(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the positives and negatives of each fit's test set: cell, split, seed, positives, negatives."""
    own = scores[scores["set"] == "test"]
    table = own.groupby(["cell", "split", "seed"])["positive"].agg(positives="sum", total="size").reset_index()
    return table.assign(negatives=table["total"] - table["positives"]).drop(columns="total")


def cell_aucs(fits: pd.DataFrame, counts: pd.DataFrame) -> pd.Series:
    """Return cell -> mean test AUC over splits and seeds, each moved to the lattice of its test set first."""
    table = fits[fits["test_auc"].notna()].merge(counts, on=["cell", "split", "seed"], validate="one_to_one")
    auc = table["test_auc"].to_numpy(dtype=np.float64).copy()
    for sizes, rows in table.groupby(["positives", "negatives"]).indices.items():
        auc[rows] = snap_auc(auc[rows], *sizes)
    return table.assign(auc=auc).groupby("cell", sort=True)["auc"].mean().round(DIGITS)


def ranks_table(fits: pd.DataFrame, counts: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Compare the cells of each pair of weights of a dataset.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``; of splits that keep groups whole.
    counts : pandas.DataFrame
        From :func:`count_classes`.
    keys : list of str
        Settings of a cell; those that the table lacks do not matter.

    Returns
    -------
    pandas.DataFrame
        Schema ``grid_ranks``.
    """
    keys, aucs, rows = [key for key in keys if key in fits and key not in BESIDES], cell_aucs(fits, counts), []
    cells = fits.drop_duplicates("cell").set_index("cell").loc[aucs.index]
    settings = cells[keys].astype(object).where(cells[keys].notna(), "none").astype(str).agg("|".join, axis=1)
    table = pd.DataFrame({"dataset": cells["dataset"], "weights": cells["weights"], "settings": settings, "auc": aucs})
    for dataset, part in table.groupby("dataset", sort=True):
        for a, b in itertools.combinations(sorted(part["weights"].unique()), 2):
            x, y = (part[part["weights"] == name] for name in (a, b))
            pairs = x.merge(y, on="settings")
            alone, paired = rank_sum(x["auc"], y["auc"]), _signed(pairs["auc_x"].to_numpy(), pairs["auc_y"].to_numpy())
            names = {"dataset": dataset, "a": a, "b": b, "cells_a": len(x), "cells_b": len(y)}
            sums = {"w": alone["w"], "p_rank_sum": alone["p"], "method_rank_sum": alone["method"], "pairs": len(pairs)}
            rows.append(names | sums | paired)
    return pd.DataFrame(rows, columns=COLUMNS)


def _signed(x: np.ndarray, y: np.ndarray) -> dict[str, float | str | None]:
    """Test pairs; missing without any."""
    if not len(x):
        return dict.fromkeys(COLUMNS[9:])
    found = signed_rank(x, y, digits=DIFFERENCE_DIGITS)
    values = [float((x - y).mean()), found["v"], found["p"], found["method"]]
    return dict(zip(COLUMNS[9:], values, strict=True))
