"""From representations and ages to brain-age gaps."""

import dataclasses
import functools
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import debias, normative, sample
from workflow_scripts.lib.study.errors import StudyError

KEYS = ["scan_id", "participant_id"]
HEALTHY = "CN"  # the diagnosis, where one is given, of people whose ageing counts as normal
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class People:
    """First sessions of all people, and which of them train.

    Attributes
    ----------
    table : pandas.DataFrame
        scan_id, participant_id, age, sex, train (bool), normative (bool: role normative and
        healthy); one row a participant.
    folds : numpy.ndarray of int
        Fold of each training person, in the order of ``table``.
    buckets : pandas.DataFrame
        See :func:`workflow_scripts.lib.brainage.sample.draw_balanced`.
    """

    table: pd.DataFrame
    folds: np.ndarray
    buckets: pd.DataFrame

    def healthy_scans(self) -> set[str]:
        """Return the scans of people who count as normative."""
        return set(self.table.loc[self.table["normative"], "scan_id"])


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A normative model with the line that debiases its gaps.

    Attributes
    ----------
    model : normative.AgeModel
    line : debias.AgeLine
    method : str
        One of :data:`workflow_scripts.lib.brainage.debias.METHODS`.
    fitted_on : str
        Whose gaps the line was fitted on: train (out of fold) or test.
    n_line : int
        How many people that are.
    """

    model: normative.AgeModel
    line: debias.AgeLine
    method: str
    fitted_on: str
    n_line: int

    def gaps(self, predicted: np.ndarray, age: np.ndarray) -> dict[str, np.ndarray]:
        """Return predicted_age, gap and gap_debiased in years."""
        after = debias.debias(self.method, self.line, predicted, age)
        return {"predicted_age": predicted, "gap": predicted - age, "gap_debiased": after}


def is_healthy(diagnosis: pd.Series) -> pd.Series:
    """Whether nothing is known against a person's health: no diagnosis, or cognitively normal."""
    return diagnosis.isna() | (diagnosis == HEALTHY)


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
    first["normative"] = first["participant_id"].isin(normative_ids) & is_healthy(first["diagnosis"])
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


def estimate(name: str, representation: pd.DataFrame, people: People, options: dict) -> tuple[pd.DataFrame, Fitted]:
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
        Config section ``brainage``: alpha, debias, fit_on.

    Returns
    -------
    gaps : pandas.DataFrame
        scan_id, participant_id, representation, role (train or test), age, predicted_age, gap,
        gap_debiased (years).
    fitted : Fitted

    Raises
    ------
    StudyError
        The debiasing does not go with ``fit_on`` or with the model, or too few people show how the gap depends on age.
    """
    debias.check_method(options["debias"], options["fit_on"])
    table = people.table
    x = representation.set_index("scan_id").loc[table["scan_id"]].drop(columns="participant_id")
    age, train = table["age"].to_numpy(dtype=np.float64), table["train"].to_numpy()
    model = normative.fit_age_model(x[train], age[train], options["alpha"])
    predicted = model.predict(x)
    predicted[train] = normative.out_of_fold(x[train], age[train], people.folds, options["alpha"])
    fit_on = train if options["fit_on"] == "train" else ~train & table["normative"].to_numpy()
    line = debias.fit_age_line((predicted - age)[fit_on], age[fit_on])
    fitted = Fitted(model, line, options["debias"], options["fit_on"], int(fit_on.sum()))
    gaps = table[KEYS].assign(representation=name, role=np.where(train, "train", "test"), age=age)
    return gaps.assign(**fitted.gaps(predicted, age)).reset_index(drop=True), fitted
