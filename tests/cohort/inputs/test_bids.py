"""T1w volumes of BIDS datasets."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cohort.folders import bids, entry, find, reasons, table, touch
from workflow_scripts.lib.cohort.inputs.bids import natural
from workflow_scripts.lib.study.errors import StudyError


def test_sessions_or_none_each_give_a_scan(tmp_path):
    scans, ignored = find(entry("bids", bids(tmp_path, "01/a", "01/b", "02")))
    assert scans["scan_id"].tolist() == ["sub-01_a", "sub-01_b", "sub-02_1"]
    assert scans["t1w"].tolist()[2] == str(tmp_path / "sub-02/anat/sub-02_T1w.nii.gz")
    assert scans[["kind", "image", "cohort", "site", "input"]].drop_duplicates().values.tolist() == [
        ["t1w", "auto", "mine", "mine", "mine"]
    ]
    assert scans["found"].all() and ignored.empty


@pytest.mark.parametrize(("runs", "taken"), [("first", "run-2"), ("last", "run-10")])
def test_one_of_several_runs_is_taken_and_the_others_are_listed(tmp_path, runs, taken):
    for run in (10, 2):
        bids(tmp_path, "01", name=f"run-{run}_T1w.nii.gz")
    scans, ignored = find(entry("bids", tmp_path, runs=runs))
    assert taken in scans["t1w"].iloc[0]
    assert list(reasons(ignored).values()) == [f"another run; runs: {runs} takes the {runs} one"]


def test_a_compressed_volume_comes_before_the_same_uncompressed(tmp_path):
    bids(tmp_path, "01", name="T1w.nii")
    bids(tmp_path, "01")
    scans, ignored = find(entry("bids", tmp_path))
    assert scans["t1w"].iloc[0].endswith(".nii.gz")
    assert reasons(ignored) == {"sub-01_T1w.nii": "the same volume uncompressed"}


def test_volumes_that_differ_in_more_than_their_run_need_a_filter(tmp_path):
    bids(tmp_path, "01", name="acq-mprage_T1w.nii.gz")
    bids(tmp_path, "01", name="acq-spgr_T1w.nii.gz")
    bids(tmp_path, "02", name="acq-spgr_T1w.nii.gz")
    scans, _ = find(entry("bids", tmp_path))
    assert scans["found"].tolist() == [False, True]
    assert "2 T1w volumes that differ in acq (acq-mprage, acq-spgr)" in scans["reason"].iloc[0]
    scans, ignored = find(entry("bids", tmp_path, filters={"acq": "spgr"}))
    assert scans["found"].tolist() == [True, True]
    assert reasons(ignored) == {"sub-01_acq-mprage_T1w.nii.gz": "not wanted by filters: acq: spgr"}


def test_entities_that_bids_does_not_know_count_too(tmp_path):
    bids(tmp_path, "01", name="foo-3_T1w.nii.gz")
    bids(tmp_path, "01")
    scans, _ = find(entry("bids", bids(tmp_path, "02")))
    assert "differ in foo (foo-3, foo-none)" in scans["reason"].iloc[0]
    scans, _ = find(entry("bids", tmp_path, filters={"foo": 3}))
    assert scans["scan_id"].tolist() == ["sub-01_1"]


def test_what_is_no_t1w_is_no_scan(tmp_path):
    bids(tmp_path, "01/a")
    touch(tmp_path, "sub-01/ses-b/func/sub-01_ses-b_task-rest_bold.nii.gz", "sub-01/ses-a/anat/sub-01_ses-a_T2w.nii.gz")
    touch(
        tmp_path, "sub-02/notes.txt", "sub-x_y/a.txt", "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"
    )
    scans, ignored = find(entry("bids", tmp_path))
    assert scans["scan_id"].tolist() == ["sub-01_a"]
    assert reasons(ignored) == {
        "ses-b": "no T1w volume",
        "sub-02": "holds no file named by BIDS",
        "sub-x_y": "no BIDS label; letters and digits may follow sub-",
    }


def test_links_without_content_are_set_aside(tmp_path):
    bids(tmp_path, "01", "02")
    file = tmp_path / "sub-02/anat/sub-02_T1w.nii.gz"
    file.unlink()
    file.symlink_to(tmp_path / ".git/annex/objects/x")
    scans, _ = find(entry("bids", tmp_path))
    assert scans["found"].tolist() == [True, False]
    assert "DataLad" in scans["reason"].iloc[1]


def test_a_table_of_people_decides(tmp_path):
    bids(tmp_path / "data", "01/a", "01/b", "02")
    table(tmp_path / "data/participants.tsv", "participant_id age", "sub-01 33")
    people = table(tmp_path / "p.tsv", "participant_id session_id age site", "sub-01 b 70 oslo", "sub-03 n/a 60 oslo")
    scans, ignored = find(entry("bids", tmp_path / "data", participants=str(people)))
    assert scans[["scan_id", "age", "site", "found"]].values.tolist() == [
        ["sub-01_b", 70, "oslo", True],
        ["sub-03_1", 60, "oslo", False],
    ]
    assert scans["reason"].iloc[1] == f"nothing in {tmp_path}/data is of participant 'sub-03', session '1'"
    assert set(ignored["reason"]) == {f"no row in {people}"} and len(ignored) == 2


def test_a_folder_without_subjects_is_refused(tmp_path):
    with pytest.raises(StudyError, match="holds no folder sub-LABEL"):
        find(entry("bids", touch(tmp_path, "a.txt")))
    with pytest.raises(StudyError, match="may hold no dot"):
        find(entry("bids", bids(tmp_path / "study.v2", "01")))


@settings(max_examples=20, deadline=None)
@given(st.sets(st.tuples(st.integers(1, 4), st.sampled_from(["", "a", "10"])), min_size=1), st.randoms())
def test_every_session_is_found_once_whatever_the_order_of_files(tmp_path_factory, sessions, random):
    folder, names = tmp_path_factory.mktemp("ds"), [f"{sub}/{ses}".rstrip("/") for sub, ses in sessions]
    random.shuffle(names)
    scans, _ = find(entry("bids", bids(folder, *names)))
    assert set(scans["scan_id"]) == {f"sub-{sub}_{ses or 1}" for sub, ses in sessions}
    assert scans["scan_id"].is_unique and scans["participant_id"].is_monotonic_increasing


def test_natural_order_counts():
    names = ["", "a", "1", "2", "10", "M6", "M12"]
    assert sorted(names, key=natural)[-1] == "10" and natural("M6") < natural("M12")
    assert all(natural(a) != natural(b) for a, b in itertools.combinations(names, 2))
