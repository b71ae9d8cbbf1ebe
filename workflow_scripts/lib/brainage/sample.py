"""Who trains the normative model: first sessions, balanced over age and sex."""

import itertools
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

logger = logging.getLogger(__name__)
BUCKET_COLUMNS = ["lower", "upper", "sex", "wanted", "available", "drawn", "note"]


def first_sessions(scans: pd.DataFrame) -> pd.DataFrame:
    """Keep the first scan of each participant, by age; scans without an age do not count.

    Parameters
    ----------
    scans : pandas.DataFrame
        participant_id, session_id, age (years) and any other columns.

    Returns
    -------
    pandas.DataFrame
        One row a participant, sorted by participant_id.
    """
    known = scans.dropna(subset="age").sort_values(["participant_id", "age", "session_id"])
    return known.drop_duplicates("participant_id").reset_index(drop=True)


def draw_balanced(
    people: pd.DataFrame, edges: list[float], per_bucket: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw equally many people from each bucket of age and sex.

    The published study: 4,000 people in 8 buckets, ages 44-53, 54-63, 64-73 and 74-83 (whole years)
    by two sexes. A bucket with too few people gives all it has, and the log says so.

    Parameters
    ----------
    people : pandas.DataFrame
        participant_id, age (years), sex (F, M); one row a participant.
    edges : list of float
        Increasing; bucket i holds edges[i] <= age < edges[i + 1].
    per_bucket : int
        People wanted in each bucket.
    seed : int
        Seed of the study. Each bucket has its own generator.

    Returns
    -------
    drawn : pandas.DataFrame
        Rows of ``people``, in their order.
    buckets : pandas.DataFrame
        lower, upper (years), sex, wanted, available, drawn, note (text; what is short, empty if nothing).

    Raises
    ------
    StudyError
        The edges do not increase, or nobody falls into any bucket.
    """
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise StudyError(f"brainage: buckets: {edges} must be two or more increasing ages.")
    chosen, rows = [], []
    for lower, upper in itertools.pairwise(edges):
        for sex in ("F", "M"):
            inside = (people["age"] >= lower) & (people["age"] < upper) & (people["sex"] == sex)
            ids = np.sort(people.loc[inside, "participant_id"].to_numpy(dtype=str))
            count = min(per_bucket, len(ids))
            chosen.extend(generator(seed, "brainage", "bucket", lower, upper, sex).choice(ids, count, replace=False))
            note = ""
            if count < per_bucket:
                note = f"{per_bucket - count} short of the {per_bucket} wanted: all taken"
                logger.warning("bucket %s-%s %s: %d people, %s", lower, upper, sex, count, note)
            rows.append((lower, upper, sex, per_bucket, len(ids), count, note))
    if not chosen:
        raise StudyError(
            f"brainage: nobody with role normative and split train is between {edges[0]} and {edges[-1]} years old. "
            "Change brainage: buckets, or the roles."
        )
    drawn = people[people["participant_id"].isin(chosen)]
    return drawn, pd.DataFrame(rows, columns=BUCKET_COLUMNS)


def assign_folds(people: pd.DataFrame, edges: list[float], n_folds: int, seed: int) -> np.ndarray:
    """Deal people into folds, each bucket of age and sex spread evenly.

    Parameters
    ----------
    people : pandas.DataFrame
        participant_id, age, sex; one row a participant.
    edges : list of float
        As :func:`draw_balanced`.
    n_folds : int
    seed : int

    Returns
    -------
    numpy.ndarray of int, (n_people,)
        Fold of each row, by participant and not by the order of rows.
    """
    bucket = np.digitize(people["age"], edges)
    keys = pd.DataFrame({"bucket": bucket, "sex": people["sex"].to_numpy(), "id": people["participant_id"].to_numpy()})
    keys["place"] = np.arange(len(keys))
    keys = keys.sort_values("id")
    keys["luck"] = generator(seed, "brainage", "folds").random(len(keys))
    order = keys.sort_values(["bucket", "sex", "luck"])["place"].to_numpy()
    folds = np.empty(len(people), dtype=int)
    folds[order] = np.arange(len(people)) % n_folds
    return folds
