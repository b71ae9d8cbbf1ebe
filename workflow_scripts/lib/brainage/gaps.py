"""From representations and ages to brain-age gaps, their accuracy and their agreement."""

import dataclasses
import functools
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import debias, metrics, normative, sample
from workflow_scripts.lib.study.errors import StudyError

KEYS = ["scan_id", "participant_id"]
PATIENTS = ("MCI", "AD")
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class People:
    """First sessions of all people, and which of them train.

    Attributes
    ----------
    table : pandas.DataFrame
        scan_id, participant_id, age, sex, train (bool), normative (bool: role normative and no
        diagnosis of MCI or AD); one row a participant.
    folds : numpy.ndarray of int
        Fold of each training person, in the order of ``table``.
    buckets : pandas.DataFrame
        See :func:`workflow_scripts.lib.brainage.sample.draw_balanced`.
    """

    table: pd.DataFrame
    folds: np.ndarray
    buckets: pd.DataFrame


def choose_people(scans: pd.DataFrame, roles: pd.DataFrame, options: dict, seed: int) -> People:
    """Choose who trains the normative model; everybody else is predicted.

    Parameters
    ----------
    scans : pandas.DataFrame
        Usable scans (schema ``scans``) that every representation has.
    roles : pandas.DataFrame
        participant_id, role.
    options : dict
        Config section ``brainage``: buckets, per_bucket, folds.
    seed : int

    Returns
    -------
    People
    """
    first = sample.first_sessions(scans)
    normative_ids = set(roles.loc[roles["role"] == "normative", "participant_id"])
    first["normative"] = first["participant_id"].isin(normative_ids) & ~first["diagnosis"].isin(PATIENTS)
    candidates = first[first["normative"] & (first["split"] == "train")]
    drawn, buckets = sample.draw_balanced(candidates, options["buckets"], options["per_bucket"], seed)
    first["train"] = first["participant_id"].isin(drawn["participant_id"])
    if len(drawn) < 2 * options["folds"]:
        raise StudyError(
            f"brainage: {len(drawn)} people train the normative model, too few for {options['folds']} folds of 2. "
            "Lower brainage: folds, or widen brainage: buckets."
        )
    folds = sample.assign_folds(first[first["train"]], options["buckets"], options["folds"], seed)
    logger.info("%d people train, %d are predicted", len(drawn), (~first["train"]).sum())
    return People(first, folds, buckets)


def shared_scans(scans: pd.DataFrame, representations: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Keep the scans that every representation has, so that gaps are compared on the same people."""
    ids = [set(table["scan_id"]) for table in representations.values()]
    kept = scans[scans["scan_id"].isin(functools.reduce(set.intersection, ids))]
    if len(kept) < len(scans):
        logger.warning("%d of %d scans are in every representation; the others are left out", len(kept), len(scans))
    return kept


def estimate(name: str, representation: pd.DataFrame, people: People, options: dict) -> tuple[pd.DataFrame, dict]:
    """Fit the normative model on one representation and compute everybody's gap.

    Training people are predicted out of fold, so that their gaps are as honest as the others'. The
    age line is fitted on the same out-of-fold predictions (``fit_on: train``), or on the normative
    people who do not train (``fit_on: test``: the gap is then exactly orthogonal to age in them,
    the published reading, but uses the ages of people who are analysed).

    Parameters
    ----------
    name : str
        Representation.
    representation : pandas.DataFrame
        scan_id, participant_id, then numeric columns.
    people : People
    options : dict
        Config section ``brainage``: alpha, fit_on.

    Returns
    -------
    gaps : pandas.DataFrame
        scan_id, participant_id, representation, role (train or test), age, predicted_age, gap,
        gap_debiased (years).
    card : dict
        The model and its age line as JSON-ready numbers.
    """
    table = people.table
    x = representation.set_index("scan_id").loc[table["scan_id"]].drop(columns="participant_id")
    age, train = table["age"].to_numpy(dtype=np.float64), table["train"].to_numpy()
    model = normative.fit_age_model(x[train], age[train], options["alpha"])
    predicted = model.predict(x)
    predicted[train] = normative.out_of_fold(x[train], age[train], people.folds, options["alpha"])
    gap = predicted - age
    fit_on = train if options["fit_on"] == "train" else ~train & table["normative"].to_numpy()
    line = debias.fit_age_line(gap[fit_on], age[fit_on])
    gaps = table[KEYS].assign(representation=name, role=np.where(train, "train", "test"), age=age)
    gaps = gaps.assign(predicted_age=predicted, gap=gap, gap_debiased=line.debias(gap, age))
    card = {
        "representation": name,
        "model": model.card(),
        "age_line": dataclasses.asdict(line),
        "age_line_fitted_on": options["fit_on"],
        "n_train": int(train.sum()),
        "age_range": [float(age[train].min()), float(age[train].max())],
    }
    return gaps.reset_index(drop=True), card


def apply_card(card: dict, representation: pd.DataFrame, age: np.ndarray) -> pd.DataFrame:
    """Apply a published card to new people.

    Parameters
    ----------
    card : dict
        What :func:`estimate` returned.
    representation : pandas.DataFrame
        The card's columns, made and harmonised as in training.
    age : numpy.ndarray, (n_people,)
        Years.

    Returns
    -------
    pandas.DataFrame
        predicted_age, gap, gap_debiased (years).
    """
    predicted = normative.AgeModel.from_card(card["model"]).predict(representation)
    gap = predicted - age
    line = debias.AgeLine(**card["age_line"])
    return pd.DataFrame({"predicted_age": predicted, "gap": gap, "gap_debiased": line.debias(gap, age)})


def _samples(gaps: pd.DataFrame, people: People) -> dict[str, pd.DataFrame]:
    """Cut gaps into the samples that are reported."""
    healthy = set(people.table.loc[people.table["normative"], "scan_id"])
    test = gaps[gaps["role"] == "test"]
    return {
        "train_out_of_fold": gaps[gaps["role"] == "train"],
        "test": test,
        "test_normative": test[test["scan_id"].isin(healthy)],
    }


def describe(gaps: pd.DataFrame, people: People) -> pd.DataFrame:
    """Describe predicted ages of each representation in each sample, before and after debiasing.

    Returns
    -------
    pandas.DataFrame
        representation, sample (train_out_of_fold, test, test_normative), n_train, n, then mae, r,
        r2, gap_age_r and the same with ``_debiased`` (of true age + debiased gap, which looks
        better than it is: see :meth:`workflow_scripts.lib.brainage.debias.AgeLine.debias`).
    """
    rows = []
    for name, part in gaps.groupby("representation", sort=False):
        for sample_name, some in _samples(part, people).items():
            age = some["age"].to_numpy()
            raw = metrics.accuracy(age, some["predicted_age"].to_numpy())
            after = metrics.accuracy(age, age + some["gap_debiased"].to_numpy())
            row = {"representation": name, "sample": sample_name}
            row |= {"n_train": int((part["role"] == "train").sum()), "n": len(some)}
            rows.append(row | raw | {f"{key}_debiased": value for key, value in after.items()})
    return pd.DataFrame(rows)


def correlate(gaps: pd.DataFrame, people: People, level: float) -> pd.DataFrame:
    """Correlate raw and debiased gaps of each pair of representations among people who do not train.

    Returns
    -------
    pandas.DataFrame
        sample (test, test_normative), a, b, gap (gap or gap_debiased), n, r, lower, upper.
    """
    parts = []
    for sample_name, some in _samples(gaps, people).items():
        if sample_name != "train_out_of_fold":
            for column in ("gap", "gap_debiased"):
                found = metrics.correlate_gaps(some, column, level)
                found.insert(0, "sample", sample_name)
                parts.append(found)
    return pd.concat(parts, ignore_index=True)
