"""A dataset's images before any is opened: a row each, and what was found beside them."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["image_id", "file", "path", "masks", "label", "patient_id", "exam_id", "slice", "split_given"]
SEPARATORS = ("\t", ";", ",")
MISSING = ["", "n/a", "N/A", "NA", "nan", "NaN"]
# what pictures end in; others of them are set aside when read, with what to do about it
PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".dcm"}
SHOWN = 6  # names in a message


@dataclass(frozen=True)
class Listing:
    """What a table or a folder holds.

    Attributes
    ----------
    images : pandas.DataFrame
        ``image_id``, ``file`` (as the table or the folder has it), ``path``, ``masks`` (tuple of paths), ``label``,
        ``patient_id``, ``exam_id``, ``slice``, ``split_given``; None where unknown.
    aside : list of tuple (image_id, file, reason)
        What lies there and cannot be an image of the dataset.
    notes : list of str
        What the user should read.
    tables : list of path
        Tables that were read.
    normal_is_empty : bool
        Whether images labelled normal come with an empty mask, which then means none.
    """

    images: pd.DataFrame
    aside: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    normal_is_empty: bool = False


def as_listing(rows: list[dict], **more: object) -> Listing:
    """Make a listing of rows of which each has some of the columns."""
    table = pd.DataFrame([{column: row.get(column) for column in COLUMNS} for row in rows], columns=COLUMNS)
    return Listing(table.astype(object).where(table.notna(), None), **more)


def make_id(name: str) -> str:
    """Turn a file's name without its ending into an id: other characters than A-Z, a-z, 0-9, dot and dash become _.

    ``benign (1)`` is ``benign_1``.
    """
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("_.-")


def list_pictures(folder: Path) -> list[Path]:
    """List the pictures of a folder by name, hidden ones left out."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in PICTURES and not file.name.startswith(".") and file.is_file()
    )


def read_cells(path: str | os.PathLike) -> pd.DataFrame:
    """Read a table separated by tabs, semicolons or commas as text; empty cells and n/a are missing.

    Row i of the table is line i + 2 of the file.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = next((mark for mark in SEPARATORS if mark in header), ",")
        table = pd.read_csv(
            path,
            sep=separator,
            dtype=str,
            keep_default_na=False,
            na_values=MISSING,
            skip_blank_lines=False,
            encoding="utf-8-sig",
        )
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file. Correct the path.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise StudyError(
            f"{path}: not a table in UTF-8 separated by tabs, semicolons or commas ({str(error).strip()}). "
            "Save it as one."
        ) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise StudyError(f"{path}: rows have more cells than the header has names. Remove separators at their ends.")
    table.columns = [str(column).strip() for column in table.columns]
    table = table.apply(lambda column: column.str.strip()).replace("", None)
    while len(table) and table.iloc[-1].isna().all():  # empty lines at the end
        table = table.iloc[:-1]
    if table.empty:
        raise StudyError(f"{path}: found no row below the header, expected one an image. Give the right file.")
    return table


def say_some(names: list[str]) -> str:
    """Join names for a message, the first of them if there are many."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
