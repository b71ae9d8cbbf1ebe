"""Rows of a table of people and the data they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cohort.folders import entry, find, subjects, table, touch
from workflow_scripts.lib.cohort.inputs.data import Data
from workflow_scripts.lib.cohort.inputs.people import match_people
from workflow_scripts.lib.study.errors import StudyError


def people(folder, *lines):
    subjects(folder / "s", "sub-01_ses-a", "sub-01_ses-b", "sub-02")
    return entry("freesurfer", folder / "s", participants=str(table(folder / "p.tsv", *lines)))


def test_a_row_without_session_means_the_only_one(tmp_path):
    scans, ignored = find(people(tmp_path, "participant_id age", "sub-02 60"))
    assert scans[["scan_id", "age"]].values.tolist() == [["sub-02_1", 60]]
    assert len(ignored) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["participant_id age", "sub-01 60"],
            r"p\.tsv, line 2: participant 'sub-01' has sessions a, b; the row must mean",
        ),
        (["participant_id session_id", "sub-02 1", "sub-02 1"], r"lines 2 and 3 both mean .*sub-02"),
        (["participant_id subject", "x sub-02", "y sub-02"], r"lines 2 and 3 both mean .*sub-02"),
        (["participant_id agee", "sub-02 3"], r"unknown column 'agee'"),
        (["participant_id t1w", "sub-02 3"], r"unknown column 't1w'"),
        (["participant_id sex", "sub-02 woman"], r"line 2, column 'sex': found 'woman', expected one of F, M"),
        (["session_id sex", "1 F"], r"column 'participant_id' is missing"),
        (["participant_id age", "sub_02 3"], r"line 2, column 'participant_id': found 'sub_02'"),
    ],
)
def test_rows_that_mean_nothing_definite_are_refused(tmp_path, lines, message):
    with pytest.raises(StudyError, match=message):
        find(people(tmp_path, *lines))


def test_cohort_and_site_of_the_table_come_before_those_of_the_input(tmp_path):
    one = people(tmp_path, "participant_id session_id cohort site", "sub-01 a adni n/a", "sub-02 1 n/a oslo")
    scans, _ = find(one | {"site": "here"})
    assert scans[["cohort", "site"]].values.tolist() == [["adni", "here"], ["mine", "oslo"]]


def test_label_columns_come_along(tmp_path):
    scans, _ = find(people(tmp_path, "participant_id tau", "sub-02 1.5"), labels=("tau",))
    assert scans["tau"].tolist() == [1.5]


def test_a_file_may_be_named_with_or_without_its_ending(tmp_path):
    touch(tmp_path / "v", "one.nii.gz", "two.nii.gz")
    rows = table(tmp_path / "p.tsv", "participant_id subject", "a one", "b two.nii.gz")
    scans, _ = find(entry("brains", tmp_path / "v", participants=str(rows)))
    assert scans["found"].all() and scans["scan_id"].tolist() == ["a_1", "b_1"]


visits = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123")), unique=True, max_size=9)


@given(visits, visits)
def test_every_row_and_all_data_are_accounted_for(found, wanted):
    data = [Data(person, session, f"/{person}{session}", {}, (person + session,)) for person, session in found]
    rows = [{"participant_id": person, "session_id": session} for person, session in wanted]
    matched, left = match_people(rows, data, "p.tsv", {})
    assert [(row["participant_id"], row["session_id"]) for row, _ in matched] == wanted
    assert {(row["participant_id"], row["session_id"]) for row, item in matched if item} == set(found) & set(wanted)
    assert {(item.participant_id, item.session_id) for item in left} == set(found) - set(wanted)
