"""The people of the phantom study: cohorts, sites, ages, disease histories, and what makes their brains older."""

import numpy as np
import pandas as pd

from workflow_scripts.lib.phantom.render import Scanner
from workflow_scripts.lib.study.seeds import generator

# Three sites whose scanners differ in contrast, sharpness, noise, coil, gain, gradient scale and storage order
SCANNERS = {
    "alpha": Scanner(grey=0.72, csf=0.25, blur=2.0, noise=0.030, bias=0.20, gain=1.0, scale=1.000, axes="LAS"),
    "beta": Scanner(grey=0.66, csf=0.18, blur=3.0, noise=0.040, bias=0.30, gain=0.7, scale=1.015, axes="RAS"),
    "gamma": Scanner(grey=0.77, csf=0.30, blur=1.0, noise=0.025, bias=0.15, gain=1.4, scale=0.990, axes="PIR"),
}
DIAGNOSES = ("CN", "MCI", "AD")
SHARES = (0.34, 0.38, 0.28)  # of the clinical cohort
# years between two visits, close to two as in ADNI and UK Biobank repeats
VISIT_GAP = (1.6, 2.4)
# linear head size relative to MNI152, whose brain is larger than life: mean by sex, and spread within a sex
HEAD_SIZE = {"F": 0.955, "M": 0.985}
HEAD_SIZE_SD = 0.02
# years from the first visit to dementia of the first and the last person with MCI
CROSSING = (0.4, 7.5)
FAULTS = ("truncated", "zero", "four_dimensional")
# labels that a network may be pretrained on, beside age and sex, and the share of people who lack each
LABELS = {"handedness": 0.1, "bmi": 0.2, "fluid_intelligence": 0.4, "neuroticism": 0.4}


def draw_people(settings: dict, seed: int) -> pd.DataFrame:
    """Draw the people.

    Parameters
    ----------
    settings : dict
        Config section ``phantom``: ``population`` and ``clinical`` with ``people`` and ``second_visits``.
    seed : int

    Returns
    -------
    pandas.DataFrame
        One row a person: ``participant_id``, ``cohort``, ``site``, ``sex``, ``age`` at the first visit (years),
        ``second_visit`` (bool), ``diagnosis`` at the first visit, ``amyloid``, ``own_offset_years`` (brain age that
        neither genes nor disease explain), ``severity`` of disease and its yearly ``rate``, ``hidden`` amplitude,
        ``head_size`` relative to the template.
    """
    parts = []
    for cohort in ("population", "clinical"):
        random = generator(seed, "people", cohort)
        count = settings[cohort]["people"]
        low, high = settings[cohort]["age_range"]
        # even over age and sex: the normative sample wants every bucket
        ages = low + (high - low) * (random.permutation(count) + random.random(count)) / count
        frame = pd.DataFrame(
            {
                "participant_id": [f"sub-{cohort[:3]}{number:04d}" for number in range(1, count + 1)],
                "cohort": cohort,
                "site": random.permutation(np.resize(list(SCANNERS), count)),
                "sex": np.array(["F", "M"])[np.argsort(np.argsort(ages)) % 2],
                "age": ages.round(1),
                "own_offset_years": random.normal(0, settings["own_offset_sd_years"], count),
            }
        )
        second = np.arange(count) < settings[cohort]["second_visits"]
        frame["second_visit"] = random.permutation(second)
        frame["head_size"] = frame["sex"].map(HEAD_SIZE) + random.normal(0, HEAD_SIZE_SD, count)
        parts.append(_with_disease(frame, cohort, random))
    return pd.concat(parts, ignore_index=True)


def _with_disease(frame: pd.DataFrame, cohort: str, random: np.random.Generator) -> pd.DataFrame:
    count = len(frame)
    if cohort == "population":
        frame["diagnosis"] = "CN"
    else:
        shares = np.floor(np.cumsum(SHARES) * count).astype(int)
        place = random.permutation(count)
        frame["diagnosis"] = np.array(DIAGNOSES)[np.searchsorted(shares[:-1], place, side="right")]
    level = frame["diagnosis"].map({"CN": 0.0, "MCI": 0.5, "AD": 1.0})
    spread = frame["diagnosis"].map({"CN": 0.0, "MCI": 0.16, "AD": 0.12})
    frame["severity"] = (level + spread * random.standard_normal(count)).clip(lower=0)
    frame["rate"] = frame["diagnosis"].map({"CN": 0.0, "MCI": 0.08, "AD": 0.08})
    # amyloid comes before atrophy: a third of older healthy people, most with MCI, nearly all with AD
    chance = frame["diagnosis"].map({"CN": 0.25, "MCI": 0.65, "AD": 0.95})
    frame["amyloid"] = (random.random(count) < chance).astype(int)
    # what regional volumes cannot see follows amyloid
    frame["hidden"] = (0.15 + 0.7 * frame["amyloid"] + 0.15 * random.standard_normal(count)).clip(lower=0)
    frame["followup_years"] = random.uniform(4.5, 9.0, count).round(2)
    # people with MCI cross into dementia one after the other, the more severe the sooner
    mild = frame["diagnosis"] == "MCI"
    order = (frame["severity"] + random.normal(0, 0.1, count))[mild].rank(ascending=False, method="first")
    first, last = CROSSING
    frame["crossing_years"] = (
        (first + (order - 1) * (last - first) / max(mild.sum() - 1, 1)).reindex(frame.index).round(2)
    )
    return frame


def make_visits(people: pd.DataFrame, genetic_offset: pd.Series, settings: dict, seed: int) -> pd.DataFrame:
    """Turn people into visits with their planted factors.

    Parameters
    ----------
    people : pandas.DataFrame
        From :func:`draw_people`.
    genetic_offset : pandas.Series
        Years of brain age by participant_id.
    settings, seed

    Returns
    -------
    pandas.DataFrame
        One row a scan: the participants table's columns and ``brain_age``, ``severity``, ``hidden``, ``head_size``,
        ``fault`` (missing, or one of :data:`FAULTS`). First visits come first, so that a second one is a late row.
    """
    random = generator(seed, "visits")
    gaps = random.uniform(*VISIT_GAP, len(people)).round(2)
    # a second visit is follow-up too
    seen = people["followup_years"].where(~people["second_visit"], np.maximum(people["followup_years"], gaps))
    people = people.assign(followup_years=seen)
    rows = []
    for session in (0, 1):
        for person, gap in zip(people.itertuples(), gaps, strict=True):
            if session == 0 or person.second_visit:
                rows.append(_visit(person, genetic_offset[person.participant_id], session * gap, session))
    visits = pd.DataFrame(rows)
    visits["image"] = "brain"
    visits["fault"] = None
    first = visits.index[(visits["cohort"] == "population") & (visits["session_id"] == "1")]
    single = [row for row in first if (visits["participant_id"] == visits.at[row, "participant_id"]).sum() == 1]
    heads = random.choice(len(visits), settings["heads"], replace=False)
    visits.loc[visits.index[heads], "image"] = "head"
    faulty = random.choice(single, sum(settings["faults"].values()), replace=False)
    names = [fault for fault in FAULTS for _ in range(settings["faults"][fault])]
    visits.loc[faulty, "fault"] = names
    return visits


def _visit(person: object, genetic: float, years: float, session: int) -> dict:
    """Give one visit of one person, ``years`` after the first."""
    severity = person.severity + person.rate * years
    converted = np.isfinite(person.crossing_years) and person.crossing_years <= years
    observed = np.isfinite(person.crossing_years) and person.crossing_years <= person.followup_years
    conversion = None
    if person.diagnosis == "MCI" and observed and not converted:
        conversion = round(person.crossing_years - years, 2)
    return {
        "participant_id": person.participant_id,
        "session_id": str(session + 1),
        "cohort": person.cohort,
        "site": person.site,
        "scanner": f"scanner-{person.site}",
        "age": round(person.age + years, 2),
        "sex": person.sex,
        "diagnosis": "AD" if converted else person.diagnosis,
        "amyloid": person.amyloid if person.cohort == "clinical" else None,
        "conversion_years": conversion,
        "followup_years": round(max(person.followup_years - years, 0.0), 2),
        "brain_age": person.age + years + genetic + person.own_offset_years,
        "severity": severity,
        "hidden": person.hidden + 0.05 * years * (person.diagnosis != "CN"),
        "head_size": person.head_size,
    }


def draw_labels(visits: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw what questionnaires and scales say, one value a person, with gaps as in any biobank.

    Fluid intelligence falls with brain age and body mass index rises with the offset of brain age from age, so that
    images tell a little of both; handedness and neuroticism are chance.

    Parameters
    ----------
    visits : pandas.DataFrame
        From :func:`make_visits`.
    seed : int

    Returns
    -------
    pandas.DataFrame
        ``handedness`` (left, right), ``bmi`` (kg/m^2), ``fluid_intelligence`` (0 to 13), ``neuroticism`` (0 to 12),
        with the index of ``visits``; missing where a person lacks it.
    """
    random = generator(seed, "labels")
    people = visits.drop_duplicates("participant_id").set_index("participant_id")
    count, offset = len(people), people["brain_age"] - people["age"]
    drawn = pd.DataFrame(
        {
            "handedness": np.where(random.random(count) < 0.1, "left", "right"),
            "bmi": (27 + 0.2 * offset + random.normal(0, 4, count)).clip(16, 50).round(1),
            "fluid_intelligence": (6 - 0.1 * (people["brain_age"] - 64) + random.normal(0, 1.8, count))
            .clip(0, 13)
            .round(),
            "neuroticism": (4 + random.normal(0, 3, count)).clip(0, 12).round(),
        },
        index=people.index,
    )
    for column, share in LABELS.items():
        drawn[column] = drawn[column].where(random.random(count) >= share)
    return drawn.loc[visits["participant_id"]].set_index(visits.index)
