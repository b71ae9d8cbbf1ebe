"""Age, sex and more from the tables of a BIDS dataset itself: participants.tsv and the subjects' sessions.tsv."""

import csv
import logging
import re
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import load_schema

log = logging.getLogger(__name__)
MISSING = {"", "n/a", "na", "nan", "none"}
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M", "o": None, "other": None}
TEXT = ("site", "scanner")
NUMBERS = ("amyloid", "conversion_years", "followup_years")
# what another visit of the same person may change
OF_THE_VISIT = ("age", "diagnosis", *NUMBERS)


def read_rows(path: Path, key: str) -> list[tuple[int, dict[str, str]]]:
    """Read a small TSV file as text, with the line of each row.

    Parameters
    ----------
    path : pathlib.Path
    key : str
        Column that must be there.

    Raises
    ------
    StudyError
        For text that is no table, or rows of another length than the header.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: not in UTF-8 (byte {error.start}). Save it as UTF-8.") from error
    header, *rows = csv.reader(lines, delimiter="\t") if lines else [[]]
    header = [name.strip() for name in header]
    if key not in header:
        raise StudyError(
            f"{path}: column '{key}' is missing. Found columns: {', '.join(header) or 'none'}. "
            "A BIDS table is separated by tabs and names its columns in the first line."
        )
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise StudyError(f"{path}: column '{repeated[0]}' stands twice. Remove one or rename it.")
    found = []
    for line, row in enumerate(rows, start=2):
        if any(map(str.strip, row)):
            if len(row) != len(header):
                raise StudyError(
                    f"{path}, line {line}: found {len(row)} cells, expected {len(header)} as in the header. "
                    "Write n/a where nothing is known, and one tab between cells."
                )
            found.append((line, dict(zip(header, map(str.strip, row), strict=True))))
    return found


class DatasetPeople:
    """People of a BIDS dataset.

    Parameters
    ----------
    root : pathlib.Path
        Of the dataset.
    files : list of dict
        All its files with their entities.
    labels : tuple of str
        Further columns to take along.
    """

    def __init__(self, root: Path, files: list[dict], labels: tuple[str, ...] = ()):
        self.root, self.labels = root, labels
        self.bounds = self.later = 0  # ages that are bounds; later sessions whose age is not known
        self.people = self._read(root / "participants.tsv", "participant_id", "sub-")
        tables = [file for file in files if file["suffix"] == "sessions" and file["ext"] == ".tsv"]
        self.sessions = {f"sub-{file['sub']}": self._read(root / file["path"], "session_id", "ses-") for file in tables}

    def _read(self, path: Path, key: str, prefix: str) -> dict[str, dict]:
        """Read a table's rows by their id, with the prefix that BIDS asks for."""
        found, lines = {}, {}
        for line, row in read_rows(path, key) if path.exists() else ():
            name = prefix + row[key].removeprefix(prefix)
            if name in found:
                raise StudyError(
                    f"{path}: {key} '{name}' stands on lines {lines[name]} and {line}. Remove one; "
                    "what differs between visits belongs in the subjects' sessions.tsv."
                )
            found[name], lines[name] = self._take(row, f"{path}, line {line}"), line
        return found

    def _take(self, row: dict[str, str], place: str) -> dict:
        """Translate a row's cells; those without a value are left out."""
        cells = {name.lower(): value for name, value in row.items() if value.lower() not in MISSING}
        taken = {name: cells[name] for name in TEXT if name in cells}
        if "age" in cells:
            taken["age"] = self._age(cells["age"], place)
        column = "sex" if "sex" in cells else "gender"
        if column in cells:
            taken["sex"] = _translate_sex(cells[column], column, place)
        if "diagnosis" in cells:
            taken["diagnosis"] = _check_diagnosis(cells["diagnosis"], place)
        taken |= {name: _number(cells[name], name, place) for name in NUMBERS if name in cells}
        for name in self.labels:
            if (value := row.get(name, "")).lower() not in MISSING:
                taken[name] = float(value) if re.fullmatch(r"-?\d+(\.\d+)?", value) else value
        return {name: value for name, value in taken.items() if value is not None}

    def _age(self, text: str, place: str) -> float:
        """Read an age in years; 89+ and >89 hide the age of old people and count as 89."""
        bound = re.fullmatch(r">=?\s*([\d.]+)|([\d.]+)\s*\+", text)
        self.bounds += bound is not None
        age = _number((bound[1] or bound[2]) if bound else text, "age", place)
        if not 0 <= age <= 120:
            raise StudyError(f"{place}, column 'age': found {text}, expected 0 to 120 years. Correct it or write n/a.")
        return age

    def about(self, participant: str, session: str | None, first: bool) -> dict:
        """Say what is known of a session.

        ``participants.tsv`` says how old people were at their first session; later ones need a ``sessions.tsv``.
        """
        person = self.people.get(participant, {})
        visit = self.sessions.get(participant, {}).get(f"ses-{session}", {})
        if not first:
            self.later += "age" in person and "age" not in visit
            person = {name: value for name, value in person.items() if name not in OF_THE_VISIT}
        return person | visit

    def without_data(self, found: set[str]) -> list[tuple[str, str]]:
        """List the people of the table whose scans are not there."""
        table = self.root / "participants.tsv"
        return [
            (name, f"in {table}, but without a T1w volume that is wanted") for name in sorted(set(self.people) - found)
        ]

    def warn(self) -> None:
        """Log what was understood with a grain of salt."""
        if self.bounds:
            log.warning("%s: %d ages are bounds such as 89+; the bound is taken for the age", self.root, self.bounds)
        if self.later:
            log.warning(
                "%s: the age at %d later sessions is not known; participants.tsv speaks of the first session only, "
                "sub-X_sessions.tsv would speak of the others",
                self.root, self.later,
            )  # fmt: skip


def _number(text: str, column: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if number - number != 0:  # neither a number nor finite
        raise StudyError(f"{place}, column '{column}': found '{text}', expected a number. Correct it or write n/a.")
    return number


def _translate_sex(text: str, column: str, place: str) -> str | None:
    if text.lower() not in SEXES:
        raise StudyError(
            f"{place}, column '{column}': found '{text}', expected F, M, female, male or other. "
            "Numbers do not say which is which: translate them, or give the input a table of people."
        )
    return SEXES[text.lower()]


def _check_diagnosis(text: str, place: str) -> str:
    legal = [value for value in load_schema("people")["properties"]["diagnosis"]["enum"] if value]
    if text not in legal:
        raise StudyError(
            f"{place}, column 'diagnosis': found '{text}', expected one of {', '.join(legal)}. "
            "Give the input a table of people with these words, or without that column."
        )
    return text
