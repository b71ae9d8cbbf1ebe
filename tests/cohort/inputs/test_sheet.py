"""People in a spreadsheet of the user's, and their cohorts by chance."""

import numpy as np
import pytest

from workflow_scripts.lib.cohort.inputs.find import find_scans
from workflow_scripts.lib.cohort.inputs.sheet import deal_cohort, read_sheet
from workflow_scripts.lib.study.errors import StudyError

TEXT = """sub_id,age,gender,where,thickness
sub-x_01,30.5,1.0,north,2.5
sub-x_02,41,2,,2.4
sub-x_03,,,,2.3
sub-x_02,41,2,,2.9
sub-x_04,50,1,south,2.5
sub-x_04,51,1,south,2.5
"""
ENTRY = {
    "name": "ours",
    "kind": "tables",
    "tables": ["features.csv"],
    "columns": {"participant_id": "sub_id", "sex": "gender", "site": "where"},
    "codes": {"sex": {"F": 2, "M": [1, "male"]}},
    "ids": "(?P<participant>.+)",
}


@pytest.fixture
def entry(tmp_path):
    (tmp_path / "people.csv").write_text(TEXT)
    return ENTRY | {"participants": str(tmp_path / "people.csv")}


def test_columns_and_codes_are_translated(entry):
    people, _ = read_sheet(entry)
    assert people[0] == {
        "participant_id": "sub-x-01",
        "session_id": "1",
        "subject": "sub-x_01",
        "age": 30.5,
        "sex": "M",
        "site": "north",
    }
    assert people[1]["sex"] == "F" and "site" not in people[1]
    assert people[2] == {
        "participant_id": "sub-x-03",
        "session_id": "1",
        "subject": "sub-x_03",
    }  # nothing known is no fault


def test_rows_that_agree_count_once_and_those_that_do_not_are_left_out(entry):
    people, left = read_sheet(entry)
    assert [row["subject"] for row in people] == ["sub-x_01", "sub-x_02", "sub-x_03"]
    assert [name for name, _ in left] == ["sub-x_04"]
    assert left[0][1].startswith("lines 6, 7 disagree about age (50.0 and 51.0)")


def test_whom_the_rows_contradict_is_ignored_once_and_with_that_reason(entry):
    names = ["sub-x_01", "sub-x_02", "sub-x_03", "sub-x_04", "sub-x_05"]
    scans, ignored = find_scans([entry], lambda _: names)
    assert scans["scan_id"].tolist() == ["sub-x-01_1", "sub-x-02_1", "sub-x-03_1"]
    assert scans["site"].tolist() == ["north", "ours", "ours"]
    assert ignored["path"].tolist() == ["sub-x_04", "sub-x_05"]
    assert "disagree about age" in ignored["reason"][0] and "no row in" in ignored["reason"][1]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_columns_of_ours(separator, tmp_path):
    (tmp_path / "p.txt").write_text("\ufeffparticipant_id,age,sex\nsub-1,40,F\n".replace(",", separator))
    people, _ = read_sheet({"participants": str(tmp_path / "p.txt"), "columns": {}})
    assert people == [{"participant_id": "sub-1", "session_id": "1", "subject": "sub-1", "age": 40.0, "sex": "F"}]


def test_visits_named_in_the_id_are_no_contradiction(tmp_path):
    (tmp_path / "p.csv").write_text("id,age\nsub-1_ses-a,40\nsub-1_ses-b,41\n")
    people, left = read_sheet({"participants": str(tmp_path / "p.csv"), "columns": {"participant_id": "id"}})
    assert [(row["participant_id"], row["session_id"]) for row in people] == [("sub-1", "a"), ("sub-1", "b")]
    assert not left


def test_visits_named_in_a_column(tmp_path):
    (tmp_path / "p.csv").write_text("id,visit,age\ns1,a,40\ns1,b,41\n")
    columns = {"participant_id": "id", "session_id": "visit"}
    people, left = read_sheet({"participants": str(tmp_path / "p.csv"), "columns": columns})
    assert [(row["session_id"], row["age"]) for row in people] == [("a", 40.0), ("b", 41.0)] and not left


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"columns": {"participant_id": "subject_id"}},
            "no column 'subject_id'.*Found: sub_id, age, gender, where and 1",
        ),
        ({"columns": {"agee": "age"}}, "'agee' is no column of people"),
        ({"columns": {"sex": "gender"}}, "no column 'participant_id'.*columns: {participant_id: sub_id}"),
        ({"codes": {"sex": {"F": 0, "M": 1}}}, "line 3, column 'gender': found '2', expected one of 0 .F., 1 .M."),
        ({"codes": {}}, "line 2, column 'sex': found '1.0', expected one of F, M"),
    ],
)
def test_faults_are_told(entry, change, message):
    with pytest.raises(StudyError, match=message):
        read_sheet(entry | change)


def test_an_age_in_words_is_told_with_its_line(entry, tmp_path):
    (tmp_path / "people.csv").write_text(TEXT.replace("41,2,,2.9", "old,2,,2.9"))
    with pytest.raises(StudyError, match="line 5, column 'age': found 'old', expected a number"):
        read_sheet(entry)


def test_cohorts_have_their_shares_and_nobody_moves_when_people_are_added():
    shares = {"training": 3, "evaluation": 1}
    names = [f"p{number}" for number in range(2000)]
    dealt = [deal_cohort(name, shares) for name in names]
    # 75 %, five standard errors around it
    assert abs(np.mean([cohort == "training" for cohort in dealt]) - 0.75) < 5 * np.sqrt(0.75 * 0.25 / 2000)
    assert [deal_cohort(name, shares) for name in reversed(names)] == dealt[::-1]
    assert {deal_cohort(name, {"only": 0.1}) for name in names[:50]} == {"only"}


def test_all_scans_of_a_person_are_dealt_to_one_cohort(tmp_path):
    rows = "".join(f"s{person},{visit},40\n" for person in range(40) for visit in "ab")
    (tmp_path / "p.csv").write_text("participant_id,session_id,age\n" + rows)
    entry = {"name": "ours", "kind": "tables", "tables": ["t"], "columns": {}, "cohorts": {"one": 1, "two": 1}}
    names = [f"sub-s{person}_ses-{visit}" for person in range(40) for visit in "ab"]
    ids = r"sub-(?P<participant>\w+)_ses-(?P<session>\w)"
    scans, _ = find_scans([entry | {"participants": str(tmp_path / "p.csv"), "ids": ids}], lambda _: names)
    assert scans["found"].all()
    cohorts = scans.groupby("participant_id")["cohort"].nunique()
    assert (cohorts == 1).all() and scans["cohort"].nunique() == 2
