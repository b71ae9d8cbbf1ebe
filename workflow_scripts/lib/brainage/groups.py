"""How far the gaps of people with a diagnosis lie from those of healthy people."""

import itertools

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import effects

REFERENCE = "CN"
DIAGNOSES = ("MCI", "AD", "SCZ", "BD")
LEAST = 3  # people in a group that is tested
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
    So are patients of cohorts without healthy people, unless there are no others, who are then counted and not tested.
    The difference in years is adjusted for cohort, age and sex (and intracranial volume if given) by least squares on
    the two groups; Hedges' g is that of the gaps less the mean of the healthy people of their cohort.

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
        healthy = part[(part["diagnosis"] == REFERENCE) & part["cohort"].isin(set(patients["cohort"]))]
        cohorts = sorted(healthy["cohort"].unique())
        patients = patients[patients["cohort"].isin(cohorts)] if cohorts else patients
        row = {"representation": name, "diagnosis": diagnosis, "reference": REFERENCE}
        row["cohorts"] = ", ".join(cohorts) or "none with both"
        rows.append(row | _compare(patients, healthy, icv, level))
    return effects.adjust(pd.DataFrame(rows, columns=TESTS), rate)


def _compare(patients: pd.DataFrame, healthy: pd.DataFrame, icv: pd.Series | None, level: float) -> dict:
    both = pd.concat([healthy, patients], ignore_index=True)
    ill = np.repeat([0.0, 1.0], [len(healthy), len(patients)])
    table = pd.DataFrame({"age": both["age"], "sex": (both["sex"] == "M").astype(float)})
    if icv is not None:
        table["icv"] = both["scan_id"].map(icv)
    for cohort in sorted(both["cohort"].unique())[1:]:
        table[f"cohort {cohort}"] = (both["cohort"] == cohort).astype(float)
    effect = effects.fit_effect(both["gap_debiased"].to_numpy(), ill, table, level, "diagnosis")
    few = min(len(patients), len(healthy)) < LEAST
    if few:
        effect = effects.Effect(
            effect.n, effect.covariates, note=f"{len(patients)} with the diagnosis, {len(healthy)} healthy: too few"
        )
    usual = healthy.groupby("cohort")["gap_debiased"].mean()
    groups = [
        (part["gap_debiased"] - part["cohort"].map(usual).astype(float)).to_numpy() for part in (patients, healthy)
    ]
    g, lower, upper = (np.nan,) * 3 if few else effects.hedges_g(*groups, level)
    row = {"n": len(patients), "n_reference": len(healthy), "mean": patients["gap_debiased"].mean()}
    row |= {"mean_reference": healthy["gap_debiased"].mean(), "difference": effect.beta}
    row |= {key: getattr(effect, key) for key in ("se", "lower", "upper", "t", "df", "p", "covariates", "note")}
    return row | {"hedges_g": g, "g_lower": lower, "g_upper": upper}
