"""Spreadsheets of people and features that cannot be read, or contradict themselves."""

from collections.abc import Callable
from pathlib import Path

from tests.malformed.case import Case
from workflow_scripts.lib.cohort.inputs.sheet import read_sheet
from workflow_scripts.lib.imaging.stats.tables import read_tables
from workflow_scripts.lib.study.errors import StudyError

HEADER = "sub_id,age,sex,lh_bankssts_thickness,lh_bankssts_thickness.1,Left-Caudate\n"


def features(rows: str, header: str = HEADER) -> Callable[[Path], str]:
    """Read the features of a spreadsheet."""

    def provoke(folder: Path) -> str:
        (folder / "sheet.csv").write_text(header + rows)
        try:
            read_tables([str(folder / "sheet.csv")])
        except StudyError as error:
            return str(error)
        return "read without a word"

    return provoke


def people(rows: str, header: str = HEADER, **entry) -> Callable[[Path], str]:
    """Read the people of a spreadsheet, or say who is left out."""

    def provoke(folder: Path) -> str:
        (folder / "sheet.csv").write_text(header + rows)
        usual = {"columns": {"participant_id": "sub_id"}, "codes": {"sex": {"F": 0, "M": 1}}}
        try:
            _, left = read_sheet(usual | entry | {"participants": str(folder / "sheet.csv")})
        except StudyError as error:
            return str(error)
        return left[0][1]

    return provoke


REFUSED = [
    (
        "two values of one feature",
        features("a,40,0,2.5,2.6,3000\n"),
        "{folder}/sheet.csv, line 2, column 5: found 2.6 as well as 2.5 for lh_bankssts_thickness of a. Leave one of "
        "the columns.",
    ),
    (
        "one name, other features",
        features("a,40,0,2.5,0,3000\na,41,0,2.5,0,3001\n"),
        "{folder}/sheet.csv, line 3, column 1: found 'a' again with other features (first in line 2). Give each scan a "
        "name of its own, such as sub-01_ses-2, or remove one of the rows.",
    ),
    (
        "no name",
        features(",40,0,2.5,0,3000\n"),
        "{folder}/sheet.csv, line 2, column 1: found an empty cell, expected a name. Fill it in.",
    ),
    (
        "thickness in micrometres",
        features("a,40,0,2500,0,3000\n"),
        "{folder}/sheet.csv, line 2, column 4 (lh_bankssts_thickness): found 2500, expected 0 to 10 mm. Export the "
        "table again.",
    ),
    (
        "atlas that cannot be told",
        features("a,2.5\n", "id,lh_insula_thickness\n"),
        "{folder}/sheet.csv: found 1 cortical regions, such as lh_insula_thickness, and none of bankssts, frontalpole, "
        "temporalpole: it cannot be told whether they are of the Desikan-Killiany or the DKT atlas. Add the regions "
        "that are left out, or name columns like lh_DKT_insula_thickness.",
    ),
    (
        "no feature",
        features("a,40\n", "id,age\n"),
        "{folder}/sheet.csv, line 1, column 1: found 'id', expected what the tools write there, such as "
        "lh.aparc.thickness or Measure:volume; without it atlas and measure cannot be told. Export the table again.",
    ),
    (
        "web page in its place",
        features("<body></body>\n", "<!DOCTYPE html>\n"),
        "{folder}/sheet.csv, line 2: found 1 cells, expected 2 as in the header. Export it again.",
    ),
    (
        "code without a meaning",
        people("a,40,2,2.5,0,3000\n"),
        "{folder}/sheet.csv, line 2, column 'sex': found '2', expected one of 0 (F), 1 (M). Add it to cohort: inputs: "
        "codes, or correct the cell.",
    ),
    (
        "column that is not there",
        people("a,40,0,2.5,0,3000\n", columns={"participant_id": "id"}),
        "{folder}/sheet.csv: no column 'id', which columns: participant_id names. Found: sub_id, age, sex, "
        "lh_bankssts_thickness and 2 more. Correct cohort: inputs: columns, or give the right file.",
    ),
    (
        "age in words",
        people("a,old,0,2.5,0,3000\n"),
        "{folder}/sheet.csv, line 2, column 'age': found 'old', expected a number. Age at the scan in years (0 to "
        "120). Correct the value or leave out the row.",
    ),
]
IGNORED = [
    (
        "two ages of one scan",
        people("a,40,0,2.5,0,3000\na,41,0,2.5,0,3000\n"),
        "lines 2, 3 disagree about age (40 and 41), and it cannot be told which is right",
    ),
]
CASES = [Case("spreadsheet", fault, "refused", message, provoke) for fault, provoke, message in REFUSED]
CASES += [Case("spreadsheet", fault, "ignored", message, provoke) for fault, provoke, message in IGNORED]
