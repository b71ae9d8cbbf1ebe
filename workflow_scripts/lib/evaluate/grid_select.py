"""All fits of a grid in one table, and the cells that validation chooses."""

import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

FIT = ["cell", "split", "seed"]
NAMED = 5  # missing fits that a message names
logger = logging.getLogger(__name__)


def join_parts(parts: list[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """Put the tables of all jobs of a grid into one, in the order of their keys.

    Parameters
    ----------
    parts : list of pandas.DataFrame
        One a job; may be empty.
    keys : list of str
        Columns that name a row. The order of rows does not depend on how cells were cut into jobs.

    Raises
    ------
    StudyError
        There is no row, or two jobs have the same one.
    """
    filled = [part for part in parts if len(part)]
    if not filled:
        raise StudyError("the grid has no fit. Give its config factors, or see the logs of fit_cells.")
    table = pd.concat(filled, ignore_index=True).sort_values(keys, kind="stable", ignore_index=True)
    repeated = table.duplicated(keys)
    if repeated.any():
        row = " ".join(str(value) for value in table.loc[repeated.idxmax(), keys])
        raise StudyError(
            f"{' + '.join(keys)} '{row}' stands in two jobs of the grid. Delete fit_cells and run it again."
        )
    return table


def refuse_absent(fits: pd.DataFrame, cells: list[str], splits: int, seeds: int) -> None:
    """Refuse a table of fits that is not the grid of the config.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``.
    cells : list of str
        Every cell of the grid.
    splits, seeds : int
        Fits of each cell.

    Raises
    ------
    StudyError
        A fit is absent or belongs to another grid.
    """
    expected = pd.MultiIndex.from_product([cells, range(splits), range(seeds)], names=FIT)
    found = pd.MultiIndex.from_frame(fits[FIT].astype({"split": int, "seed": int}))
    for rows, what in ((expected.difference(found), "has no row"), (found.difference(expected), "is not of this grid")):
        if len(rows):
            cell, split, seed = rows[0]
            raise StudyError(
                f"cell {cell}, split {split}, seed {seed} {what}, and {len(rows) - 1} other fits. The tables of "
                "fit_cells are of another config: delete them and run the grid again."
            )


def name_missing(fits: pd.DataFrame) -> list[str]:
    """List the fits without a validation or test AUC as ``cell split seed``, and log the first of them."""
    lost = fits[fits[["validation_auc", "test_auc"]].isna().any(axis=1)]
    names = [f"{row.cell} split {row.split} seed {row.seed}" for row in lost.itertuples()]
    if names:
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        logger.warning(
            "%d of %d fits have no AUC (training diverged, or a set has one class): %s%s",
            len(names),
            len(fits),
            "; ".join(names[:NAMED]),
            more,
        )
    return names


def _choose(fits: pd.DataFrame) -> dict | None:
    """Choose the cell of the highest mean validation AUC, the first of equal ones; without any warn, give None."""
    cells = fits.groupby("cell", sort=True)
    complete = cells["validation_auc"].agg(lambda values: values.notna().all())
    means = cells["validation_auc"].mean()
    eligible = means[complete] if complete.any() else means.dropna()
    missing = int(fits[["validation_auc", "test_auc"]].isna().any(axis=1).sum())
    if eligible.empty:
        logger.warning("no cell is chosen: no fit of %s has a validation AUC (%d fits)", _what(fits), len(fits))
        return None
    # rounded, so that equal AUCs that were added up in another order do not choose
    own = fits[fits["cell"] == eligible.round(12).idxmax()]
    first = own.iloc[0]
    return {
        "weights": first["weights"],
        "cell": first["cell"],
        "backbone": first["backbone"],
        "head": first["head"],
        "cells": len(means),
        "fits": int(own["validation_auc"].notna().sum()),
        "missing": missing,
        "validation_auc": own["validation_auc"].mean(),
        "validation_sd": own["validation_auc"].std() if len(own) > 1 else np.nan,
        "test_auc": own["test_auc"].mean(),
        "test_sd": own["test_auc"].std() if len(own) > 1 else np.nan,
    }


def _what(fits: pd.DataFrame) -> str:
    """Name dataset and weights of fits."""
    return f"dataset '{fits['dataset'].iloc[0]}' with weights {', '.join(sorted(fits['weights'].unique()))}"


def select_cells(fits: pd.DataFrame) -> pd.DataFrame:
    """Choose the best cell of each dataset, and of each weights on it, by validation alone.

    Parameters
    ----------
    fits : pandas.DataFrame
        dataset, grouping, weights, backbone, head, cell, split, seed, validation_auc, test_auc.

    Returns
    -------
    pandas.DataFrame
        Schema ``grid_selection``. Weights none of whose fits has a validation AUC have no row; their fits count among
        the ``missing`` of the dataset's row.

    Raises
    ------
    StudyError
        No fit at all has a validation AUC.
    """
    rows = []
    for (dataset, grouping), part in fits.groupby(["dataset", "grouping"], sort=True):
        choices = [("dataset", part)] + [("weights", own) for _, own in part.groupby("weights", sort=True)]
        found = [(choice, _choose(own)) for choice, own in choices]
        names = {"dataset": dataset, "grouping": grouping}
        rows += [{**names, "choice": choice, **chosen} for choice, chosen in found if chosen is not None]
    if not rows:
        lost = "; ".join(_what(part) for _, part in fits.groupby("dataset", sort=True))
        raise StudyError(
            f"no fit of {lost} has a validation AUC: every training diverged or the validation set has one class. See "
            "fits.tsv (column reason) and lower the learning rate, or enlarge the validation set."
        )
    return pd.DataFrame(rows)


def selected_cells(selection: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return dataset -> weights -> selected cell, of grouped splits wherever there are any."""
    own = honest(selection[selection["choice"] == "weights"])
    return {dataset: part.set_index("weights")["cell"].to_dict() for dataset, part in own.groupby("dataset", sort=True)}


def honest(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows whose splits part groups, unless the dataset has no others."""
    grouped = table.groupby("dataset")["grouping"].transform(lambda values: (values == "groups").any())
    return table[(table["grouping"] == "groups") | ~grouped.astype(bool)]
