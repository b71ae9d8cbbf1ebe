"""Datasets of kind table: a row an image, with its file, label, and what is known of patient, exam, mask and set."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.radiology.listing import Listing, as_listing, read_cells
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

SCHEMA = "image_list"


def list_table(path: Path) -> Listing:
    """List the images of a table of schema ``image_list``; paths in it count from its own folder.

    Raises
    ------
    StudyError
        For an unknown or missing column, an image without a label, a repeated image_id, an id with other characters
        than letters, digits, dot, dash and underscore, a file that is not there.
    """
    if path.is_dir():
        raise StudyError(f"{path}: is a folder, expected a table (kind table). Name the table, or another kind.")
    table = read_cells(path)
    check_table(table, SCHEMA, str(path))
    for column in ("patient_id", "exam_id", "slice", "mask", "set"):
        if column not in table:
            table[column] = None
    _refuse_missing(table, path, "path")
    _refuse_missing(table, path, "mask")
    known = table.astype(object).where(table.notna(), None)
    rows = [
        {
            **{column: row[column] for column in ("image_id", "label", "patient_id", "exam_id")},
            "file": row["path"],
            "path": path.parent / row["path"],
            "masks": (path.parent / row["mask"],) if row["mask"] else (),
            "slice": None if row["slice"] is None else int(float(row["slice"])),
            "split_given": row["set"],
        }
        for row in known.to_dict("records")
    ]
    return as_listing(rows, tables=[path])


def _refuse_missing(table: pd.DataFrame, path: Path, column: str) -> None:
    """Refuse a table that names files which are not there."""
    named = table[column].dropna()
    absent = [row for row, name in named.items() if not (path.parent / name).is_file()]
    if absent:
        what = "pictures" if column == "path" else "masks"
        raise StudyError(
            f"{path}, line {absent[0] + 2}, column '{column}': '{named[absent[0]]}' is not a file ({len(absent)} of "
            f"{len(named)} {what} are missing). Relative paths count from the table's folder. Correct the path"
            + (" or remove the row." if column == "path" else ", or write n/a where there is no mask.")
        )
