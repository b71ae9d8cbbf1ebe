"""A table of people beside data that were found: its rows decide which scans the study wants."""

import os
from collections import defaultdict

import pandas as pd

from workflow_scripts.lib.cohort.inputs.data import FIRST_SESSION, Data
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import read_table


def read_people(path: str | os.PathLike, label_columns: tuple[str, ...] = ()) -> list[dict]:
    """Read a table of people (schema ``people``); cells without a value are left out of the rows.

    Raises
    ------
    StudyError
        With file, line, column and value.
    """
    table = read_table(path, "people", label_columns)
    rows = table.to_dict("records")
    return [{column: value for column, value in row.items() if not pd.isna(value)} for row in rows]


def match_people(
    people: list[dict], data: list[Data], table: str, entry: dict
) -> tuple[list[tuple[dict, Data | None]], list[Data]]:
    """Bring rows of a table of people together with data.

    A row names its data in the column ``subject``, or they have its participant and session. A row without a
    session means the only session of its participant.

    Parameters
    ----------
    people : list of dict
        From :func:`read_people`.
    data : list of Data
    table : str
        Path of the table, for messages.
    entry : dict
        The input.

    Returns
    -------
    matched : list of (dict, Data or None)
        A row each, with its data if there are any.
    left : list of Data
        Data that no row wants.

    Raises
    ------
    StudyError
        If two rows want the same data, or one row could mean several.
    """
    names, by_person, used, matched = _by_name(data), defaultdict(list), {}, []
    for item in data:
        by_person[item.participant_id].append(item)
    for line, row in enumerate(people, start=2):
        if "subject" in row:
            item = names.get(row["subject"])
        else:
            item = _only_one(row, by_person[row["participant_id"]], f"{table}, line {line}")
        if id(item) in used:
            raise StudyError(
                f"{table}: lines {used[id(item)]} and {line} both mean {item.path}. "
                "Give each row its own session_id or subject, or remove one."
            )
        if item is not None:
            used[id(item)] = line
        session = row.get("session_id") or (item.session_id if item else FIRST_SESSION)
        matched.append((row | {"session_id": session}, item))
    return matched, [item for item in data if id(item) not in used]


def _by_name(data: list[Data]) -> dict[str, Data]:
    """Map the names that mean one piece of data and no other."""
    found = defaultdict(dict)
    for item in data:
        for name in item.names:
            found[name][id(item)] = item
    return {name: next(iter(items.values())) for name, items in found.items() if len(items) == 1}


def _only_one(row: dict, candidates: list[Data], place: str) -> Data | None:
    """Choose the data of a row among those of its participant."""
    if "session_id" in row:
        candidates = [item for item in candidates if item.session_id == row["session_id"]]
    if len(candidates) > 1:
        sessions = sorted({item.session_id for item in candidates})
        found = f"sessions {', '.join(sessions)}" if len(sessions) > 1 else " and ".join(c.path for c in candidates)
        raise StudyError(
            f"{place}: participant '{row['participant_id']}' has {found}; the row must mean one of them. "
            "Write one row a scan, with session_id or subject."
        )
    return candidates[0] if candidates else None


def say_absent(row: dict, entry: dict) -> str:
    """Say that there are no data for a row of a table of people."""
    where = ", ".join(entry["tables"]) if entry["kind"] == "tables" else entry["path"]
    if "subject" in row:
        return f"nothing in {where} is named '{row['subject']}'"
    return f"nothing in {where} is of participant '{row['participant_id']}', session '{row['session_id']}'"
