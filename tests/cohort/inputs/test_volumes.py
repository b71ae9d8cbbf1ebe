"""Folders of volumes and rows of exported tables."""

import pytest

from tests.cohort.folders import entry, find, reasons, table, touch
from workflow_scripts.lib.study.errors import StudyError


@pytest.mark.parametrize(("kind", "image"), [("brains", "brain"), ("volumes", "auto")])
def test_volumes_become_scans(tmp_path, kind, image):
    touch(tmp_path, "sub_01.nii.gz", "b.nii", "c.mgz", "b.json", "x.nii.gz.part", "._b.nii", "d.nii/x")
    scans, ignored = find(entry(kind, tmp_path, pattern="*"))
    assert scans["scan_id"].tolist() == ["b_1", "c_1", "sub-01_1"]
    assert scans["t1w"].tolist() == [str(tmp_path / name) for name in ("b.nii", "c.mgz", "sub_01.nii.gz")]
    assert set(scans["image"]) == {image}
    assert reasons(ignored) == {
        "._b.nii": "hidden, for its name starts with a dot",
        "b.json": "does not end in .nii.gz, .nii, .mgz, .mgh",
        "d.nii": "a folder",
        "x.nii.gz.part": "does not end in .nii.gz, .nii, .mgz, .mgh",
    }


def test_the_pattern_chooses_and_may_reach_into_folders(tmp_path):
    touch(tmp_path, "a/sub-01_brain.nii.gz", "a/sub-01_head.nii.gz", "top.nii")
    scans, ignored = find(entry("brains", tmp_path, pattern="*/*_brain.nii.gz"))
    assert scans["scan_id"].tolist() == ["sub-01_1"]
    assert reasons(ignored) == {"top.nii": "does not fit pattern: */*_brain.nii.gz"}


def test_two_files_of_one_scan_are_refused(tmp_path):
    touch(tmp_path, "sub-01_run-1_T1w.nii", "sub-01_run-2_T1w.nii")
    with pytest.raises(
        StudyError, match=r"scan 'sub-01_1' is in input 'mine' \(.*run-1.*\) and in input 'mine' \(.*run-2"
    ):
        find(entry("volumes", tmp_path))


def test_a_folder_without_volumes_is_refused_with_what_was_left_out(tmp_path):
    touch(tmp_path, "a.txt")
    with pytest.raises(StudyError, match=r"mine: no scan in .*Left out: 1, e\.g\. .*a\.txt \(does not end in"):
        find(entry("volumes", tmp_path, pattern="*"))


def test_rows_of_tables_become_scans(tmp_path):
    one = {"name": "mine", "kind": "tables", "tables": ["lh.csv", "aseg.tsv"]}
    scans, ignored = find(one, rows=["sub-01_ses-b", "x_2.long.x", "  "])
    assert scans[["scan_id", "kind", "subject"]].values.tolist() == [
        ["sub-01_b", "tables", "sub-01_ses-b"],
        ["x-2_1", "tables", "x_2.long.x"],
    ]
    assert ignored["reason"].tolist() == ["its name holds neither letter nor digit"]
    people = table(tmp_path / "p.tsv", "participant_id subject age", "p1 x_2 60", "p2 y 50")
    scans, _ = find(one | {"participants": str(people)}, rows=["sub-01_ses-b", "x_2.long.x"])
    assert scans[["scan_id", "subject", "age", "found"]].iloc[0].tolist() == ["p1_1", "x_2.long.x", 60, True]
    assert scans["reason"].iloc[1] == "nothing in lh.csv, aseg.tsv is named 'y'"
