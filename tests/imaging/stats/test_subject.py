import shutil

import pytest

from tests.imaging.stats.dialects import DIALECTS, write_subject
from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.imaging.stats.subject import read_subject
from workflow_scripts.lib.study.errors import StudyError

FULL = ["freesurfer-5.3", "freesurfer-6.0", "freesurfer-7.4", "freesurfer-8"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_dialect_gives_what_was_planted(tmp_path, dialect, seed):
    folder, planted = write_subject(tmp_path / "sub-01", dialect, seed)
    assert read_subject(folder, planted.tool.lower()) == planted


@pytest.mark.parametrize("dialect", DIALECTS)
def test_lists_of_features_are_there_where_they_should_be(tmp_path, dialect):
    folder, planted = write_subject(tmp_path / "sub-01", dialect, 3)
    features = read_subject(folder, planted.tool.lower()).features
    there = {
        name for name in ("published", "volumes", "dkt", "dkt_volumes") if set(feature_list(name)) <= set(features)
    }
    expected = {
        **{name: {"published", "volumes", "dkt", "dkt_volumes"} for name in FULL},
        "freesurfer-5-dev": {"published", "volumes"},
        "fastsurfer-full-2.4": {"dkt", "dkt_volumes"},
    }
    assert there == expected.get(dialect, {"dkt_volumes"})
    assert "lh_DKT_bankssts_volume" not in features


def test_the_longitudinal_stream_is_known_by_the_name(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-01_1", "freesurfer-7.4", 4, long=True)
    assert folder.name == "sub-01_1.long.sub-01_1_base"
    assert read_subject(folder, "freesurfer") == planted
    assert planted.stream == "long"


def test_a_missing_row_is_absent_and_an_empty_one_is_zero(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-01", "freesurfer-7.4", 5)
    path = folder / "stats" / "aseg.stats"
    lines = [line for line in path.read_text().splitlines() if "5th-Ventricle" not in line]
    path.write_text("\n".join(lines).replace("# NRows 45", "# NRows 44") + "\n")
    features = read_subject(folder, "freesurfer").features
    assert "5th-Ventricle" in planted.features and "5th-Ventricle" not in features
    assert features["Left-WM-hypointensities"] == 0.0


def test_the_surfaces_prevail_over_the_segmentation(tmp_path):
    full, planted = write_subject(tmp_path / "sub-01", "fastsurfer-full-2.4", 6)
    stats = read_subject(full, "fastsurfer")
    assert stats.features["lh_DKT_insula_volume"] == planted.features["lh_DKT_insula_volume"]
    assert stats.features["lh_DKT_insula_volume"] % 1 == 0  # GrayVol has no decimals, the segmentation's has three
    for path in full.glob("stats/*h.aparc*"):
        path.unlink()
    alone = read_subject(full, "fastsurfer")
    assert (alone.numbers["surfaces"], alone.numbers["callosum_segmented"]) == (0, 0)
    assert alone.features["lh_DKT_insula_volume"] % 1 > 0
    assert "lh_DKT_insula_thickness" not in alone.features


def test_the_newest_segmentation_is_read(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-01", "fastsurfer-seg-2.4", 7)
    write_subject(tmp_path / "old", "fastsurfer-seg-2.0", 8)
    old = "aparc.DKTatlas+aseg.deep.volume.stats"
    shutil.copy(tmp_path / "old" / "stats" / old, folder / "stats" / old)
    assert read_subject(folder, "fastsurfer") == planted


def test_a_version_comes_from_the_build_stamp_if_the_header_has_none(tmp_path):
    folder, _ = write_subject(tmp_path / "sub-01", "freesurfer-5-dev", 9)
    assert read_subject(folder, "freesurfer").version == "unknown"
    (folder / "scripts" / "build-stamp.txt").write_text("freesurfer-Linux-centos4_x86_64-stable-pub-v5.1.0\n")
    assert read_subject(folder, "freesurfer").version == "5.1.0"


def test_a_renamed_folder_is_read_and_a_copied_one_refused(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-02", "freesurfer-7.4", 10, name="sub-01")
    assert read_subject(folder, "freesurfer") == planted
    write_subject(tmp_path / "sub-01", "freesurfer-7.4", 10)
    with pytest.raises(StudyError, match="copied from it"):
        read_subject(folder, "freesurfer")


def test_desikan_killiany_beside_fastsurfers_own(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-01", "fastsurfer-full-2.4", 11)
    other, more = write_subject(tmp_path / "other", "freesurfer-7.4", 12, name="sub-01", icv_mm3=planted.icv)
    for side in ("lh", "rh"):
        shutil.copy(other / "stats" / f"{side}.aparc.stats", folder / "stats")
    features = read_subject(folder, "fastsurfer").features
    assert features["lh_DKT_insula_thickness"] == planted.features["lh_DKT_insula_thickness"]
    assert {name: features[name] for name in feature_list("thickness")} == {
        name: more.features[name] for name in feature_list("thickness")
    }


def test_windows_line_ends_and_strange_user_names_are_no_fault(tmp_path):
    folder, planted = write_subject(tmp_path / "sub-01", "freesurfer-7.4", 13)
    for path in folder.glob("stats/*.stats"):
        path.write_bytes(b"# user j\xf6rg\r\n" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_subject(folder, "freesurfer") == planted


def test_an_unknown_tool_is_refused(tmp_path):
    with pytest.raises(StudyError, match="choose one of freesurfer, fastsurfer"):
        read_subject(tmp_path, "spm")
