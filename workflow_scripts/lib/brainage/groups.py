"""How far the gaps of people with a diagnosis lie from those of healthy people."""

import itertools

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import effects

REFERENCE = "CN"
DIAGNOSES = ("MCI", "AD", "SCZ", "BD")
PEOPLE = ["representation", "diagnosis", "scan_id", "participant_id", "cohort", "age", "sex", "gap_debiased"]
TESTS = [
    *("representation", "diagnosis", "reference", "cohorts", "n", "n_reference", "mean", "mean_reference"),
    *("difference", "se", "lower", "upper", "t", "df", "p", "hedges_g", "g_lower", "g_upper", "covariates", "note"),
]


def choose_people(gaps: pd.DataFrame, scans: pd.DataFrame) -> pd.DataFrame:
    """Take the people who did not train and whose diagnosis is known.

    Parameters
    ----------
    gaps : pandas.DataFrame
        Schema ``gaps``: first sessions.
    scans : pandas.DataFrame
        scan_id, cohort, sex, diagnosis.

    Returns
    -------
    pandas.DataFrame
        :data:`PEOPLE`, one row for each representation and person.
    """
    test = gaps.loc[gaps["role"] == "test"]
    about = scans.loc[scans["diagnosis"].notna() & scans["sex"].notna(), ["scan_id", "cohort", "sex", "diagnosis"]]
    return test.merge(about, on="scan_id")[PEOPLE].reset_index(drop=True)


def associate(people: pd.DataFrame, icv: pd.Series | None, level: float, rate: float) -> pd.DataFrame:
    """Compare each diagnosis with healthy people of the same cohorts.

    Healthy people of other cohorts are left out, since another recruitment and other scanners would pass for disease.
    The difference in years is adjusted for age and sex (and intracranial volume if given) by least squares on the two
    groups; Hedges' g is that of the two groups as they are.

    Parameters
    ----------
    people : pandas.DataFrame
        From :func:`choose_people`.
    icv : pandas.Series, optional
        Intracranial volume by scan_id, any unit.
    level : float
        Coverage of the intervals.
    rate : float
        False discovery rate over all representations and diagnoses.

    Returns
    -------
    pandas.DataFrame
        Schema ``group_gaps``.
    """
    rows = []
    present = [name for name in DIAGNOSES if (people["diagnosis"] == name).any()]
    for name, diagnosis in itertools.product(people["representation"].unique(), present):
        part = people[people["representation"] == name]
        if icv is not None:
            part = part[part["scan_id"].map(icv).notna()]
        patients = part[part["diagnosis"] == diagnosis]
        cohorts = sorted(patients["cohort"].unique())
        healthy = part[(part["diagnosis"] == REFERENCE) & part["cohort"].isin(cohorts)]
        row = {"representation": name, "diagnosis": diagnosis, "reference": REFERENCE, "cohorts": ", ".join(cohorts)}
        rows.append(row | _compare(patients, healthy, icv, level))
    return effects.adjust(pd.DataFrame(rows, columns=TESTS), rate)


def _compare(patients: pd.DataFrame, healthy: pd.DataFrame, icv: pd.Series | None, level: float) -> dict:
    both = pd.concat([healthy, patients], ignore_index=True)
    ill = np.repeat([0.0, 1.0], [len(healthy), len(patients)])
    table = pd.DataFrame({"age": both["age"], "sex": (both["sex"] == "M").astype(float)})
    if icv is not None:
        table["icv"] = both["scan_id"].map(icv)
    effect = effects.fit_effect(both["gap_debiased"].to_numpy(), ill, table, level, "diagnosis")
    if min(len(patients), len(healthy)) < 3:
        effect = effects.Effect(
            effect.n, effect.covariates, note=f"{len(patients)} with the diagnosis, {len(healthy)} healthy: too few"
        )
    groups = [part["gap_debiased"].to_numpy() for part in (patients, healthy)]
    g, lower, upper = effects.hedges_g(*groups, level)
    row = {"n": len(patients), "n_reference": len(healthy), "mean": patients["gap_debiased"].mean()}
    row |= {"mean_reference": healthy["gap_debiased"].mean(), "difference": effect.beta}
    row |= {key: getattr(effect, key) for key in ("se", "lower", "upper", "t", "df", "p", "covariates", "note")}
    return row | {"hedges_g": g, "g_lower": lower, "g_upper": upper}
