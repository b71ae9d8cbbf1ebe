"""What the page's folder holds: only local files, and data that no table can turn into code."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from tests.imaging.qc.page_study import make_page, make_table
from workflow_scripts.lib.imaging.qc import page
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_page(tmp_path_factory.mktemp("page"), 12)


def read_data(folder):
    text = (folder / "data.js").read_text()
    assert text.startswith("window.QC_DATA = ") and text.endswith(";\n") and text.isascii()
    return json.loads(text.removeprefix("window.QC_DATA = ").removesuffix(";\n"))


def test_the_folder_is_complete_and_names_no_other_place(folder):
    assert {path.name for path in folder.iterdir()} == {
        *("index.html", "style.css", "page.js", "scans.js", "data.js", "pictures")
    }
    for name in ("index.html", "style.css", "page.js", "scans.js"):
        text = (folder / name).read_text()
        assert not re.search(r"https?:|//[a-z]+\.|@import|\bfetch\(|XMLHttpRequest|WebSocket", text), name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), name


def test_files_of_the_page_are_short():
    assert all(len(file.read_text().splitlines()) <= 400 for file in page.ASSETS.iterdir())


def test_every_scan_with_a_volume_has_its_picture(folder):
    data = read_data(folder)
    there = {path.stem for path in (folder / "pictures").iterdir()}
    assert there == {scan for scan, shown in zip(data["id"], data["picture"], strict=True) if shown}
    assert data["picture"].count(False) == 1


def test_the_data_are_those_of_the_table(folder):
    table, data = make_table(12), read_data(folder)
    assert data["id"] == table["scan_id"].tolist()
    assert data["included"] == table["included"].tolist()
    assert data["reason"] == [None if pd.isna(reason) else reason for reason in table["reason"]]
    assert data["flags"] == [flags.split(";") if isinstance(flags, str) else [] for flags in table["flags"]]
    for number in data["numbers"]:
        for value, true in zip(data["values"][number["name"]], table[number["name"]], strict=True):
            assert (value is None and pd.isna(true)) or value == pytest.approx(true, rel=1e-5)
    assert not [name for name in data["values"] if name.startswith("transform")]


def test_checked_numbers_come_first_with_their_limits(folder):
    numbers = read_data(folder)["numbers"]
    assert numbers[0]["name"] == "overlap"
    assert (numbers[0]["low"], numbers[0]["high"], numbers[0]["does"]) == (0.85, None, "exclude")
    limited = [number["low"] is not None or number["high"] is not None for number in numbers]
    assert limited == sorted(limited, reverse=True) and not limited[-1]


def test_a_page_can_be_written_again(tmp_path):
    make_page(tmp_path, 5)
    make_page(tmp_path, 6)
    assert len(read_data(tmp_path)["id"]) == 6


def test_infinite_numbers_and_missing_columns_do_no_harm(tmp_path):
    table = make_table(5).drop(columns=["tool", "tool_version", "cohort"])
    table["overlap"] = table["overlap"].where(table.index != 0, float("inf"))
    page.write_page(table, {}, tmp_path, "t")
    data = read_data(tmp_path)
    assert data["values"]["overlap"][0] is None
    assert set(data["tool"]) == {None}


@pytest.mark.parametrize("name", ["../../evil", "a/b", "x y", ""])
def test_a_scan_whose_id_cannot_name_a_file_is_refused(tmp_path, name):
    table = make_table(3)
    table.loc[0, "scan_id"] = name
    source = Path(tmp_path, "source.jpg")
    source.write_bytes(b"x")
    with pytest.raises(StudyError, match=f"scan_id '{re.escape(name)}' cannot name a picture"):
        page.write_page(table, {name: source}, tmp_path / "page", "t")
