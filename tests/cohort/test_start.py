"""The look into the inputs before any job: what is written, when it is written anew, and what is refused."""

import json
import os

import pytest

from tests.cohort.folders import bids, entry, subjects, table, touch
from workflow_scripts.lib.cohort.start import index_inputs, write_if_new
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.tables import read_table


def look(folder, *inputs, per_job=2, roles=None, **more):
    cohort = {"label_columns": [], "roles": roles or {}, "scans_per_job": per_job}
    files = {"index": folder / "out/i.tsv", "ignored": folder / "out/g.tsv", "state": folder / "out/s.json"}
    index_inputs(cohort, list(inputs), files, lambda paths: [], **more)
    return read_table(files["index"], "scans").set_index("scan_id")["batch"].to_dict(), files


def times(files):
    return {name: os.stat(path).st_mtime_ns for name, path in files.items()}


def test_nothing_is_written_anew_unless_it_changed(tmp_path):
    one = entry("bids", bids(tmp_path / "b", "01", "02", "03"))
    batches, files = look(tmp_path, one)
    assert batches == {"sub-01_1": "000", "sub-02_1": "000", "sub-03_1": "001"}
    for path in files.values():
        os.utime(path, ns=(1, 1))
    look(tmp_path, one)
    assert set(times(files).values()) == {1}
    (tmp_path / "b/sub-01/anat/sub-01_T1w.nii.gz").write_text("changed")
    before = json.loads(files["state"].read_text())["batches"]
    look(tmp_path, one)
    after = json.loads(files["state"].read_text())["batches"]
    assert before["000"] != after["000"] and before["001"] == after["001"]
    # who is in the study and where has not changed
    assert [name for name, time in times(files).items() if time == 1] == ["index", "ignored"]


def test_added_scans_fill_batches_of_their_own(tmp_path):
    one = entry("bids", bids(tmp_path / "b", "02", "04", "06"))
    look(tmp_path, one)
    bids(tmp_path / "b", "01", "03", "05")
    batches, files = look(tmp_path, one)
    assert list(batches.values()) == ["002", "000", "002", "000", "003", "001"]
    assert list(json.loads(files["state"].read_text())["batches"]) == ["000", "001", "002", "003"]
    again, _ = look(tmp_path, one, per_job=3)
    assert list(again.values()) == ["000"] * 3 + ["001"] * 3
    moved, _ = look(tmp_path, one, per_job=3, first=5)
    assert list(moved.values()) == ["005"] * 3 + ["006"] * 3


def test_the_state_names_the_inputs_of_each_batch(tmp_path):
    inputs = [entry("bids", bids(tmp_path / "b", "01", "02", "03"), name="b")]
    inputs.append(entry("freesurfer", subjects(tmp_path / "s", "A"), name="s"))
    _, files = look(tmp_path, *inputs)
    assert json.loads(files["state"].read_text())["inputs"] == {"000": ["b"], "001": ["b", "s"]}


def test_a_lost_index_is_made_anew(tmp_path):
    one = entry("freesurfer", subjects(tmp_path / "s", "a", "b", "c"))
    batches, files = look(tmp_path, one)
    files["index"].unlink()
    assert look(tmp_path, one)[0] == batches


@pytest.mark.parametrize(
    ("roles", "others", "error", "message"),
    [
        (
            {"pretrain": ["lost"]},
            (),
            StudyError,
            r"pretrain: no scan is of cohort 'lost'.*cohorts of the scans: one, two",
        ),
        ({"pretrain": ["one"], "evaluate": ["two"]}, (), LeakageError, "both pretraining and evaluation: p"),
        ({"pretrain": ["one"], "evaluate": ["made"]}, ("made",), None, ""),
    ],
)
def test_roles_are_checked_before_anything_is_written(tmp_path, roles, others, error, message):
    rows = ("participant_id session_id cohort site t1w", "p 1 one s a.nii", "p 2 two s b.nii")
    touch(tmp_path, "a.nii", "b.nii")
    one = entry("participants", table(tmp_path / "p.tsv", *rows))
    if error is None:
        assert len(look(tmp_path, one, roles=roles, others=others)[0]) == 2
        return
    with pytest.raises(error, match=message):
        look(tmp_path, one, roles=roles, others=others)
    assert not (tmp_path / "out").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_if_new(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
