"""Spreadsheets of a study: a row a scan, its name first, features in columns of FreeSurfer's names, anything beside.

Such tables are put together by hand from those that FreeSurfer exports, often of several versions. What that does to
them is undone here where it cannot be mistaken, and refused where it can.
"""

import logging
import re

import numpy as np

from workflow_scripts.lib.imaging.stats.cells import read_number
from workflow_scripts.lib.imaging.stats.columns import CORTEX_NAMES, CORTICAL_COLUMN, ICV_COLUMNS, SUBCORTEX
from workflow_scripts.lib.imaging.stats.grid import Grid
from workflow_scripts.lib.imaging.stats.structures import (
    DESTRIEUX,
    DK,
    DK_ONLY,
    DKT,
    cortical_feature,
    destrieux_region,
    segmentation_feature,
)
from workflow_scripts.lib.study.errors import StudyError

log = logging.getLogger(__name__)
# pandas' mark of a column whose name stands twice
AGAIN = re.compile(r"\.[0-9]+$")
# columns of one feature print it with other roundings
SAME = 1e-4


def is_spreadsheet(grid: Grid) -> bool:
    """Tell whether a table is a spreadsheet: its first cell names the column of names, and others hold features."""
    return bool(grid.cells[0][0]) and any(_holds(text) for text in grid.cells[0][1:])


def read_spreadsheet(grid: Grid) -> tuple[list[str], list[tuple[int, str]], np.ndarray]:
    """Read the features of a spreadsheet.

    * A feature may have several columns (names of several versions, or one name twice) if no row has two values:
      in such columns 0 means that this version was not used.
    * A thickness of 0 is missing, and so is a volume that is 0 in everybody.
    * A row may stand twice, as joins of tables leave it, if its features are the same.

    Parameters
    ----------
    grid : Grid
        With names in the first column.

    Returns
    -------
    names : list of str
        Of the rows, each once.
    features : list of (int, str)
        Column and feature.
    values : numpy.ndarray
        float64, names x features; mm, mm3.

    Raises
    ------
    StudyError
        With line and column: a name without or with other features in another row, two values of one feature, an atlas
        that cannot be told, or text instead of a number.
    """
    columns = _columns_of_features(grid)
    rows = range(1, len(grid.cells))
    values = np.empty((len(grid.cells) - 1, len(columns)))
    for place, (feature, among) in enumerate(columns.items()):
        values[:, place] = _read_feature(grid, feature, among)
    kept = _drop_repeated([grid.cells[row][0] for row in rows], values, grid)
    features = [(among[0], feature) for feature, among in columns.items()]
    return [grid.cells[row + 1][0] for row in kept], features, values[kept]


def _holds(text: str) -> str | None:
    """Say which atlas a column's feature is of, ``aseg`` or ``icv``; None if it holds no feature."""
    text = AGAIN.sub("", text)
    if text in ICV_COLUMNS:
        return "icv"
    if segmentation_feature(text) in SUBCORTEX or text in CORTEX_NAMES:
        return "aseg"
    match = CORTICAL_COLUMN.fullmatch(text)
    region = match["region"] if match else ""
    for atlas, regions in (("DKT", DKT), ("Destrieux", DESTRIEUX)):
        if region.removeprefix(f"{atlas}_") in regions and region.startswith(f"{atlas}_"):
            return atlas
    if region in DK:
        return "DK"
    return "Destrieux" if destrieux_region(region) in DESTRIEUX else None


def _columns_of_features(grid: Grid) -> dict[str, list[int]]:
    """Map each feature to the columns that hold it."""
    found: dict[str, list[int]] = {}
    header = [AGAIN.sub("", text) for text in grid.cells[0]]
    plain = _plain_atlas(grid, header)
    for column, text in enumerate(header[1:], start=1):
        atlas = _holds(text)
        if atlas is None or (atlas == "aseg" and text in CORTEX_NAMES):
            continue
        if atlas == "icv":
            feature = "icv"
        elif atlas == "aseg":
            feature = segmentation_feature(text)
        else:
            side, region, measure = CORTICAL_COLUMN.fullmatch(text).group("side", "region", "measure")
            region = region.removeprefix(f"{atlas}_")
            if atlas == "Destrieux":
                region = destrieux_region(region)
            feature = cortical_feature(side, region, measure, plain if atlas == "DK" else atlas)
        found.setdefault(feature, []).append(column)
    return found


def _plain_atlas(grid: Grid, header: list[str]) -> str:
    """Tell whether names such as ``lh_insula_thickness`` mean the Desikan-Killiany or the DKT atlas."""
    matches = [CORTICAL_COLUMN.fullmatch(text) for text in header if _holds(text) == "DK"]
    regions = {match["region"] for match in matches}
    if not regions or regions & set(DK_ONLY):
        return "DK"
    if regions == set(DKT):
        return "DKT"
    raise StudyError(
        f"{grid.path}: found {len(regions)} cortical regions, such as {matches[0][0]}, and none of "
        f"{', '.join(DK_ONLY)}: it cannot be told whether they are of the Desikan-Killiany or the DKT atlas. Add the "
        "regions that are left out, or name columns like lh_DKT_insula_thickness."
    )


def _read_feature(grid: Grid, feature: str, columns: list[int]) -> np.ndarray:
    """Read a feature from all columns that hold it; float64, one value a row."""
    measure = "thickness" if feature.endswith("_thickness") else "icv" if feature == "icv" else "volume"
    zero_is_empty = measure != "volume" or len(columns) > 1
    values = np.array(
        [
            [read_number(grid, feature, measure, row, column, zero_is_empty) for column in columns]
            for row in range(1, len(grid.cells))
        ]
    )
    first = np.full(len(values), np.nan)
    for place in range(len(columns)):
        differ = np.abs(values[:, place] - first) > SAME * np.abs(first)
        if differ.any():
            row = int(differ.argmax())
            raise StudyError(
                f"{grid.say(row + 1, columns[place])}: found {values[row, place]:.10g} as well as {first[row]:.10g} "
                f"for {feature} of {grid.cells[row + 1][0]}. Leave one of the columns."
            )
        first = np.where(np.isnan(first), values[:, place], first)
    # what no version measures is written as a column of zeros
    return first if np.nan_to_num(first).any() else np.full(len(first), np.nan)


def _drop_repeated(names: list[str], values: np.ndarray, grid: Grid) -> list[int]:
    """List the rows to keep: the first of each name, provided that the others have its features."""
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if not name:
            raise StudyError(f"{grid.say(row + 1, 0)}: found an empty cell, expected a name. Fill it in.")
        if name in first and not np.array_equal(values[first[name]], values[row], equal_nan=True):
            line = grid.place(first[name] + 1, 0)[0]
            raise StudyError(
                f"{grid.say(row + 1, 0)}: found '{name}' again with other features (first in line {line}). Give each "
                "scan a name of its own, such as sub-01_ses-2, or remove one of the rows."
            )
        first.setdefault(name, row)
    if len(first) < len(names):
        log.warning(
            "%s: %d of %d rows repeat a scan that stands above, features and all; they count once",
            grid.path,
            len(names) - len(first),
            len(names),
        )
    return list(first.values())
