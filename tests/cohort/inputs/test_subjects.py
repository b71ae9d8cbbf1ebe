"""Subject folders of FreeSurfer and FastSurfer."""

import pytest

from tests.cohort.folders import entry, find, reasons, subjects, table, touch


def test_subjects_are_told_from_everything_else(tmp_path):
    subjects(tmp_path, "sub-01_ses-a", "sub-02", "bert_1", "fsaverage", "lh.EC_average", ".trash")
    subjects(tmp_path, "base", "sub-09_base", "sub-01_ses-a.long.base")
    touch(tmp_path, "log.txt", "empty/x", "sub-09_base/base-tps")
    scans, ignored = find(entry("freesurfer", tmp_path))
    assert scans["scan_id"].tolist() == ["bert-1_1", "sub-01_a", "sub-02_1"]
    assert scans["subject"].tolist() == [str(tmp_path / name) for name in ("bert_1", "sub-01_ses-a", "sub-02")]
    assert set(scans["kind"]) == {"freesurfer"} and scans["t1w"].isna().all()
    base = "the base template of a longitudinal stream"
    assert reasons(ignored) == {
        ".trash": "hidden, for its name starts with a dot",
        "base": base,
        "empty": "has neither stats nor mri",
        "fsaverage": "a template that comes with the tool",
        "lh.EC_average": "a template that comes with the tool",
        "log.txt": "not a folder",
        "sub-01_ses-a.long.base": "of the longitudinal stream; stream: long reads it",
        "sub-09_base": base,
    }


def test_the_longitudinal_stream_alone(tmp_path):
    subjects(tmp_path, "A_1", "A_2", "A", "A_1.long.A", "A_2.long.A")
    ids = "(?P<participant>[A-Z])_(?P<session>[0-9])"
    scans, ignored = find(entry("freesurfer", tmp_path, stream="long", ids=ids))
    assert scans["scan_id"].tolist() == ["A_1", "A_2"]
    assert scans["subject"].tolist() == [str(tmp_path / f"A_{n}.long.A") for n in (1, 2)]
    assert reasons(ignored)["A_1"] == "of the cross-sectional stream; stream: cross reads it"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        (["stats/a", "scripts/recon-all.error"], "recon-all stopped with an error"),
        (["stats/a", "scripts/IsRunning.lh+rh"], r"recon-all is not done (scripts/IsRunning.lh+rh)"),
        (["stats/a", "scripts/recon-all.error", "scripts/recon-all.done"], None),
        (["mri/a", "scripts/IsRunning.lh", "scripts/recon-surf.done"], None),
        (["mri/a"], None),
    ],
)
@pytest.mark.parametrize("kind", ["freesurfer", "fastsurfer"])
def test_the_marks_of_the_tools_decide(tmp_path, kind, parts, reason):
    subjects(tmp_path, "sound")
    subjects(tmp_path, "x", parts=parts)
    row = find(entry(kind, tmp_path))[0].set_index("participant_id").loc["x"]
    assert row["found"] == (reason is None)
    assert reason is None or reason in row["reason"]


def test_fastsurfer_without_surfaces_and_its_bases(tmp_path):
    subjects(tmp_path, "sub-01", parts=["stats/aseg+DKT.stats", "mri/mask.mgz", "scripts/deep-seg.log"])
    touch(subjects(tmp_path, "tid"), "tid/base-tps.fastsurfer")
    scans, ignored = find(entry("fastsurfer", tmp_path))
    assert scans[["scan_id", "kind"]].values.tolist() == [["sub-01_1", "fastsurfer"]]
    assert list(reasons(ignored)) == ["tid"]


def test_names_that_do_not_fit_the_ids_are_listed(tmp_path):
    scans, ignored = find(entry("freesurfer", subjects(tmp_path, "p7", "test"), ids="p(?P<participant>[0-9]+)"))
    assert scans["scan_id"].tolist() == ["7_1"]
    assert reasons(ignored) == {"test": "its name does not match ids: p(?P<participant>[0-9]+)"}


def test_people_name_their_subject(tmp_path):
    subjects(tmp_path / "s", "0004_m00", "0004_m06", "0005_m00", "0004_m06.long.0004")
    lines = ["participant_id session_id subject age", "p4 m00 0004_m00 70", "p4 m06 0004_m06 71", "p9 m00 0009_m00 60"]
    people = table(tmp_path / "p.tsv", *lines)
    scans, ignored = find(entry("freesurfer", tmp_path / "s", participants=str(people)))
    assert scans[["scan_id", "age", "found"]].values.tolist() == [
        ["p4_m00", 70, True],
        ["p4_m06", 71, True],
        ["p9_m00", 60, False],
    ]
    assert scans["reason"].iloc[2] == f"nothing in {tmp_path}/s is named '0009_m00'"
    assert reasons(ignored)["0005_m00"] == f"no row in {people}"
    long = find(entry("freesurfer", tmp_path / "s", participants=str(people), stream="long"))[0]
    assert long["found"].tolist() == [False, True, False]
    assert long["subject"].iloc[1].endswith("0004_m06.long.0004")
