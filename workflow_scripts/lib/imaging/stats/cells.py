"""Numbers in the cells of exported tables."""

import math
import re

from workflow_scripts.lib.imaging.stats.grid import Grid
from workflow_scripts.lib.study.errors import StudyError

NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
EMPTY = frozenset(("", "NA", "N/A", "n/a", "nan", "NaN"))
# measure -> smallest and largest value, unit; outside the table has another unit or is damaged
RANGES = {"thickness": (0.0, 10.0, "mm"), "volume": (0.0, 1e7, "mm3"), "icv": (1e5, 1e7, "mm3")}


def read_number(grid: Grid, feature: str, measure: str, row: int, column: int, zero_is_empty: bool = False) -> float:
    """Turn a cell into a number; NaN if it is empty.

    Parameters
    ----------
    grid : Grid
    feature : str
        What the column holds, for messages.
    measure : {"thickness", "volume", "icv"}
    row, column : int
    zero_is_empty : bool
        Whether 0 stands for a value that nobody measured.

    Raises
    ------
    StudyError
        With file, line and column, if the cell holds no number or one that cannot be.
    """
    text = grid.cells[row][column]
    if text in EMPTY:
        return math.nan
    place = f"{grid.say(row, column)} ({feature}): found"
    if not NUMBER.fullmatch(text):
        if re.fullmatch(r"-?[0-9]+,[0-9]+", text):
            raise StudyError(
                f"{place} '{text}', expected a number with a decimal point. Save the table with decimal points."
            )
        raise StudyError(f"{place} '{text}', expected a number. Correct the cell or export the table again.")
    number = float(text)
    if number == 0 and zero_is_empty:
        return math.nan
    low, high, unit = RANGES[measure]
    if not low <= number <= high:
        raise StudyError(f"{place} {text}, expected {low:.0f} to {high:.0f} {unit}. Export the table again.")
    return number
