"""A text table whose cells know where they stand in the file."""

import csv
from dataclasses import dataclass

from workflow_scripts.lib.imaging.stats.text import fault, read_lines
from workflow_scripts.lib.study.errors import StudyError

# the header has no such mark in a name, so the first of these that it has separates the cells; else spaces do
SEPARATORS = ("\t", ";", ",")


@dataclass
class Grid:
    """A table, perhaps turned.

    Attributes
    ----------
    path : str
    cells : list of list of str
        Rows of equal length, the header first.
    turned : bool
        Rows were columns in the file.
    """

    path: str
    cells: list[list[str]]
    turned: bool = False

    def turn(self) -> "Grid":
        """Make rows of columns."""
        return Grid(self.path, [list(column) for column in zip(*self.cells, strict=True)], not self.turned)

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Give line and column in the file, from 1, of a cell of ``cells``."""
        return (column + 1, row + 1) if self.turned else (row + 1, column + 1)

    def say(self, row: int, column: int) -> str:
        """Put file and place of a cell of ``cells`` into words."""
        line, place = self.place(row, column)
        return f"{self.path}, line {line}, column {place}"


def read_grid(path: str) -> Grid:
    """Read a table separated by tabs, semicolons, commas or spaces.

    Returns
    -------
    Grid
        At least two rows and two columns; empty lines at the end are left out.

    Raises
    ------
    StudyError
        If the file is damaged, or a row is longer or shorter than the header.
    """
    lines = read_lines(path)
    separator = next((mark for mark in SEPARATORS if mark in lines[0]), None)
    while not lines[-1].strip():
        lines.pop()
    # some versions of the tools end every row with a mark, after which there is no cell
    if separator and all(line.endswith(separator) for line in lines):
        lines = [line[:-1] for line in lines]
    rows = [_split(path, line, number, separator) for number, line in enumerate(lines, start=1)]
    width = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != width:
            decimal = separator == "," and len(row) > width
            raise fault(
                path,
                number,
                f"{len(row)} cells",
                f"{width} as in the header",
                "Save the table with decimal points, or separate cells by tabs." if decimal else "Export it again.",
            )
    if width < 2 or len(rows) < 2:
        found = "one column only" if width < 2 else "no row below the header"
        raise StudyError(f"{path}: found {found}, expected a header and at least one subject. Export the table again.")
    return Grid(str(path), rows)


def _split(path: str, line: str, number: int, separator: str | None) -> list[str]:
    if separator is None:
        return line.split()
    if '"' not in line:
        return [text.strip() for text in line.split(separator)]
    try:
        return [text.strip() for text in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise fault(path, number, f"a cell that cannot be read ({error})", "a closed quotation") from error
