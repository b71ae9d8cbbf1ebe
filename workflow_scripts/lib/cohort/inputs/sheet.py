"""People in a spreadsheet of the user's: columns and codes of its own, other columns beside, rows that repeat."""

import os

import pandas as pd

from workflow_scripts.lib.cohort.inputs.data import clean, read_ids, say_unread
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator
from workflow_scripts.lib.study.tables import check_table, load_schema

SEPARATORS = ("\t", ";", ",")
MISSING = ("", "n/a", "N/A", "NA", "nan", "NaN")
SHOWN = 4  # columns that a message names


def read_sheet(entry: dict, label_columns: tuple[str, ...] = ()) -> tuple[list[dict], list[tuple[str, str]]]:
    """Read people from a spreadsheet.

    Parameters
    ----------
    entry : dict
        An input with ``participants`` (file), ``columns`` (our name -> the file's; others go by our names), ``codes``
        (column -> our value -> the file's value or values) and ``ids``.
    label_columns : tuple of str
        Further columns that the config declares.

    Returns
    -------
    people : list of dict
        Columns of schema ``people``; cells without a value are left out.
    ignored : list of (name, reason)
        Whose rows contradict one another: which of them belongs to the scan, nobody can tell.

    Raises
    ------
    StudyError
        With file, line, column and value.
    """
    path, codes = entry["participants"], entry.get("codes", {})
    raw = _read_cells(path)
    columns = _match_columns(path, raw, entry["columns"], label_columns)
    table = pd.DataFrame({ours: _decode(raw[theirs], codes.get(ours), path) for ours, theirs in columns.items()})
    names = raw[columns["participant_id"]].fillna("")
    visits = "session_id" in columns
    # with a column of visits the other holds the person alone
    ids = [
        ((clean(name), None) if clean(name) else None) if visits else read_ids(name, entry.get("ids")) for name in names
    ]
    unread = [(name, say_unread(entry.get("ids"))) for name, found in zip(names, ids, strict=True) if found is None]
    table["participant_id"] = [found[0] if found else "none" for found in ids]
    if not visits:
        table["session_id"] = [found[1] if found else None for found in ids]
        # the name that rows of the tables of features go by
        table["subject"] = names
    check_table(table, "people", path, label_columns)
    types = load_schema("people")["properties"]
    for column in table:
        if {"number", "integer"} & set(types.get(column, {}).get("type", [])):
            table[column] = pd.to_numeric(table[column])
    table = table[[found is not None for found in ids]]
    kept, contradicted = _drop_repeated(table)
    rows = [{key: value for key, value in row.items() if not pd.isna(value)} for row in kept.to_dict("records")]
    return rows, unread + contradicted


def deal_cohort(participant_id: str, shares: dict[str, float]) -> str:
    """Deal somebody to a cohort by chance.

    The draw depends on the id alone: it is the same for all scans of a person and stays when others are added.

    Parameters
    ----------
    participant_id : str
    shares : dict of str to float
        Cohort -> its share of the people; in any unit.
    """
    luck = generator(0, "cohorts", participant_id).random() * sum(shares.values())
    for cohort, share in shares.items():
        luck -= share
        if luck < 0:
            return cohort
    return list(shares)[-1]


def _read_cells(path: str | os.PathLike) -> pd.DataFrame:
    """Read a file separated by tabs, semicolons or commas as text; missing cells are None."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
        separator = next((mark for mark in SEPARATORS if mark in header), ",")
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_values=list(MISSING))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{path}: not a table in UTF-8 separated by tabs, semicolons or commas ({str(error).strip()}). "
            "Save it as one."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise StudyError(f"{path}: rows have more cells than the header has names. Remove separators at their ends.")
    table.columns = [str(column).strip() for column in table.columns]
    return table.apply(lambda column: column.str.strip())


def _match_columns(path: str, raw: pd.DataFrame, named: dict[str, str], labels: tuple[str, ...]) -> dict[str, str]:
    """Map our columns to the file's."""
    ours = [*load_schema("people")["properties"], *labels]
    for name, theirs in named.items():
        if name not in ours:
            raise StudyError(
                f"cohort: inputs: columns: '{name}' is no column of people. Known: {', '.join(ours)}. Correct it, or "
                "add it to cohort: label_columns."
            )
        if theirs not in raw:
            raise StudyError(
                f"{path}: no column '{theirs}', which columns: {name} names. Found: {_say_columns(raw)}. Correct "
                "cohort: inputs: columns, or give the right file."
            )
    columns = {name: named.get(name, name) for name in ours if name in named or name in raw}
    if "participant_id" not in columns:
        raise StudyError(
            f"{path}: no column 'participant_id'. Found: {_say_columns(raw)}. Say which column names people, such as "
            "columns: {participant_id: sub_id}."
        )
    return columns


def _say_columns(raw: pd.DataFrame) -> str:
    more = len(raw.columns) - SHOWN
    return ", ".join(raw.columns[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _decode(values: pd.Series, codes: dict | None, path: str) -> pd.Series:
    """Put our values in place of the file's codes."""
    if not codes:
        return values
    known = {
        _code(code): ours for ours, given in codes.items() for code in (given if isinstance(given, list) else [given])
    }
    decoded = [None if pd.isna(value) else known.get(_code(value)) for value in values]
    for row, (value, found) in enumerate(zip(values, decoded, strict=True)):
        if found is None and not pd.isna(value):
            legal = ", ".join(f"{code} ({ours})" for code, ours in known.items())
            raise StudyError(
                f"{path}, line {row + 2}, column '{values.name}': found '{value}', expected one of {legal}. Add it to "
                "cohort: inputs: codes, or correct the cell."
            )
    return pd.Series(decoded, values.index, dtype=object)


def _code(value: object) -> str:
    """Write a code in one way: 1, "1" and "1.0" are the same."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)


def _drop_repeated(table: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Keep one of rows that are the same, and none of those that contradict one another."""
    lines, keys = table.index.to_series() + 2, ["participant_id", "session_id"]
    single = table.drop_duplicates()
    twice = single[single.duplicated(keys, keep=False)]
    left = []
    for _, rows in twice.groupby(keys, sort=False, dropna=False):
        differ = next(column for column in rows if rows[column].nunique(dropna=False) > 1)
        values = " and ".join(str(value) for value in rows[differ].unique())
        places = ", ".join(str(lines[row]) for row in rows.index)
        name = rows["subject"].iloc[0] if "subject" in rows else rows["participant_id"].iloc[0]
        left.append((name, f"lines {places} disagree about {differ} ({values}), and it cannot be told which is right"))
    return single.drop(index=twice.index), left
