"""Several inputs make one list of scans."""

import pandas as pd
import pytest

from tests.cohort.folders import bids, entry, find, subjects, table, touch
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table, read_table, write_table


def test_inputs_of_all_kinds_make_one_table(tmp_path):
    touch(tmp_path / "v", "x.nii")
    rows = (
        "participant_id session_id cohort site t1w freesurfer age",
        "p 1 uk s v/x.nii n/a 50",
        "q 1 adni s n/a fs/A 60",
    )
    inputs = [
        entry("participants", table(tmp_path / "p.tsv", *rows), name="table"),
        entry("bids", bids(tmp_path / "b", "01"), name="ours"),
        entry("freesurfer", subjects(tmp_path / "fs", "A"), name="years"),
        entry("fastsurfer", subjects(tmp_path / "fast", "B"), name="fast"),
        {"name": "exported", "kind": "tables", "tables": ["a.csv"]},
        entry("brains", touch(tmp_path / "br", "C.nii.gz"), name="stripped"),
        entry("volumes", tmp_path / "v", name="heads"),
    ]
    scans, ignored = find(*inputs, rows=["D"])
    check_table(scans.assign(batch="000"), "scans", "scans")
    check_table(ignored, "ignored", "ignored")
    assert scans[["scan_id", "input", "kind", "cohort"]].values.tolist() == [
        ["p_1", "table", "t1w", "uk"],
        ["q_1", "table", "freesurfer", "adni"],
        ["sub-01_1", "ours", "t1w", "ours"],
        ["A_1", "years", "freesurfer", "years"],
        ["B_1", "fast", "fastsurfer", "fast"],
        ["D_1", "exported", "tables", "exported"],
        ["C_1", "stripped", "t1w", "stripped"],
        ["x_1", "heads", "t1w", "heads"],
    ]
    assert scans["found"].all() and scans["reason"].isna().all()
    folders = [str(tmp_path / name) for name in ("fs/A", "fs/A", "fast/B")]
    assert scans["subject"].dropna().tolist() == [*folders, "D"]


def test_the_list_is_the_same_after_writing_and_reading(tmp_path):
    people = table(tmp_path / "p.tsv", "participant_id age sex iq", "007 60 F 3", "8 n/a n/a n/a", "9 61 M 4")
    scans, _ = find(entry("freesurfer", subjects(tmp_path / "s", "007", "8"), participants=str(people)), labels=("iq",))
    scans = scans.assign(batch="000")
    write_table(scans, tmp_path / "scans.tsv", "scans", ("iq",))
    again = read_table(tmp_path / "scans.tsv", "scans", ("iq",))
    pd.testing.assert_frame_equal(again.astype(object).fillna("-"), scans.astype(object).fillna("-"), check_dtype=False)
    assert again["found"].tolist() == [True, True, False]


def test_a_scan_in_two_inputs_is_refused_with_both_names(tmp_path):
    bids(tmp_path / "b", "01", "02")
    subjects(tmp_path / "s", "sub-01", "sub-02")
    with pytest.raises(StudyError) as error:
        find(entry("bids", tmp_path / "b", name="ours"), entry("freesurfer", tmp_path / "s", name="years"))
    assert str(error.value) == (
        f"cohort: inputs: scan 'sub-01_1' is in input 'ours' ({tmp_path}/b/sub-01/anat/sub-01_T1w.nii.gz) and in input "
        f"'years' ({tmp_path}/s/sub-01), and 1 more stand twice. One scan has one source: drop an input, narrow it, or "
        "give it ids that tell the scans apart."
    )


def test_an_input_none_of_whose_scans_can_be_read_is_refused(tmp_path):
    good = entry("brains", touch(tmp_path / "br", "C.nii.gz"), name="good")
    header = "participant_id session_id cohort site t1w"
    lost = entry("participants", table(tmp_path / "p.tsv", header, "a 1 uk s x.nii", "b 1 uk s y.nii"), name="lost")
    with pytest.raises(StudyError, match=r"inputs: lost: 2 of 2 scans cannot be read, e\.g\. .*x\.nii does not exist"):
        find(good, lost)
    touch(tmp_path, "x.nii")
    scans, _ = find(good, lost)
    assert scans["found"].tolist() == [True, True, False]


def test_scans_set_aside_are_announced(tmp_path, caplog):
    subjects(tmp_path, "a", "b")
    subjects(tmp_path, "c", parts=("stats/x", "scripts/recon-all.error"))
    find(entry("freesurfer", tmp_path))
    assert "cohort: inputs: mine: 1 of 3 scans cannot be read and will be set aside" in caplog.text
