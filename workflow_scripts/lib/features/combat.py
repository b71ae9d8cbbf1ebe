"""ComBat: estimated by neuroCombat on training scans, applied to any scan by our own formula.

Johnson, Li & Rabinovic 2007, Biostatistics 8:118; Fortin et al. 2018, NeuroImage 167:104. neuroCombat's own function
for new data ignores their covariates; hence :func:`apply`.
"""

import contextlib
import io
import warnings

import numpy as np
import pandas as pd
from neuroCombat import neuroCombat

from workflow_scripts.lib.study.errors import StudyError


def design(people: pd.DataFrame, covariates: list[str]) -> np.ndarray:
    """Build the matrix of covariates whose effects ComBat keeps.

    Parameters
    ----------
    people : pandas.DataFrame
        One row a scan: ``age``, ``sex``...
    covariates : list of str
        Columns to keep; ``sex`` is coded 0 (F) and 1 (M).

    Returns
    -------
    numpy.ndarray
        float64, scans x covariates; NaN where unknown.

    Raises
    ------
    StudyError
        For a column that is not there or holds text.
    """
    for name in covariates:
        if name not in people or (name != "sex" and not pd.api.types.is_numeric_dtype(people[name])):
            numbers = [column for column in people if pd.api.types.is_numeric_dtype(people[column])]
            raise StudyError(
                f"harmonise: covariates: found '{name}', expected sex or a column of numbers: {', '.join(numbers)}."
            )
    columns = [
        (people[name] == "M").where(people[name].notna()) if name == "sex" else people[name] for name in covariates
    ]
    if not columns:
        return np.empty((len(people), 0))
    return np.column_stack([pd.to_numeric(column, errors="coerce").to_numpy(float) for column in columns])


def choose_training(people: pd.DataFrame, covariates: np.ndarray) -> np.ndarray:
    """Choose the scans to estimate on: first visits of training participants with all covariates, sites of 3 or more.

    Visits of one person are not independent, so each counts once.

    Returns
    -------
    numpy.ndarray
        bool, one a scan. :class:`StudyError` if fewer than two sites remain.
    """
    train = (people["split"] == "train") & ~np.isnan(covariates).any(axis=1)
    first = people[train].sort_values("age", kind="stable").drop_duplicates("participant_id").index
    train &= people.index.isin(first)
    counts = people.loc[train, "site"].value_counts()
    train &= people["site"].isin(counts[counts >= 3].index)
    if people.loc[train, "site"].nunique() < 2:
        raise StudyError(
            f"harmonise: training scans by site: {counts.to_dict()}; ComBat needs two sites with 3 or more. "
            "Give sites more training participants, or leave the stage out."
        )
    return train.to_numpy()


def estimate(values: pd.DataFrame, batches: pd.Series, covariates: np.ndarray) -> dict:
    """Estimate ComBat's location and scale of every batch (parametric empirical Bayes).

    Parameters
    ----------
    values : pandas.DataFrame
        Scans x features.
    batches : pandas.Series of str
        Site of each scan.
    covariates : numpy.ndarray
        float64, scans x covariates, complete.

    Returns
    -------
    dict
        JSON-ready: ``features``, ``batches``, ``grand_mean`` and ``pooled_sd`` (features), ``beta`` (covariates x
        features), ``gamma`` and ``delta`` (batches x features; additive and multiplicative, standardised).
    """
    labels = batches.astype(str).to_numpy()
    frame = pd.DataFrame(covariates, columns=[f"c{i}" for i in range(covariates.shape[1])])
    frame.insert(0, "batch", labels)
    varying = values.to_numpy(float).std(axis=0) > 0
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = neuroCombat(
            dat=values.to_numpy(float)[:, varying].T,
            covars=frame,
            batch_col="batch",
            continuous_cols=list(frame.columns[1:]),
        )["estimates"]
    # neuroCombat gives the covariates' part of the fit, not their coefficients: solve for them (exact)
    kept = np.atleast_2d(np.asarray(found["mod.mean"], float)).T
    beta = np.linalg.lstsq(covariates, kept, rcond=None)[0] if covariates.shape[1] else np.empty((0, varying.sum()))
    return {
        "features": list(values.columns[varying]),
        "batches": np.unique(labels).tolist(),
        "grand_mean": np.asarray(found["stand.mean"], float)[:, 0].tolist(),
        "pooled_sd": np.sqrt(np.asarray(found["var.pooled"], float).ravel()).tolist(),
        "beta": beta.tolist(),
        "gamma": np.asarray(found["gamma.star"], float).tolist(),
        "delta": np.asarray(found["delta.star"], float).tolist(),
    }


def apply(
    model: dict, values: pd.DataFrame, batches: pd.Series, covariates: np.ndarray, unseen: str = "keep"
) -> tuple[pd.DataFrame, list[str]]:
    """Adjust scans with estimates from :func:`estimate`.

    Parameters
    ----------
    model : dict
    values : pandas.DataFrame
        Scans x features, any scans.
    batches : pandas.Series of str
    covariates : numpy.ndarray
        As in :func:`design`.
    unseen : {"keep", "refuse"}
        What to do with scans of a site that no training scan is from, or without covariates.

    Returns
    -------
    adjusted : pandas.DataFrame
    untouched : list of str
        Sites whose scans stay as they are.
    """
    labels = batches.astype(str).to_numpy()
    known = np.isin(labels, model["batches"]) & ~np.isnan(covariates).any(axis=1)
    untouched = sorted(set(labels[~known]))
    if untouched and unseen == "refuse":
        raise StudyError(
            f"harmonise: no estimates for scans of sites {', '.join(untouched)} "
            "(site unseen in training, or covariates missing). "
            f"Known sites: {', '.join(model['batches'])}. Add training scans, or set harmonise: unseen_sites to keep."
        )
    row = np.searchsorted(model["batches"], labels[known])
    names = model["features"]
    mean = np.array(model["grand_mean"]) + covariates[known] @ np.array(model["beta"]).reshape(
        covariates.shape[1], len(names)
    )
    spread = np.array(model["pooled_sd"])
    standard = (values.loc[known, names].to_numpy(float) - mean) / spread
    standard = (standard - np.array(model["gamma"])[row]) / np.sqrt(np.array(model["delta"])[row])
    adjusted = values.astype(float).copy()
    adjusted.loc[known, names] = standard * spread + mean
    return adjusted, untouched
