"""Whether the gap at the last scan before death goes with what was found post mortem (Figure 4 of the published study).

The gap is regressed on the grade of a pathology, as the published box plots show it: gap = b0 + b1 * grade +
covariates, so that b1 is years of gap a grade, whatever the distribution of the grades. Grades are ordered and enter
as numbers, one degree of freedom, which finds a trend; where steps are thought unequal, an ordinal (proportional odds)
regression of the grade on the gap asks the same question, and with two grades a logistic one. Neither converges with
a dozen people and a rare grade, which is why this one is the default. Age at the scan and the years from there to
death are covariates: the longer the wait, the more can have come after the scan.
"""

import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.brainage import effects
from workflow_scripts.lib.study.errors import StudyError

PATHOLOGIES = ("adnc", "lbd", "tdp43", "caa")
# years that a scan may seem to follow death where ages are whole years
ROUNDING = 1.0
# people that each of two grades needs at least
LEAST_IN_GRADE = 3
PEOPLE = ["representation", "pathology", "grade", "scan_id", "participant_id", "age", "years_to_death", "gap_debiased"]
TESTS = [
    *("representation", "pathology", "n", "grades", "beta", "se", "lower", "upper"),
    *("standardised", "standardised_lower", "standardised_upper", "t", "df", "p", "covariates", "note"),
]
logger = logging.getLogger(__name__)


def last_scans(scans: pd.DataFrame, findings: pd.DataFrame, source: str) -> pd.DataFrame:
    """Find the last scan of everybody who was examined post mortem.

    Parameters
    ----------
    scans : pandas.DataFrame
        Usable scans: scan_id, participant_id, session_id, age (years), sex.
    findings : pandas.DataFrame
        Schema ``neuropathology``: participant_id, age_at_death (years), grades.
    source : str
        Name of the findings' file, for messages.

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, age, sex, years_to_death and the grades; one row a person with a scan.

    Raises
    ------
    StudyError
        The table has no grade, or somebody was scanned after death.
    """
    grades = [name for name in PATHOLOGIES if name in findings]
    if not grades:
        raise StudyError(f"{source}: none of the columns {', '.join(PATHOLOGIES)} is there. Add at least one.")
    known = scans.dropna(subset="age").sort_values(["participant_id", "age", "session_id"])
    last = known.drop_duplicates("participant_id", keep="last")
    both = last.merge(findings[["participant_id", "age_at_death", *grades]], on="participant_id")
    both["years_to_death"] = both["age_at_death"] - both["age"]
    late = both[both["years_to_death"] < -ROUNDING]
    if len(late):
        row = late.iloc[0]
        line = int((findings["participant_id"] == row["participant_id"]).to_numpy().argmax()) + 2
        raise StudyError(
            f"{source}, line {line}, column 'age_at_death': found {row['age_at_death']:g}, but scan {row['scan_id']} "
            f"was made at age {row['age']:g}. Correct the age at death or the scan's age."
        )
    both["years_to_death"] = both["years_to_death"].clip(lower=0)
    logger.info("%d people with findings, %d of them with a scan", len(findings), len(both))
    return both[["scan_id", "participant_id", "age", "sex", "years_to_death", *grades]].reset_index(drop=True)


def join_grades(last: pd.DataFrame, applied: pd.DataFrame) -> pd.DataFrame:
    """Put gaps and grades of people whom no model has seen into one long table.

    Parameters
    ----------
    last : pandas.DataFrame
        From :func:`last_scans`.
    applied : pandas.DataFrame
        Gaps of these scans, of all representations (:func:`workflow_scripts.lib.brainage.cards.apply_card`).

    Returns
    -------
    pandas.DataFrame
        :data:`PEOPLE` and sex; one row for each representation, pathology and person whose grade is known.
    """
    unseen = applied[applied["role"] == "test"]
    left_out = applied.loc[applied["role"] == "train", "participant_id"].nunique()
    if left_out:
        logger.info("%d people trained the normative model and are left out", left_out)
    grades = [name for name in PATHOLOGIES if name in last]
    long = last.melt(["scan_id", "sex", "years_to_death"], grades, var_name="pathology", value_name="grade")
    columns = ["scan_id", "participant_id", "representation", "age", "gap_debiased"]
    joined = unseen[columns].merge(long.dropna(subset="grade"), on="scan_id")
    order = {name: place for place, name in enumerate([*dict.fromkeys(applied["representation"]), *grades])}
    joined = joined.sort_values(["representation", "pathology"], key=lambda column: column.map(order), kind="stable")
    return joined.astype({"grade": int})[[*PEOPLE, "sex"]].reset_index(drop=True)


def associate(people: pd.DataFrame, icv: pd.Series | None, level: float, rate: float) -> pd.DataFrame:
    """Regress the gap of each representation on each pathology.

    Parameters
    ----------
    people : pandas.DataFrame
        From :func:`join_grades`.
    icv : pandas.Series, optional
        Intracranial volume by scan_id, any unit; a covariate if given.
    level : float
        Coverage of the intervals.
    rate : float
        False discovery rate over all pairs of representation and pathology.

    Returns
    -------
    pandas.DataFrame
        Schema ``neuropathology_tests``. ``standardised`` is the effect in standard deviations of the gap for one
        standard deviation of the grade, its interval that of ``beta`` in the same units.
    """
    rows = []
    for (name, pathology), part in people.groupby(["representation", "pathology"], sort=False):
        given = part if icv is None else part[part["scan_id"].map(icv).notna()]
        given = given[given["sex"].notna()]
        counts = given["grade"].value_counts().sort_index()
        table = pd.DataFrame({"age": given["age"], "sex": (given["sex"] == "M").astype(float)})
        table["years_to_death"] = given["years_to_death"]
        if icv is not None:
            table["icv"] = given["scan_id"].map(icv)
        gap, grade = given["gap_debiased"].to_numpy(), given["grade"].to_numpy(dtype=np.float64)
        effect = effects.fit_effect(gap, grade, table, level, pathology)
        if (counts >= LEAST_IN_GRADE).sum() < 2 and np.isfinite(effect.beta):
            effect = effects.Effect(effect.n, effect.covariates, note=f"not two grades with {LEAST_IN_GRADE} people")
        units = grade.std(ddof=1) / gap.std(ddof=1) if np.isfinite(effect.beta) else np.nan
        row = {"representation": name, "pathology": pathology, "n": effect.n}
        row["grades"] = "; ".join(f"{value}: {count}" for value, count in counts.items())
        row |= {key: getattr(effect, key) for key in ("beta", "se", "lower", "upper")}
        row |= {"standardised": effect.beta * units, "standardised_lower": effect.lower * units}
        row |= {"standardised_upper": effect.upper * units, "t": effect.t, "df": effect.df, "p": effect.p}
        rows.append(row | {"covariates": effect.covariates, "note": effect.note})
    return effects.adjust(pd.DataFrame(rows, columns=TESTS), rate)
