"""From the user's table to scans, roles and splits."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.cohort.participants import (
    assign_roles,
    assign_split,
    list_folder,
    make_scans,
    missing_files,
    read_participants,
)
from workflow_scripts.lib.cohort.start import check_start
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.tables import write_table

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
    return table.assign(site="a", age=70.0, sex="F", diagnosis="CN", t1w="x.nii", image="auto")


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
    table = read_participants(path, ("bmi",))
    scans, _ = make_scans(table, {}, 10, ("bmi",))
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
        ({"evaluate": ["ADNI"]}, r"evaluate: cohort 'ADNI' is not in the participants table\. .*cohorts.*: adni, uk"),
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


persons = st.lists(st.tuples(st.sampled_from(["uk", "adni"]), st.integers(1, 3)), min_size=2, max_size=12)


@settings(max_examples=30, deadline=None)
@given(persons, st.integers(1, 5), st.integers(1, 8))
def test_rows_added_at_the_end_move_no_other(cohorts, per_job, added):
    visits = [(f"p{i}", str(s), cohort, None) for i, (cohort, count) in enumerate(cohorts) for s in range(1, count + 1)]
    roles = {role: [name for name in names if name in dict(cohorts)] for role, names in ROLES.items()}
    before, people_before = make_scans(people(*visits), roles, per_job)
    more = [(f"new{number}", "1", cohorts[0][0], None) for number in range(added)]
    after, people_after = make_scans(people(*visits, *more), roles, per_job)
    pd.testing.assert_frame_equal(before, after.head(len(before)))
    assert set(people_before.itertuples(index=False)) <= set(people_after.itertuples(index=False))
    sizes = after["batch"].value_counts().sort_index()
    assert sizes.index.tolist() == [f"{number:03d}" for number in range(len(sizes))]
    assert (sizes.iloc[:-1] == per_job).all()
    assert sizes.iloc[-1] <= per_job
    assert after.groupby("participant_id")["split"].nunique().max() == 1


def test_volumes_of_a_folder_become_participants(tmp_path):
    for name in ("sub_01.nii.gz", "b.nii", "c.mgz", "b.json", "x.nii.gz.part"):
        (tmp_path / name).touch()
    table = list_folder(tmp_path, "*")
    assert table["participant_id"].tolist() == ["b", "c", "sub-01"]
    assert missing_files(table) == []
    write_table(table, tmp_path / "listed.tsv", "participants")
    scans, roles = make_scans(read_participants(tmp_path / "listed.tsv"), {}, 2)
    assert scans["batch"].tolist() == ["000", "000", "001"]
    assert scans["t1w"].tolist() == [str(tmp_path / name) for name in ("b.nii", "c.mgz", "sub_01.nii.gz")]
    assert set(scans["split"]) == {"test"}
    assert roles.empty


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(StudyError, match=r"no file '\*' with an ending of \.nii\.gz, .* Correct cohort: folder"):
        list_folder(tmp_path, "*")


def settings_for(path):
    return {"participants": str(path), "label_columns": [], "roles": {"pretrain": ["uk"]}, "scans_per_job": 2}


def test_missing_files_are_counted_before_any_job(tmp_path):
    (tmp_path / "here.nii").touch()
    path = write(tmp_path, "a\t1\tuk\ts\t70\there.nii", "b\t1\tuk\ts\t70\tgone.nii", "c\t1\tuk\ts\t7\tlost.nii")
    with pytest.raises(StudyError, match=r"2 of 3 files in column t1w do not exist, e\.g\. .*gone\.nii"):
        check_start(settings_for(path))
    for name in ("gone.nii", "lost.nii"):
        (tmp_path / name).touch()
    check_start(settings_for(path))
