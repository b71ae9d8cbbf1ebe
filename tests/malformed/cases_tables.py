"""Exported tables that cannot be read, or contradict themselves."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.imaging.stats.exported import write_tables
from tests.malformed.case import Case
from workflow_scripts.lib.imaging.stats.tables import read_tables
from workflow_scripts.lib.study.errors import StudyError

PEOPLE = ["sub-01", "sub-02", "sub-03"]


def read(paths: list[str]) -> str:
    try:
        read_tables(paths)
    except StudyError as error:
        return str(error)
    return "read without a word"


def edit(pattern: str, new: str, name: str = "aseg.csv", separator: str = ",", **options) -> Callable[[Path], str]:
    """Replace what matches in one of three tables, once."""

    def provoke(folder: Path) -> str:
        paths, _ = write_tables(folder, PEOPLE, 1, separator, **options)
        text, count = re.subn(pattern, new, (folder / name).read_text(), count=1, flags=re.M)
        assert count == 1, pattern
        (folder / name).write_text(text)
        return read(paths)

    return provoke


def write(content: bytes) -> Callable[[Path], str]:
    """Read a table of this content."""

    def provoke(folder: Path) -> str:
        (folder / "table.tsv").write_bytes(content)
        return read([str(folder / "table.tsv")])

    return provoke


def name_another(folder: Path) -> str:
    return read([str(folder / "missing.csv")])


def save_as_workbook(folder: Path) -> str:
    # what every workbook begins with
    (folder / "aseg.xlsx").write_bytes(b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00")
    return read([str(folder / "aseg.xlsx")])


def mix_runs(folder: Path) -> str:
    paths, _ = write_tables(folder / "first", PEOPLE, 1, ",", aseg=False)
    again, _ = write_tables(folder / "second", PEOPLE, 1, ",", aseg=False)
    table = pd.read_csv(again[1], dtype=str)
    table.loc[1, "rh_insula_thickness"] = "2.999"
    table.to_csv(again[1], index=False)
    return read([*paths, *again])


def mix_people(folder: Path) -> str:
    paths, _ = write_tables(folder / "first", PEOPLE, 1, ",", aseg=False)
    again, _ = write_tables(folder / "second", PEOPLE, 2, ",", measures=())
    return read([*paths, *again])


# fault, how it is made, message; the outcome of all is that nothing starts
FAULTS = [
    (
        "no such table",
        name_another,
        "{folder}/missing.csv: no such file. Correct the path.",
    ),
    (
        "empty table",
        write(b"\n"),
        "{folder}/table.tsv: the file is empty. Copy the file again, or make it again.",
    ),
    (
        "workbook instead of text",
        save_as_workbook,
        "{folder}/aseg.xlsx: not a text file (it has zero bytes). Copy the file again, or make it again.",
    ),
    (
        "text in two-byte characters",
        write("Measure:volume\tCSF\nsub-01\t900\n".encode("utf-16")),
        "{folder}/table.tsv: not a text file (it has zero bytes). Copy the file again, or make it again.",
    ),
    (
        "cut inside a number",
        edit(r"[0-9]\n\Z", ""),
        "{folder}/aseg.csv, line 4: found the end of the file inside a line, expected a line end. Copy the "
        "file again, or make it again.",
    ),
    (
        "header only",
        write(b"Measure:volume\tCSF\tBrain-Stem\n"),
        "{folder}/table.tsv: found no row below the header, expected a header and at least one subject. "
        "Export the table again.",
    ),
    (
        "one column only",
        write(b"Measure:volume\nsub-01\n"),
        "{folder}/table.tsv: found one column only, expected a header and at least one subject. Export the "
        "table again.",
    ),
    (
        "shorter row",
        edit(r"^(sub-02,)[0-9.]+,", r"\1"),
        "{folder}/aseg.csv, line 3: found 47 cells, expected 48 as in the header. Export it again.",
    ),
    (
        "decimal commas between commas",
        edit(r"^(sub-02,[0-9]+)\.", r"\1,"),
        "{folder}/aseg.csv, line 3: found 49 cells, expected 48 as in the header. Save the table with "
        "decimal points, or separate cells by tabs.",
    ),
    (
        "decimal comma between semicolons",
        edit(r"^(sub-02;[0-9]+)\.", r"\1,", separator=";"),
        "{folder}/aseg.csv, line 3, column 2 (Left-Lateral-Ventricle): found '3709,2', expected a number "
        "with a decimal point. Save the table with decimal points.",
    ),
    (
        "text in a number",
        edit(r"^(sub-02,[0-9.]+,)[0-9.]+", r"\1failed"),
        "{folder}/aseg.csv, line 3, column 3 (Left-Inf-Lat-Vent): found 'failed', expected a number. Correct "
        "the cell or export the table again.",
    ),
    (
        "text in a number, subjects in columns",
        edit(r"^(Left-Caudate,[0-9.]+,)[0-9.]+", r"\1failed", transpose=True),
        "{folder}/aseg.csv, line 7, column 3 (Left-Caudate): found 'failed', expected a number. Correct the "
        "cell or export the table again.",
    ),
    (
        "infinite number",
        edit(r"^(sub-02,[0-9.]+,)[0-9.]+", r"\1inf"),
        "{folder}/aseg.csv, line 3, column 3 (Left-Inf-Lat-Vent): found 'inf', expected a number. Correct "
        "the cell or export the table again.",
    ),
    (
        "negative volume",
        edit(r"^(sub-02,[0-9.]+,)", r"\1-"),
        "{folder}/aseg.csv, line 3, column 3 (Left-Inf-Lat-Vent): found -3805.7, expected 0 to 10000000 mm3. "
        "Export the table again.",
    ),
    (
        "thickness in another unit",
        edit(r"^(sub-02,)2\.", r"\g<1>2", "lh.thickness.csv"),
        "{folder}/lh.thickness.csv, line 3, column 2 (lh_bankssts_thickness): found 2170, expected 0 to 10 "
        "mm. Export the table again.",
    ),
    (
        "intracranial volume in ml",
        edit(r"[0-9]{3}\.[0-9]+\n\Z", "\n"),
        "{folder}/aseg.csv, line 4, column 48 (icv): found 1533, expected 100000 to 10000000 mm3. Export the "
        "table again.",
    ),
    (
        "subject twice",
        edit("^sub-02", "sub-01"),
        "{folder}/aseg.csv, line 3, column 1: found subject 'sub-01' again (first in line 2, column 1). "
        "Remove one of them or export the table again.",
    ),
    (
        "subject without a name",
        edit("^sub-02", ""),
        "{folder}/aseg.csv, line 3, column 1: found an empty cell, expected the name of a subject. Export "
        "the table again.",
    ),
    (
        "column twice",
        edit("Left-Putamen", "Left-Caudate"),
        "{folder}/aseg.csv, line 1, column 8: found column 'Left-Caudate' again (first in line 1, column 7). "
        "Remove one of them or export the table again.",
    ),
    (
        "thalamus under both names",
        edit("Left-Caudate", "Left-Thalamus-Proper"),
        "{folder}/aseg.csv, line 1, column 7: found 'Left-Thalamus-Proper' as well as 'Left-Thalamus', which "
        "are the same; the table mixes versions of FreeSurfer. Export one table for each version.",
    ),
    (
        "first cell lost",
        edit(r"\Alh.aparc.thickness", "", "lh.thickness.csv"),
        "{folder}/lh.thickness.csv, line 1, column 1: found '', expected what the tools write there, such as "
        "lh.aparc.thickness or Measure:volume; without it atlas and measure cannot be told. Export the table "
        "again.",
    ),
    (
        "another atlas",
        edit("lh.aparc.thickness", "lh.aparc.pial.thickness", "lh.thickness.csv"),
        "{folder}/lh.thickness.csv, line 1, column 1: found the atlas aparc.pial, expected one of aparc, "
        "aparc.DKTatlas, aparc.DKTatlas40, aparc.DKTatlas.mapped, aparc.a2009s. Export another table.",
    ),
    (
        "another measure of surfaces",
        edit("lh.aparc.thickness", "lh.aparc.area", "lh.thickness.csv"),
        "{folder}/lh.thickness.csv, line 1, column 1: found the measure area, expected thickness or volume. "
        "Export the table with --meas thickness.",
    ),
    (
        "another measure of volumes",
        edit("Measure:volume", "Measure:mean"),
        "{folder}/aseg.csv, line 1, column 1: found the measure mean, expected volume. Export the table with "
        "--meas volume.",
    ),
    (
        "hemisphere of another table",
        edit("lh_cuneus", "rh_cuneus", "lh.thickness.csv"),
        "{folder}/lh.thickness.csv, line 1, column 5: found 'rh_cuneus_thickness', expected "
        "lh_cuneus_thickness as the first cell says. Export the table again.",
    ),
    (
        "region that the atlas does not have",
        edit("lh_cuneus", "lh_bankssts", "lh.thickness.csv", parcellation="aparc.DKTatlas"),
        "{folder}/lh.thickness.csv, line 1, column 4: found 'lh_bankssts_thickness', expected a region of "
        "the DKT atlas as the first cell says. Export the table again.",
    ),
    (
        "no feature at all",
        write(b"Measure:volume\twm-lh-cuneus\twm-lh-insula\nsub-01\t3400.1\t9000.5\n"),
        "{folder}/table.tsv: no column holds a feature (found wm-lh-cuneus, wm-lh-insula). Name a table of "
        "aparcstats2table or asegstats2table.",
    ),
    (
        "cortical labels of no whole atlas",
        write(b"Measure:volume\tCSF\tctx-lh-bankssts\nsub-01\t900.5\t2000.5\n"),
        "{folder}/table.tsv: found cortical regions: 1, expected 68 of the Desikan-Killiany or 62 of the DKT "
        "atlas; it cannot be told which. Export the table with --all-segs.",
    ),
    (
        "open quotation",
        edit("^sub-02", '"sub-02'),
        "{folder}/aseg.csv, line 3: found a cell that cannot be read (unexpected end of data), expected a "
        "closed quotation. Copy the file again, or make it again.",
    ),
    (
        "two tables disagree on a feature",
        mix_runs,
        "{folder}/second/rh.thickness.csv, line 3, column 35: found 2.999 as rh_insula_thickness of sub-02, "
        "expected 2.494 as in {folder}/first/rh.thickness.csv. The tables are of different runs: name tables "
        "of one run.",
    ),
    (
        "two tables disagree on the intracranial volume",
        mix_people,
        "{folder}/second/aseg.csv, line 2, column 48: found 1518905.338 as icv of sub-01, expected "
        "1534558.419 as in {folder}/first/lh.thickness.csv. The tables are of different runs: name tables of "
        "one run.",
    ),
]
CASES = [Case("tables", fault, "refused", message, provoke) for fault, provoke, message in FAULTS]
