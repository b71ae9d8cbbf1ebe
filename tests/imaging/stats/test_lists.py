from pathlib import Path

import pytest

from workflow_scripts.lib.imaging.regions import assign_features
from workflow_scripts.lib.imaging.stats.lists import LISTS, check_lists, feature_list, unit_of
from workflow_scripts.lib.imaging.stats.structures import ASEG, CORTEX, DK, DK_ONLY, DKT, segmentation_feature
from workflow_scripts.lib.study.errors import StudyError

SAMPLES = Path(__file__).resolve().parents[3] / "../shared/reference/fsstats"
SEVEN = SAMPLES / "fs7.0.0_fphammerle_soichi"
real = pytest.mark.skipif(not SAMPLES.exists(), reason="no real statistics beside the project")


def rows(path):
    return [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        *(("published", 104), ("volumes", 104), ("thickness", 68), ("aseg", 36), ("dkt", 98), ("dkt_volumes", 98)),
        *(("destrieux", 184), ("destrieux_thickness", 148)),
    ],
)
def test_a_list_has_its_number_of_features(name, count):
    features = feature_list(name)
    assert len(features) == len(set(features)) == count
    features.clear()
    assert len(feature_list(name)) == count  # a caller cannot spoil it


def test_published_is_thickness_and_aseg():
    assert set(feature_list("published")) == {*feature_list("thickness"), *feature_list("aseg")}
    assert set(feature_list("dkt")) & set(feature_list("published")) == set(feature_list("aseg"))
    assert {unit_of(name) for name in feature_list("thickness")} == {"mm"}
    assert {unit_of(name) for name in [*feature_list("volumes"), *feature_list("dkt_volumes")]} == {"mm3"}


def test_explicit_names_stay_and_faults_are_told():
    assert feature_list(["Left-Hippocampus", "lh_insula_thickness"]) == ["Left-Hippocampus", "lh_insula_thickness"]
    for wrong, word in (("publised", "published, volumes"), ([], "empty"), (["CSF", "CSF"], "more than once")):
        with pytest.raises(StudyError, match=word):
            feature_list(wrong)


@real
def test_structures_are_those_of_real_files():
    assert tuple(row[0] for row in rows(SEVEN / "lh.aparc.stats")) == DK
    assert tuple(row[0] for row in rows(SEVEN / "rh.aparc.DKTatlas.stats")) == DKT
    assert {int(row[1]): row[4] for row in rows(SEVEN / "aseg.stats")} == ASEG
    six = {int(row[1]): row[4] for row in rows(SAMPLES / "fs6.0_reproNim_segstats" / "aseg.stats")}
    assert six[10] == "Left-Thalamus-Proper"
    assert {number: segmentation_feature(name) for number, name in six.items()} == ASEG
    # white matter has the cortex's numbers and 2000
    white = {int(row[1]) - 2000: row[4].removeprefix("wm-").split("-") for row in rows(SEVEN / "wmparc.stats")}
    assert {number: tuple(white[number]) for number in CORTEX} == CORTEX


@pytest.mark.parametrize("name", [name for name in LISTS if "destrieux" not in name])
def test_dkt_regions_go_to_the_same_patches(name):
    table = assign_features(feature_list(name))
    assert set(table.loc[table["patch"].isna(), "feature"]) <= {
        *("Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex", "4th-Ventricle", "Brain-Stem"),
        *("Left-Cerebellum-White-Matter", "Right-Cerebellum-White-Matter", "WM-hypointensities"),
    }
    homes = dict(zip(table["feature"], table["patch"], strict=True))
    plain = assign_features([feature.replace("DKT_", "") for feature in homes]).drop_duplicates("feature", keep="last")
    assert plain["patch"].where(plain["patch"].notna(), None).tolist() == list(homes.values())


def test_the_dkt_atlas_lacks_three_regions():
    assert len(DK) == 34 and len(DKT) == 31 and set(DK) - set(DKT) == set(DK_ONLY)


def test_a_subset_beyond_the_list_is_refused_with_the_config():
    inside = {"cortex": {"list": "thickness"}, "as_measured": {"list": None}}
    check_lists({"list": "published", "subsets": inside})
    with pytest.raises(StudyError, match="subsets: cortex: list: 'lh_bankssts_thickness' and 67 more are not among"):
        check_lists({"list": "volumes", "subsets": inside})
