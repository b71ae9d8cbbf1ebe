"""Which scans have a value, lie in a range, and count among the visits of a participant."""

import re

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import load_schema

VISITS = ("all", "first", "last")
SHOWN = 8  # values that a message lists
# what users write, and the word for it
OTHER_WORDS = {("diagnosis", "hc"): "CN", ("diagnosis", "control"): "CN", ("diagnosis", "dementia"): "AD"}


def matches(values: pd.Series, legal: list) -> pd.Series:
    """Say which values are among the legal ones; numbers compare as numbers, the rest as text.

    Parameters
    ----------
    values : pandas.Series
        A column of the scans table.
    legal : list
        Values as the config gives them: ``[1]`` matches 1, 1.0 and ``"1"``.

    Returns
    -------
    pandas.Series of bool
        False where the value is missing.
    """
    wanted = pd.to_numeric(pd.Series(legal, dtype=object), errors="coerce")
    hit = values.astype("string").isin([str(value) for value in legal])
    if wanted.notna().all():
        hit |= pd.to_numeric(values, errors="coerce").isin(wanted.astype(float))
    return (hit & values.notna()).astype(bool)


def as_numbers(scans: pd.DataFrame, column: str) -> pd.Series:
    """Return a column as float64, missing where empty.

    Raises
    ------
    StudyError
        Names the first scan whose value is no number.
    """
    values = scans[column]
    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    bad = (numbers.isna() & values.notna()) | numbers.isin([float("inf"), -float("inf")])
    if bad.any():
        row = scans[bad].iloc[0]
        raise StudyError(
            f"scan {row['scan_id']}, column '{column}': found {row[column]!r}, expected a number or an empty cell. "
            "Correct the value, or use a task of kind binary and lists of values in filters."
        )
    return numbers


def passes(scans: pd.DataFrame, column: str, rule: list | dict) -> pd.Series:
    """Say which scans pass a filter.

    Parameters
    ----------
    scans : pandas.DataFrame
        scan_id and the column.
    column : str
    rule : list or dict
        Values to have, or a range: ``min``, ``max`` or both, which belong to it.

    Returns
    -------
    pandas.Series of bool
        False where the value is missing.
    """
    if not isinstance(rule, dict):
        return matches(scans[column], rule)
    numbers = as_numbers(scans, column)
    return numbers.between(rule.get("min", -float("inf")), rule.get("max", float("inf")))


def _visit_order(session_id: str) -> tuple:
    """Order sessions as people count: 2 before 10, m06 before m12."""
    parts = re.split(r"(\d+)", str(session_id))
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts if part)


def keep_visits(scans: pd.DataFrame, visits: str) -> pd.Series:
    """Say which scans of each participant count.

    Parameters
    ----------
    scans : pandas.DataFrame
        participant_id, session_id, age: those that pass all else, so that the first is the first of these.
    visits : {'all', 'first', 'last'}
        By age; by the name of the session where a participant's ages are not all known, or equal.

    Returns
    -------
    pandas.Series of bool
    """
    if visits == "all" or scans.empty:
        return pd.Series(True, index=scans.index)
    age = as_numbers(scans, "age")
    incomplete = age.isna().groupby(scans["participant_id"]).transform("any")
    order = pd.DataFrame({"person": scans["participant_id"], "age": age.mask(incomplete, 0.0)})
    order["session"] = [_visit_order(name) for name in scans["session_id"]]
    ranked = order.sort_values(["age", "session"]).groupby("person").cumcount(ascending=visits == "first")
    return ranked.reindex(scans.index) == 0


def absent_values(scans: pd.DataFrame, column: str, wanted: list, place: str) -> str:
    """Say which of the values that a task names no scan has; empty if all occur.

    Parameters
    ----------
    scans : pandas.DataFrame
    column : str
    wanted : list
        As the config names them.
    place : str
        Key of the config, for the message.

    Raises
    ------
    StudyError
        If a value can never occur: one that the column may not hold, or one that scans have in other letters.
    """
    found = sorted({_word(value) for value in scans[column].dropna()})
    legal = [value for value in load_schema("scans")["properties"].get(column, {}).get("enum", []) if value is not None]
    absent = [str(value) for value in wanted if not matches(scans[column], [value]).any()]
    for value in absent:
        close = [other for other in [*found, *legal] if other.casefold() == value.casefold()]
        close += [OTHER_WORDS[key] for key in [(column, value.casefold())] if key in OTHER_WORDS]
        if value not in legal and (close or legal):
            hint = f" Did you mean '{close[0]}'?" if close else ""
            choice = f"one of {', '.join(legal)}" if legal else "the words of the table"
            raise StudyError(f"{place}: found '{value}', expected {choice} for column '{column}'.{hint}")
    if not absent:
        return ""
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    have = f"found {', '.join(found[:SHOWN])}{more}" if found else "the column is empty"
    return f"no scan has {column} {' or '.join(absent)} ({have})"


def _word(value: object) -> str:
    """Write a value as a config would: 1, not 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)
