"""Which way a scan's data come, and what is noticed when they change."""

import os

import numpy as np
import pandas as pd
import pytest

from tests.imaging.stats.dialects import write_subject
from tests.imaging.stats.exported import write_tables
from workflow_scripts.lib.imaging import sources
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["scan_id", "input", "kind", "t1w", "image", "subject", "found", "reason"]


def scans(*rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def test_a_scan_that_was_not_found_keeps_its_reason():
    scan = {"found": False, "reason": "the file is gone", "kind": "t1w"}
    with pytest.raises(StudyError, match="the file is gone"):
        sources.preprocess(scan, {})


def test_a_subject_folder_is_read_without_any_backend(tmp_path):
    folder, planted = write_subject(tmp_path / "p1", "freesurfer-7.4", 1)
    scan = {"found": True, "reason": None, "kind": "freesurfer", "subject": str(folder), "t1w": None}
    result = sources.preprocess(scan, {"backend": "none such"})
    assert result.brain is None
    assert result.features == planted.features
    assert (result.tool, result.version, result.icv) == ("FreeSurfer", "7.4.1", planted.icv)


def test_scans_that_a_tool_was_run_on_are_read_from_its_folders():
    table = scans(
        ("a_1", "x", "t1w", "a.nii", "head", None, True, None),
        ("b_1", "x", "t1w", "b.nii", "head", None, True, None),
        ("c_1", "y", "fastsurfer", None, None, "old/c", True, None),
        ("d_1", "x", "t1w", None, "head", None, False, "lost"),
    )
    made = pd.DataFrame(
        {
            "scan_id": ["a_1", "b_1"],
            "passed": [True, False],
            "reason": [None, "recon-all failed"],
            "subject": ["new/a", "new/b"],
        }
    )
    found = sources.use_reconstructed(table, made, "freesurfer").set_index("scan_id")
    assert found["kind"].tolist() == ["freesurfer", "freesurfer", "fastsurfer", "t1w"]
    assert found["subject"].fillna("").tolist() == ["new/a", "new/b", "old/c", ""]
    assert found["found"].tolist() == [True, False, True, False]
    assert found.loc["b_1", "reason"] == "recon-all failed"
    assert found.loc["d_1", "reason"] == "lost"
    assert table["kind"].tolist()[0] == "t1w"  # the caller's table stays


def test_exported_tables_give_each_scan_its_own_row_and_no_empty_cells(tmp_path):
    first, planted = write_tables(tmp_path / "one", ["p1", "p2"], 1)
    second, others = write_tables(tmp_path / "two", ["p1"], 2)
    table = scans(
        ("p1_1", "one", "tables", None, None, "p1", True, None),
        ("p2_1", "one", "tables", None, None, "p2", False, "lost"),
        ("q1_1", "two", "tables", None, None, "p1", True, None),
    )
    inputs = [{"name": "one", "kind": "tables", "tables": first}, {"name": "two", "kind": "tables", "tables": second}]
    found = sources.read_exported(table, inputs)
    assert set(found) == {"p1_1", "q1_1"}
    assert found["p1_1"] == planted.loc["p1"].dropna().to_dict()
    assert found["q1_1"] == others.loc["p1"].dropna().to_dict()
    assert not any(np.isnan(value) for value in found["p1_1"].values())


def test_a_changed_file_changes_the_state_of_its_scan(tmp_path):
    folder, _ = write_subject(tmp_path / "p1", "fastsurfer-full-2.4", 1)
    scan = {"kind": "fastsurfer", "subject": str(folder), "t1w": None}
    before = sources.source_state(scan)
    assert before == sources.source_state(scan)
    os.utime(next((folder / "stats").iterdir()), ns=(1, 1))
    assert sources.source_state(scan) != before
    volume = {"kind": "t1w", "subject": None, "t1w": str(tmp_path / "a.nii")}
    absent = sources.source_state(volume)
    (tmp_path / "a.nii").write_bytes(b"1")
    assert sources.source_state(volume) != absent
