"""From the user's table to scans, roles and splits."""

import pandas as pd
import pytest

from workflow_scripts.lib.cohort.participants import (
    assign_roles,
    assign_split,
    make_scans,
    read_participants,
)
from workflow_scripts.lib.study.errors import LeakageError, StudyError

ROLES = {"pretrain": ["uk"], "normative": ["uk"], "evaluate": ["adni"], "gwas": ["uk", "adni"]}
HEADER = "participant_id\tsession_id\tcohort\tsite\tage\tt1w"


def write(folder, *rows, header=HEADER):
    path = folder / "participants.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def people(*rows):
    """Build a table of (participant, session, cohort, split)."""
    table = pd.DataFrame(rows, columns=["participant_id", "session_id", "cohort", "split"])
    table.insert(0, "scan_id", table["participant_id"] + "_" + table["session_id"])
    about = {"site": "a", "age": 70.0, "sex": "F", "diagnosis": "CN", "image": "auto"}
    return table.assign(**about, input="x", kind="t1w", t1w="x.nii", found=True, batch="000")


def test_absent_columns_are_filled_and_paths_are_relative_to_the_table(tmp_path):
    rows = ("007\t1\tuk\toslo\t70\tscans/a.nii", "007\t02\tuk\toslo\tn/a\t/data/b.nii")
    table = read_participants(write(tmp_path, *rows))
    assert table["scan_id"].tolist() == ["007_1", "007_02"]
    assert table["t1w"].tolist() == [str(tmp_path / "scans/a.nii"), "/data/b.nii"]
    assert table["image"].tolist() == ["auto", "auto"]
    assert table[["sex", "diagnosis", "amyloid", "split", "conversion_years"]].isna().all(axis=None)


def test_empty_cells_get_the_default(tmp_path):
    header = f"{HEADER}\timage"
    table = read_participants(write(tmp_path, "a\t1\tuk\ts\t70\tx\t", "b\t1\tuk\ts\t70\tx\thead", header=header))
    assert table["image"].tolist() == ["auto", "head"]


def test_an_impossible_age_is_refused_with_its_line(tmp_path):
    path = write(tmp_path, "a\t1\tuk\ts\t70\tx", "b\t1\tuk\ts\t430\tx")
    with pytest.raises(StudyError, match=r"participants\.tsv, line 3, column 'age': found 430.*at most 120.*0 to 120"):
        read_participants(path)


def test_a_scan_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path, "a\t1\tuk\ts\t70\tx", "a\t2\tuk\ts\t72\ty", "a\t1\tuk\ts\t70\tz")
    with pytest.raises(StudyError, match=r"participant_id \+ session_id 'a 1' stands on lines 2, 4"):
        read_participants(path)


def test_a_column_of_ones_own_must_be_declared(tmp_path):
    path = write(tmp_path, "a\t1\tuk\ts\t70\tx\t12", header=f"{HEADER}\tbmi")
    with pytest.raises(StudyError, match=r"unknown column 'bmi'.*cohort: label_columns"):
        read_participants(path)
    table = read_participants(path, ("bmi",)).assign(input="x", batch="000")
    scans, _ = make_scans(table, {}, ("bmi",))
    assert scans["bmi"].tolist() == [12]


def test_roles_follow_cohorts():
    table = people(("a", "1", "uk", None), ("a", "2", "uk", None), ("b", "1", "adni", None), ("c", "1", "x", None))
    roles = assign_roles(table, ROLES)
    found = set(roles.itertuples(index=False, name=None))
    assert found == {("a", "pretrain"), ("a", "normative"), ("a", "gwas"), ("b", "evaluate"), ("b", "gwas")}
    assert len(roles) == 5
    assert assign_roles(table, {}).empty


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"evaluate": ["ADNI"]}, r"evaluate: no scan is of cohort 'ADNI'\. .*cohorts.*: adni, uk"),
        ({"train": ["uk"]}, r"role 'train' is unknown\. Roles: pretrain, normative, evaluate, gwas"),
    ],
)
def test_unknown_roles_and_cohorts_are_refused_with_the_known_ones(roles, message):
    with pytest.raises(StudyError, match=message):
        assign_roles(people(("a", "1", "uk", None), ("b", "1", "adni", None)), roles)


def test_pretraining_and_evaluation_may_share_nobody():
    table = people(("a", "1", "uk", None), ("b", "1", "uk", None), ("b", "2", "adni", None))
    with pytest.raises(LeakageError, match="both pretraining and evaluation: b"):
        assign_roles(table, ROLES)
    with pytest.raises(LeakageError, match="both pretraining and evaluation: a, b"):
        assign_roles(table, {"pretrain": ["uk"], "evaluate": ["uk"]})


def test_a_participant_with_sessions_on_both_sides_is_refused_by_name():
    table = people(("a", "1", "uk", "train"), ("a", "2", "uk", "test"), ("b", "1", "uk", "train"))
    with pytest.raises(LeakageError, match=r"both split train and split test: a\. "):
        assign_split(table, assign_roles(table, {"pretrain": ["uk"]}))


def test_a_split_given_for_one_of_two_visits_must_fit_what_is_drawn_for_the_other():
    table = people(("a", "1", "uk", "test"), ("a", "2", "uk", None))
    with pytest.raises(LeakageError, match="split test: a"):
        assign_split(table, assign_roles(table, {"pretrain": ["uk"]}))


def test_an_evaluated_participant_cannot_be_forced_into_training():
    table = people(("a", "1", "adni", "train"), ("b", "1", "uk", None))
    with pytest.raises(LeakageError, match="both split train and evaluation: a"):
        assign_split(table, assign_roles(table, ROLES))


def test_split_follows_the_role_unless_the_table_says_otherwise():
    table = people(("a", "1", "uk", None), ("b", "1", "adni", None), ("c", "1", "x", None), ("d", "1", "uk", "test"))
    assert assign_split(table, assign_roles(table, ROLES)).tolist() == ["train", "test", "test", "test"]


def test_cohorts_that_come_later_are_known_to_the_roles():
    table = people(("a", "1", "uk", None))
    assert assign_roles(table, {"pretrain": ["uk"], "evaluate": ["later"]}, {"later"})["role"].tolist() == ["pretrain"]


SOURCES = "participant_id\tsession_id\tcohort\tsite\tt1w\tfreesurfer\tfastsurfer"


def test_rows_name_volumes_or_subject_folders(tmp_path):
    (tmp_path / "a.nii").touch()
    for folder in ("fs/B/stats", "/fast/C/mri"):
        (tmp_path / folder.lstrip("/")).mkdir(parents=True)
    rows = (
        "a\t1\tuk\ts\ta.nii\t\t",
        "b\t1\tuk\ts\t\tfs/B\t",
        f"c\t1\tuk\ts\t\t\t{tmp_path}/fast/C",
        "d\t1\tuk\ts\tn/a\tfs/D\tn/a",
        "e\t1\tuk\ts\tgone.nii\t\t",
    )
    table = read_participants(write(tmp_path, *rows, header=SOURCES))
    assert table["kind"].tolist() == ["t1w", "freesurfer", "fastsurfer", "freesurfer", "t1w"]
    assert table["subject"].dropna().tolist() == [str(tmp_path / name) for name in ("fs/B", "fast/C", "fs/D")]
    assert table["t1w"].dropna().tolist() == [str(tmp_path / name) for name in ("a.nii", "gone.nii")]
    assert table["found"].tolist() == [True, True, True, False, False]
    assert table["reason"].dropna().tolist() == [
        f"{tmp_path}/fs/D does not exist",
        f"{tmp_path}/gone.nii does not exist",
    ]
    assert read_participants(tmp_path / "participants.tsv", made=True)["found"].all()


@pytest.mark.parametrize(
    ("row", "found"),
    [("a\t1\tuk\ts\t\t\t", "nothing"), ("a\t1\tuk\ts\tx\ty\t", "t1w and freesurfer")],
)
def test_a_row_names_one_source_and_no_other(tmp_path, row, found):
    path = write(tmp_path, "z\t1\tuk\ts\tx\t\t", row, header=SOURCES)
    with pytest.raises(
        StudyError, match=rf"participants\.tsv, line 3: found {found}, expected one of t1w, freesurfer and"
    ):
        read_participants(path)


def test_a_table_without_any_source_is_refused(tmp_path):
    path = write(tmp_path, "a\t1\tuk\ts", header="participant_id\tsession_id\tcohort\tsite")
    with pytest.raises(StudyError, match="line 2: found nothing, expected one of t1w"):
        read_participants(path)
