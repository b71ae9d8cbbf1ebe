"""Values equal real files, read here by the plainest of readers."""

from pathlib import Path

import pytest

from workflow_scripts.lib.imaging.stats.parse import parse_stats
from workflow_scripts.lib.imaging.stats.regional import segmentation_features, surface_features
from workflow_scripts.lib.imaging.stats.subject import read_subject
from workflow_scripts.lib.study.errors import StudyError

SAMPLES = Path(__file__).resolve().parents[3] / "../shared/reference/fsstats"
pytestmark = pytest.mark.skipif(not SAMPLES.exists(), reason="no real statistics beside the project")
FILES = sorted(SAMPLES.glob("*/*.stats"))
SEVEN = SAMPLES / "fs7.0.0_fphammerle_soichi"


def naked(path):
    """Read structure -> column -> number with no check at all."""
    lines = path.read_text().splitlines()
    columns = next(line for line in lines if line.startswith("# ColHeaders")).split()[2:]
    cells = [dict(zip(columns, line.split(), strict=True)) for line in lines if line and line[0] != "#"]
    return {row.pop("StructName"): row for row in cells}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_every_sample_is_read_or_refused_by_name(path):
    if path.name.endswith("curv.stats"):
        with pytest.raises(StudyError, match="curvature statistics"):
            parse_stats(path)
        return
    file = parse_stats(path)
    assert file.rows or file.measures
    if file.rows:
        for name, row in naked(path).items():
            for column, text in row.items():
                assert file.rows[name][column] == float(text) or "nan" in text
        assert len(file.rows) == len(naked(path))
    stated = [line.split(", ") for line in path.read_text().splitlines() if line.startswith("# Measure")]
    assert sorted(value for _, value, _, _ in file.measures.values()) == sorted(float(words[-2]) for words in stated)


@pytest.mark.parametrize("sample", ["fs6.0_fphammerle_fabian", "fs6.0_reproNim_segstats", SEVEN.name])
@pytest.mark.parametrize(("file", "atlas"), [("aparc", "DK"), ("aparc.DKTatlas", "DKT")])
@pytest.mark.parametrize("side", ["lh", "rh"])
def test_surface_features_equal_the_file(sample, file, atlas, side):
    path = SAMPLES / sample / f"{side}.{file}.stats"
    if not path.exists():
        pytest.skip(f"the sample has no {path.name}")
    infix = "DKT_" if atlas == "DKT" else ""
    expected = {}
    for region, row in naked(path).items():
        expected[f"{side}_{infix}{region}_thickness"] = float(row["ThickAvg"])
        expected[f"{side}_{infix}{region}_volume"] = float(row["GrayVol"])
    assert surface_features(parse_stats(path), side, atlas) == expected
    assert len(expected) == (68 if atlas == "DK" else 62)


@pytest.mark.parametrize("sample", ["fs6.0_reproNim_segstats", SEVEN.name])
def test_segmentation_features_equal_the_file(sample):
    path = SAMPLES / sample / "aseg.stats"
    expected = {name.replace("-Proper", ""): float(row["Volume_mm3"]) for name, row in naked(path).items()}
    assert segmentation_features(parse_stats(path), "DKT") == expected
    assert len(expected) == 45 and 0.0 in expected.values()


def test_a_whole_real_subject(tmp_path):
    (tmp_path / "soichi").mkdir()
    (tmp_path / "soichi" / "stats").symlink_to(SEVEN.resolve())
    # the headers name the subject 'output', as the service that ran it calls all: that alone is no fault
    stats = read_subject(tmp_path / "soichi", "freesurfer")
    assert len(stats.features) == 45 + 2 * (68 + 62)
    assert (stats.tool, stats.version, stats.stream, stats.icv) == ("FreeSurfer", "7.0.0", "cross", 1420434.160521)
    assert stats.features["Left-Thalamus"] == float(naked(SEVEN / "aseg.stats")["Left-Thalamus"]["Volume_mm3"])
    assert stats.numbers == {
        **{"brain_segmented_ml": 1169.408, "mask_ml": 1686.052, "cortex_ml": 454587.696158 / 1e3},
        **{"lh_surface_holes": 24, "rh_surface_holes": 25, "lh_euler": -46, "rh_euler": -48},
    }


def test_half_a_real_subject_is_refused(tmp_path):
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "stats").symlink_to((SAMPLES / "fs6.0_reproNim_segstats").resolve())
    with pytest.raises(StudyError, match=r"has rh\.aparc\.stats but no lh\.aparc\.stats"):
        read_subject(tmp_path / "people", "freesurfer")
