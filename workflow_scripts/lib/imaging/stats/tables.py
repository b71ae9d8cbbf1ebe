"""Tables that aparcstats2table and asegstats2table export: one row a subject, or one column with ``--transpose``.

Spreadsheets that people put together from them are read too (:mod:`spreadsheet`).
https://surfer.nmr.mgh.harvard.edu/fswiki/aparcstats2table and https://surfer.nmr.mgh.harvard.edu/fswiki/asegstats2table.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.stats.cells import read_number
from workflow_scripts.lib.imaging.stats.columns import (
    Kind,
    feature_of_columns,
    kind_of_table,
    looks_like_features,
    says_kind,
)
from workflow_scripts.lib.imaging.stats.grid import Grid, read_grid
from workflow_scripts.lib.imaging.stats.spreadsheet import is_spreadsheet, read_spreadsheet
from workflow_scripts.lib.study.errors import StudyError

# tables of one run print the intracranial volume with other roundings
SAME_ICV = 1e-4


@dataclass
class Table:
    """An exported table with subjects in rows.

    Attributes
    ----------
    grid : Grid
    subjects : list of str
    features : list of (int, str)
        Column of the grid and the feature that it holds.
    values : numpy.ndarray
        float64, subjects x features.
    """

    grid: Grid
    subjects: list[str]
    features: list[tuple[int, str]]
    values: np.ndarray


def list_subjects(paths: Sequence[str]) -> list[str]:
    """List the subjects of exported tables; every value is checked, so that a faulty table is refused at once.

    Parameters
    ----------
    paths : sequence of str
        Tables of the same or of different people.

    Returns
    -------
    list of str
        Names as in the tables, each once, in the order of their first appearance.
    """
    return list(read_tables(paths).index)


def read_tables(paths: Sequence[str]) -> pd.DataFrame:
    """Read exported tables and put them side by side.

    Parameters
    ----------
    paths : sequence of str
        Tables of thickness or volume of ``aparc``, ``aparc.DKTatlas`` or ``aparc.a2009s``, and of volumes of ``aseg``;
        separated by commas, tabs, semicolons or spaces; subjects in rows or in columns. Or spreadsheets.

    Returns
    -------
    pandas.DataFrame
        Index: the subject's name as in the tables. Columns: names of features (mm, mm3) and ``icv`` (mm3, where a
        table has it). float64, exactly the printed values; NaN where no table has one.

    Raises
    ------
    StudyError
        With file, line and column: a subject or column twice, text instead of a number, rows of different lengths, an
        atlas or measure that is not read, two tables that disagree.
    """
    if not paths:
        raise StudyError("tables: no table is named. Name at least one table that aparcstats2table wrote.")
    tables = [_read_table(path) for path in paths]
    subjects = {name: place for place, name in enumerate(dict.fromkeys(s for t in tables for s in t.subjects))}
    names = {name: place for place, name in enumerate(dict.fromkeys(f for t in tables for _, f in t.features))}
    merged = np.full((len(subjects), len(names)), np.nan)
    for number, table in enumerate(tables):
        rows = [subjects[name] for name in table.subjects]
        for place, (_, feature) in enumerate(table.features):
            old, new = merged[rows, names[feature]], table.values[:, place]
            # comparisons with NaN are false: what one table lacks, the other may give
            differ = np.abs(old - new) > (SAME_ICV * old if feature == "icv" else 0)
            if differ.any():
                _refuse_other_value(tables[:number], table, int(differ.argmax()), place)
            merged[rows, names[feature]] = np.where(np.isnan(old), new, old)
    return pd.DataFrame(merged, index=list(subjects), columns=list(names))


def _open(path: str) -> tuple[Kind | None, Grid]:
    """Read a table, say of what kind it is (None: a spreadsheet), and turn it so that subjects are in rows."""
    grid = read_grid(path)
    if not says_kind(grid.cells[0][0]) and is_spreadsheet(grid):
        return None, grid
    kind = kind_of_table(path, grid.cells[0][0])
    below, beside = [row[0] for row in grid.cells[1:]], grid.cells[0][1:]
    if looks_like_features(below, kind) and not looks_like_features(beside, kind):
        grid = grid.turn()
    _refuse_twice(grid, [(0, column) for column in range(1, len(grid.cells[0]))], "column")
    _refuse_twice(grid, [(row, 0) for row in range(1, len(grid.cells))], "subject")
    return kind, grid


def _refuse_twice(grid: Grid, places: list[tuple[int, int]], what: str) -> None:
    seen: dict[str, tuple[int, int]] = {}
    for row, column in places:
        name = grid.cells[row][column]
        if not name:
            raise StudyError(
                f"{grid.say(row, column)}: found an empty cell, expected the name of a {what}. Export the table again."
            )
        if name in seen:
            line, place = grid.place(*seen[name])
            raise StudyError(
                f"{grid.say(row, column)}: found {what} '{name}' again (first in line {line}, column {place}). Remove "
                "one of them or export the table again."
            )
        seen[name] = (row, column)


def _read_table(path: str) -> Table:
    kind, grid = _open(path)
    if kind is None:
        return Table(grid, *read_spreadsheet(grid))
    features = feature_of_columns(grid, kind)
    values = [
        [
            read_number(grid, feature, "icv" if feature == "icv" else kind.measure, row, column)
            for column, feature in features
        ]
        for row in range(1, len(grid.cells))
    ]
    return Table(grid, [row[0] for row in grid.cells[1:]], features, np.array(values, dtype=np.float64))


def _refuse_other_value(earlier: list[Table], table: Table, row: int, place: int) -> None:
    """Refuse a value that an earlier table gives otherwise."""
    subject, (column, feature) = table.subjects[row], table.features[place]
    for other in earlier:
        for number, (_, name) in enumerate(other.features):
            if name == feature and subject in other.subjects:
                place_there = other.subjects.index(subject)
                value = other.values[place_there, number]
                if not math.isnan(value):
                    raise StudyError(
                        f"{table.grid.say(row + 1, column)}: found {table.values[row, place]:.10g} as {feature} of "
                        f"{subject}, expected {value:.10g} as in {other.grid.path}. The tables are of different runs: "
                        "name tables of one run."
                    )
