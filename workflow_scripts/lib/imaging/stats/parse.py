"""One file of statistics: header, measures and table, with every doubt about its wholeness refused.

The format is that of FreeSurfer's mri_segstats and mris_anatomical_stats (5 to 8) and of FastSurfer's segstats.py; it
is documented only by its writers (https://github.com/freesurfer/freesurfer, https://github.com/Deep-MI/FastSurfer).
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.lib.imaging.stats.text import fault, read_lines
from workflow_scripts.lib.study.errors import StudyError

NUMBER = re.compile(r"-?[0-9]+(?:\.(?P<decimals>[0-9]+))?")
# columns that features come from: finite there, not negative, and of as many decimals as in the other rows
READ = ("SegId", "Volume_mm3", "GrayVol", "ThickAvg")
# printed by C and Python where an intensity of no voxel is asked for
NO_NUMBER = re.compile(r"[-+]?(nan|inf)", re.I)
# no part of a head is as large; a lost decimal point makes it so
LARGEST_MM3 = 1e7


@dataclass
class StatsFile:
    """What a file of statistics says.

    Attributes
    ----------
    path : pathlib.Path
    headers : dict of str to str
        First word of a comment -> the rest of its line, the last of equal ones.
    measures : dict of str to tuple
        Name (``eTIV``, ``BrainSegVol``) -> key, value, unit, line; measures of the whole brain.
    columns : list of str
        Of the table; empty where the file has measures only.
    rows : dict of str to dict
        Structure -> column -> number, NaN where the tool printed none.
    lines : dict of str to int
        Structure -> line in the file, from 1.
    """

    path: Path
    headers: dict[str, str] = field(default_factory=dict)
    measures: dict[str, tuple[str, float, str, int]] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def parse_stats(path: str | Path) -> StatsFile:
    """Read a file of statistics wholly, or say where it is broken.

    Parameters
    ----------
    path : path
        ``aseg.stats``, ``lh.aparc.stats``, ``aseg+DKT.stats``, ``wmparc.stats``, ``brainvol.stats`` and others of
        their format; not the curvature statistics, which are free text.

    Raises
    ------
    StudyError
        With file, line, what was found and what is expected: a file cut short, a cell that is no number, a structure
        named twice, fewer rows than the header states.
    """
    file = StatsFile(Path(path))
    if re.fullmatch(r"[lr]h\.curv\.stats", file.path.name):
        raise StudyError(
            f"{path}: found curvature statistics, which are free text and hold no feature. Give another file."
        )
    lines = read_lines(file.path)
    stated, decimals = {}, {}
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            _take_comment(file, line, number, stated)
        elif line.strip():
            _take_row(file, line.split(), number, decimals)
        elif file.rows and any(rest.strip() for rest in lines[number:]):
            raise fault(path, number, "an empty line inside the table", "a structure's row")
    _check_table(file, stated, len(lines))
    for column, found in decimals.items():
        _check_decimals(file, column, found)
    return file


def _take_comment(file: StatsFile, line: str, number: int, stated: dict[str, str]) -> None:
    """Take in a line that begins with ``#``; ``stated`` gathers what the header promises of the table."""
    if file.rows:
        raise fault(file.path, number, "a comment inside the table", "a structure's row")
    word, _, rest = line[1:].strip().partition(" ")
    rest = rest.strip()
    if word == "Measure":
        _take_measure(file, rest, number)
    elif word == "ColHeaders" and file.columns:
        raise fault(file.path, number, "a second line '# ColHeaders'", "one")
    elif word == "ColHeaders":
        file.columns = rest.split()
        twice = [name for name, count in Counter(file.columns).items() if count > 1]
        if twice:
            raise fault(file.path, number, f"column '{twice[0]}' twice", "names that differ")
    elif word in ("NRows", "NTableCols"):
        if stated.get(word, rest) != rest:
            raise fault(file.path, number, f"{word} {rest} after {word} {stated[word]}", "one number")
        stated[word] = rest
    elif word == "TableCol" and (match := re.fullmatch(r"(\d+)\s+ColHeader\s+(\S+)", rest)):
        stated[f"column {match[1]}"] = match[2]
    if word:
        file.headers[word] = rest


def _take_measure(file: StatsFile, rest: str, number: int) -> None:
    """Take in ``key, name, description, value, unit``."""
    fields = [part.strip() for part in rest.split(",")]
    expected = "'# Measure key, name, description, value, unit'"
    # FreeSurfer 6 forgets the comma between name and description of CortexVol: then the name has more than a word
    if len(fields) == 4 and len(fields[1].split()) > 1:
        fields = [fields[0], *fields[1].split(maxsplit=1), *fields[2:]]
    if len(fields) != 5 or len(fields[1].split()) != 1:
        raise fault(file.path, number, f"'# Measure {rest}'", expected)
    key, name, _, text, unit = fields
    # ratios to an intracranial volume that could not be estimated are printed as nan or inf
    if not NUMBER.fullmatch(text) and not NO_NUMBER.fullmatch(text):
        raise fault(file.path, number, f"'{text}' as value of {name}", "a number")
    value = float(text)
    if unit == "mm^3" and not 0 <= value <= LARGEST_MM3:  # also of nan
        raise fault(file.path, number, f"{name} of {text} mm^3", f"a volume between 0 and {LARGEST_MM3:.0f} mm^3")
    old = file.measures.get(name)
    if old and old[1:3] != (value, unit):
        raise fault(file.path, number, f"{name} {text} {unit}", f"{old[1]:g} {old[2]} as in line {old[3]}")
    file.measures[name] = (key, value, unit, number)


def _take_row(file: StatsFile, cells: list[str], number: int, decimals: dict) -> None:
    """Take in a structure's row."""
    if not file.columns:
        raise fault(file.path, number, f"'{' '.join(cells)}' before the line '# ColHeaders'", "a comment")
    if len(cells) != len(file.columns):
        raise fault(file.path, number, f"{len(cells)} cells", f"{len(file.columns)} as in '# ColHeaders'")
    texts = dict(zip(file.columns, cells, strict=True))
    name = texts.pop("StructName", None)
    if name is None:
        raise fault(file.path, number, f"columns {', '.join(file.columns)}", "one of them named StructName")
    if name in file.rows:
        raise fault(file.path, number, f"'{name}' again", f"each structure once (first in line {file.lines[name]})")
    row = {}
    for column, text in texts.items():
        match = NUMBER.fullmatch(text)
        if not match and (column in READ or not NO_NUMBER.fullmatch(text)):
            raise fault(file.path, number, f"'{text}' in column {column} of {name}", "a number")
        if column in READ:
            decimals.setdefault(column, {})[name] = len(match["decimals"] or "")
        row[column] = float(text)
        if column in READ and row[column] < 0:
            raise fault(file.path, number, f"{text} in column {column} of {name}", "zero or more")
    file.rows[name], file.lines[name] = row, number


def _check_table(file: StatsFile, stated: dict[str, str], last: int) -> None:
    """Compare the table with what the header promises."""
    if not file.columns:
        if file.measures and not stated:
            return  # brainvol.stats has measures only
        raise fault(file.path, last, "the end of the file", "the table, after a line '# ColHeaders'")
    promised = (("NTableCols", "columns", len(file.columns)), ("NRows", "rows", len(file.rows)))
    for word, noun, count in promised:
        if stated.get(word, str(count)) != str(count):
            raise fault(file.path, last, f"{count} {noun}", f"'# {word} {stated[word]}' as the header states")
    for place, name in enumerate(file.columns, start=1):
        if stated.get(f"column {place}", name) != name:
            raise fault(
                file.path, last, f"'{name}' as column {place}", f"'{stated[f'column {place}']}' as '# TableCol' states"
            )
    if not file.rows:
        raise fault(file.path, last, "no row", "the table after the line '# ColHeaders'")
    if "NRows" not in stated and "Index" in file.columns:
        raise fault(file.path, last, "no line '# NRows' in the header", "the number of rows")


def _check_decimals(file: StatsFile, column: str, found: dict[str, int]) -> None:
    """Refuse a number with another count of decimals than its column's; the tools print all alike."""
    usual = Counter(found.values()).most_common(1)[0][0]
    for name, count in found.items():
        if count != usual:
            raise fault(
                file.path,
                file.lines[name],
                f"{count} decimals in column {column} of {name}",
                f"{usual} as in the other rows",
            )
