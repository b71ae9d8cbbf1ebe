"""Who is run in which order, what a failure costs, and how the study reads the result."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from tests.imaging.fake_tools import LICENCE, FakeTool, settings
from workflow_scripts.lib.imaging.backends.reconstruct import (
    Person,
    people_of_batch,
    plan,
    reconstruct,
    subject_name,
)
from workflow_scripts.lib.imaging.backends.tools import Tool
from workflow_scripts.lib.study import tables
from workflow_scripts.preprocess import reconstruct_scans, segment_scans

ANNE = Person("sub-A", {"sub-A_1": "/in/a1.nii", "sub-A_2": "/in/a2.nii"})
BO = Person("sub-B", {"sub-B_1": "/in/b1.nii"})


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def install(**words: tuple[str, ...]) -> FakeTool:
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))
        for name in ("FREESURFER_HOME", "FASTSURFER_HOME", "FS_LICENSE"):
            monkeypatch.delenv(name, raising=False)
        return FakeTool(tmp_path / "bin", **words)

    return install


@pytest.fixture
def people(tmp_path):
    """Give Anne, who was scanned twice, and Bo, with files."""
    paths = {scan: tmp_path / f"{scan}.nii" for scan in ("sub-A_1", "sub-A_2", "sub-B_1")}
    for scan, path in paths.items():
        path.write_text(scan)
    scans = {scan: str(path) for scan, path in paths.items()}
    bo = {"sub-B_1": scans.pop("sub-B_1")}
    return [Person("sub-A", scans), Person("sub-B", bo)]


def titles(person: Person, tool: Tool, longitudinal: bool, part: str) -> list[str]:
    return [step.command.title for step in plan(person, Path("/s"), tool, longitudinal, part)]


def test_freesurfer_goes_cross_base_long():
    tool = Tool("freesurfer")
    assert titles(ANNE, tool, False, "segment") == titles(ANNE, tool, True, "segment") == []
    assert titles(ANNE, tool, False, "reconstruct") == ["sub-A_1, reconstruction", "sub-A_2, reconstruction"]
    assert titles(ANNE, tool, True, "reconstruct") == [
        "sub-A_1, reconstruction",
        "sub-A_2, reconstruction",
        "sub-A, template",
        "sub-A_1, longitudinal",
        "sub-A_2, longitudinal",
    ]
    # one session goes the same way, or it would differ from the others by its processing
    assert titles(BO, tool, True, "reconstruct") == [
        "sub-B_1, reconstruction",
        "sub-B, template",
        "sub-B_1, longitudinal",
    ]


def test_fastsurfer_segments_first_and_makes_surfaces_later():
    tool = Tool("fastsurfer")
    assert titles(BO, tool, False, "segment") == ["sub-B_1, segmentation"]
    assert titles(BO, tool, False, "reconstruct") == ["sub-B_1, surfaces"]
    assert titles(BO, Tool("fastsurfer", surfaces=False), False, "reconstruct") == []
    assert titles(ANNE, tool, True, "segment") == [
        "sub-A, template",
        "sub-A, segmentation of the template",
        "sub-A_1, longitudinal segmentation",
        "sub-A_2, longitudinal segmentation",
    ]
    assert titles(ANNE, tool, True, "reconstruct") == [
        "sub-A, surfaces of the template",
        "sub-A_1, longitudinal surfaces",
        "sub-A_2, longitudinal surfaces",
    ]


def test_the_folder_with_the_features_is_named_as_the_tool_names_it():
    assert subject_name("sub-A_1", "sub-A", Tool("freesurfer"), False) == "sub-A_1"
    assert subject_name("sub-A_1", "sub-A", Tool("freesurfer"), True) == "sub-A_1.long.sub-A"
    assert subject_name("sub-A_1", "sub-A", Tool("fastsurfer"), True) == "sub-A_1"


@pytest.mark.parametrize(
    ("name", "longitudinal", "calls"),
    [("freesurfer", False, 3), ("freesurfer", True, 8), ("fastsurfer", False, 6), ("fastsurfer", True, 12)],
)
def test_the_stand_in_makes_every_folder_that_the_table_names(fake, people, tmp_path, name, longitudinal, calls):
    installed, tool, subjects = fake(), Tool(name), tmp_path / "subjects"
    for part in ("segment", "reconstruct"):
        table = reconstruct(people, subjects, tool, longitudinal, part, {}, at_once=2)
    assert table["scan_id"].tolist() == ["sub-A_1", "sub-A_2", "sub-B_1"]
    assert table["passed"].all()
    assert all((Path(folder) / "stats" / "aseg.stats").exists() for folder in table["subject"])
    assert len(installed.calls) == calls
    for part in ("segment", "reconstruct"):
        again = reconstruct(people, subjects, tool, longitudinal, part, {})
    pd.testing.assert_frame_equal(again, table)
    assert len(installed.calls) == calls  # nothing is made twice


def test_a_scan_that_fails_costs_itself_alone(fake, people, tmp_path):
    fake(fails=("sub-A_1",))
    table = reconstruct(people, tmp_path / "s", Tool("freesurfer"), False, "reconstruct", {})
    assert table["passed"].tolist() == [False, True, True]
    assert table["reason"][0].startswith("sub-A_1, reconstruction: recon-all stopped with status 3.")
    assert "white matter peak found at -nan" in table["reason"][0]
    assert table["reason"].isna().tolist() == [False, True, True]


def test_in_a_longitudinal_study_a_time_point_that_fails_costs_the_person(fake, people, tmp_path):
    installed = fake(fails=("sub-A_1",))
    table = reconstruct(people, tmp_path / "s", Tool("freesurfer"), True, "reconstruct", {})
    assert table["passed"].tolist() == [False, False, True]
    assert table["reason"][0] == table["reason"][1]
    assert not any("-base" in words and "sub-A" in words for words in installed.words)


def test_what_could_not_be_segmented_gets_no_surfaces(fake, people, tmp_path):
    installed = fake()
    table = reconstruct(
        people[:1], tmp_path / "s", Tool("fastsurfer"), False, "reconstruct", {"sub-A_2": "out of memory"}
    )
    assert table["passed"].tolist() == [True, False]
    assert table["reason"].fillna("").tolist() == ["", "out of memory"]
    assert len(installed.calls) == 1


@pytest.mark.parametrize("longitudinal", [False, True])
def test_results_of_a_replaced_scan_are_not_taken_for_the_new_ones(fake, people, tmp_path, longitudinal):
    installed, tool, subjects = fake(), Tool("freesurfer"), tmp_path / "s"
    reconstruct(people, subjects, tool, longitudinal, "reconstruct", {})
    calls = len(installed.calls)
    Path(people[0].scans["sub-A_2"]).write_text("another scan")
    table = reconstruct(people, subjects, tool, longitudinal, "reconstruct", {}).set_index("scan_id")
    assert table["passed"].to_dict() == {"sub-A_1": not longitudinal, "sub-A_2": False, "sub-B_1": True}
    folders = [f"{subjects}/sub-A_2"] + [f"{subjects}/sub-A_2.long.sub-A"] * longitudinal
    assert table["reason"]["sub-A_2"] == (
        "sub-A_2: its subject folder was made with another T1w volume than now. To make it anew, delete "
        f"{', '.join(folders)}, {subjects}/made_from/sub-A_2.json. Or undo the change."
    )
    assert len(installed.calls) == calls
    other = Tool("freesurfer", options=("-3T",))
    table = reconstruct(people[1:], subjects, other, longitudinal, "reconstruct", {})
    assert "made with another choice of options than now" in table["reason"][0]


def test_a_template_of_fewer_time_points_is_not_taken_for_the_new_one(fake, people, tmp_path):
    fake()
    early = Person("sub-A", {"sub-A_1": people[0].scans["sub-A_1"]})
    reconstruct([early], tmp_path / "s", Tool("freesurfer"), True, "reconstruct", {})
    table = reconstruct(people, tmp_path / "s", Tool("freesurfer"), True, "reconstruct", {})
    assert table["passed"].tolist() == [False, False, True]
    assert table["reason"][1].startswith("sub-A: its subject folder was made with another set of time points than now.")


def test_a_file_that_vanished_is_a_reason(fake, people, tmp_path):
    fake()
    Path(people[1].scans["sub-B_1"]).unlink()
    table = reconstruct(people[1:], tmp_path / "s", Tool("freesurfer"), False, "reconstruct", {})
    assert table["reason"][0] == f"{tmp_path / 'sub-B_1.nii'}: No such file or directory"


SCANS = pd.DataFrame(
    {
        "scan_id": ["sub-A_1", "sub-B_1", "sub-C_1", "sub-A_2", "sub-D_1"],
        "participant_id": ["sub-A", "sub-B", "sub-C", "sub-A", "sub-D"],
        "kind": ["t1w", "t1w", "freesurfer", "t1w", "t1w"],
        "t1w": ["/in/a1.nii", "/in/b1.nii", None, "/in/a2.nii", "/in/d1.nii"],
        "subject": [None, None, "/fs/c", None, None],
        "found": [True, True, True, True, False],
        "reason": [None, None, None, None, "file not found"],
        "batch": ["000", "000", "000", "000", "001"],
    }
)


def test_a_batch_holds_its_volumes_by_person():
    assert people_of_batch(SCANS, "000") == [ANNE, BO]
    assert people_of_batch(SCANS, "001") == []


class Named(dict):
    """Stands in for the named lists of Snakemake."""

    __getattr__ = dict.__getitem__


def test_the_scripts_write_the_table_of_a_batch(fake, people, tmp_path, monkeypatch):
    fake(fails=("sub-B_1",))
    (tmp_path / "licence.txt").write_text(LICENCE)
    columns = {"session_id": "1", "cohort": "c", "site": "s", "image": "head", "input": "i", "split": None}
    files = {scan: path for person in people for scan, path in person.scans.items()}
    scans = SCANS.assign(**columns, age=None, sex=None, diagnosis=None, t1w=SCANS["scan_id"].map(files))
    monkeypatch.setattr(tables, "read_table", reading(scans))
    preprocess = settings(backend="fastsurfer", licence=str(tmp_path / "licence.txt"))
    params = Named(preprocess=preprocess, subjects=str(tmp_path / "subjects"))
    segmented, finished = tmp_path / "segmented.tsv", tmp_path / "finished.tsv"
    job = SimpleNamespace(
        params=params, wildcards=Named(batch="000"), input=Named(scans="scans"), output=Named(table=str(segmented))
    )
    segment_scans.main(job)
    job.input, job.output = Named(scans="scans", segmented=str(segmented)), Named(table=str(finished))
    reconstruct_scans.main(job)
    for path in (segmented, finished):
        rows = pd.read_csv(path, sep="\t").set_index("scan_id")
        assert rows["passed"].to_dict() == {"sub-A_1": True, "sub-A_2": True, "sub-B_1": False}
        assert rows["reason"]["sub-B_1"].startswith("sub-B_1, segmentation: run_fastsurfer.sh stopped with status 3")
    assert (tmp_path / "subjects/sub-A_1/stats/lh.aparc.DKTatlas.mapped.stats").exists()
    assert not (tmp_path / "subjects/sub-B_1/stats").exists()


def reading(scans: pd.DataFrame):
    """Give the scans where they are asked for and read all else from disk."""
    read = tables.read_table

    def read_table(source, name, *extra):
        return scans if source == "scans" else read(source, name, *extra)

    return read_table
