"""The 18 boxes, and which regional feature belongs to which."""

import json
from pathlib import Path

import numpy as np
import pytest

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.atlas import feature_name, feature_structures, spread_labels, template, tissue_of
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.regions import (
    BOXES,
    CORTEX,
    MIDLINE,
    SUBCORTEX,
    VOLUMES,
    assign_features,
    patch_slices,
    volume_slices,
)
from workflow_scripts.lib.study.errors import StudyError

# boxes derived from the extents of the atlas's labels, independently of this code
REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "data/patch_boxes.json").read_text())


def test_boxes_equal_the_reference():
    slices = patch_slices(1)
    assert list(slices) == PATCHES
    expected = {f"{box['region']}_{box['hemi']}": tuple(slice(*pair) for pair in box["vox_2009c"]) for box in REFERENCE}
    assert slices == expected


@pytest.mark.parametrize("spacing", [1, 2, 4, 8])
def test_boxes_stay_whole_inside_the_grid_and_equal_on_both_sides(spacing):
    slices, shape = patch_slices(spacing), Grid(spacing).shape
    for patch, box in slices.items():
        size = BOXES[patch[:-2]][0]
        assert [part.stop - part.start for part in box] == [edge / spacing for edge in size]
        assert all(part.start >= 0 and part.stop <= n for part, n in zip(box, shape, strict=True))
        mirrored = slices[f"{patch[:-1]}{'R' if patch.endswith('L') else 'L'}"]
        assert box[1:] == mirrored[1:]


@pytest.mark.parametrize("slices", [patch_slices, volume_slices])
@pytest.mark.parametrize("spacing", [3, 5, 16])
def test_a_spacing_that_does_not_divide_8_is_refused(spacing, slices):
    with pytest.raises(StudyError, match=f"spacing_mm {spacing} does not divide 8 mm; choose 1, 2, 4 or 8"):
        slices(spacing)


def test_whole_is_the_centre_of_the_fsl_template_as_sfcn_is_given_it():
    # 182 x 218 x 182 voxels of 1 mm, first voxel centre at (-91, -126, -72) in RAS order; half of the surplus each side
    origin, shape, size = np.array([-91, -126, -72]), np.array([182, 218, 182]), np.array([160, 192, 160])
    assert VOLUMES["whole"] == (tuple(size), tuple(origin + (shape - size) // 2))


@pytest.mark.parametrize("spacing", [1, 2, 4, 8])
def test_whole_volumes_keep_their_size_inside_the_grid(spacing):
    for name, box in volume_slices(spacing).items():
        assert [part.stop - part.start for part in box] == [edge / spacing for edge in VOLUMES[name][0]]
        assert all(part.start >= 0 and part.stop <= n for part, n in zip(box, Grid(spacing).shape, strict=True))


@pytest.mark.parametrize("spacing", [2.0, 4.0, 8.0])
def test_whole_volumes_hold_the_brain(spacing):
    _, brain, labels = template(spacing)
    outside = {name: brain.copy() for name in VOLUMES}
    for name, box in volume_slices(spacing).items():
        outside[name][box] = False
    assert not outside["cube"].any()
    # the published crop cuts the tips of the cerebellum (8 and 47) and the brain stem (16) and nothing else
    assert outside["whole"].sum() < 0.004 * brain.sum()
    assert set(np.unique(labels[outside["whole"]])) <= {8, 16, 47}


def structures_of(patch):
    region, side = patch.rsplit("_", 1)
    hemisphere, word = ("lh", "Left") if side == "L" else ("rh", "Right")
    cortex = [f"ctx-{hemisphere}-{name}" for name in CORTEX.get(region, [])]
    return cortex + [f"{word}-{name}" for name in SUBCORTEX.get(region, [])] + MIDLINE.get(region, [])


@pytest.mark.parametrize("spacing", [1, 2, 4])
def test_every_labelled_voxel_lies_inside_its_box(spacing):
    image, names = packaged.atlas()
    labels = resample(image, Grid(spacing), order=0)
    codes = {name.replace("-Proper", ""): code for code, name in names.items()}
    for patch, box in patch_slices(spacing).items():
        for name in structures_of(patch):
            everywhere = (labels == codes[name]).sum()
            assert everywhere > 0
            share = (labels[box] == codes[name]).sum() / everywhere
            # the horns of the ventricle reach into temporal and occipital boxes
            horns = name.endswith(("Lateral-Ventricle", "choroid-plexus"))
            assert share >= 0.9 if horns else share == 1, f"{patch}: {name} {share:.3f}"


def test_there_are_104_features_97_of_them_with_a_patch():
    names = [name for name, _ in feature_structures().values()]
    assert len(names) == len(set(names)) == 104
    cortical = [name for name in names if name.endswith("_volume")]
    assert len(cortical) == 68
    assert sum(name.startswith("lh_") for name in cortical) == 34
    table = assign_features(names)
    assert set(table["feature"]) == set(names)
    assert set(table["patch"].dropna()) == set(PATCHES)
    without = table.loc[table["patch"].isna(), "feature"]
    assert len(set(names) - set(without)) == 97
    assert set(without) == {
        *("Left-Cerebellum-Cortex", "Right-Cerebellum-Cortex", "4th-Ventricle", "Brain-Stem"),
        *("Left-Cerebellum-White-Matter", "Right-Cerebellum-White-Matter", "WM-hypointensities"),
    }


def test_features_belong_to_their_own_side_and_midline_to_both():
    table = assign_features([name for name, _ in feature_structures().values()]).dropna()
    homes = table.groupby("feature")["patch"].agg(list)
    assert homes["lh_entorhinal_volume"] == ["medial_temporal_L"]
    assert homes["Right-Hippocampus"] == ["medial_temporal_R"]
    assert homes["3rd-Ventricle"] == ["subcortical_L", "subcortical_R"]
    assert homes["CC_Central"] == ["cingulate_L", "cingulate_R"]
    for feature, patches in homes.items():
        side = "L" if feature.startswith(("lh_", "Left")) else "R" if feature.startswith(("rh_", "Right")) else None
        assert {patch[-1] for patch in patches} == ({side} if side else {"L", "R"})
    # 7, 6, 5, 4, 10, 9, 3, 4, 4 of facts on the regions, midline included
    assert table["patch"].value_counts()[[patch for patch in PATCHES if patch.endswith("L")]].tolist() == [
        *(7, 6, 5, 4, 10, 9, 3, 4, 4)
    ]


def test_thickness_goes_where_volume_goes_and_strangers_nowhere():
    table = assign_features(["rh_insula_thickness", "lh_made_up_volume"]).set_index("feature")["patch"]
    assert table["rh_insula_thickness"] == "lateral_temporal_R"
    assert table.isna()["lh_made_up_volume"]


@pytest.mark.parametrize(
    ("structure", "feature", "tissue"),
    [
        ("ctx-lh-entorhinal", "lh_entorhinal_volume", "grey"),
        ("Left-Thalamus-Proper", "Left-Thalamus", "any"),
        ("Right-Inf-Lat-Vent", "Right-Inf-Lat-Vent", "csf"),
        ("Left-VentralDC", "Left-VentralDC", "any"),
        ("Left-Cerebellum-White-Matter", "Left-Cerebellum-White-Matter", "white"),
        ("Left-Cerebellum-Cortex", "Left-Cerebellum-Cortex", "grey"),
        ("CC_Central", "CC_Central", "white"),
        ("Left-Cerebral-White-Matter", None, "white"),
        ("Optic-Chiasm", None, "grey"),
    ],
)
def test_names_and_tissues_of_structures(structure, feature, tissue):
    assert feature_name(structure) == feature
    assert tissue_of(structure) == tissue


def test_spreading_keeps_labels_and_fills_the_brain_with_the_nearest():
    labels = np.zeros((9, 9, 9), int)
    labels[2, 4, 4], labels[6, 4, 4] = 17, 53
    brain = np.ones(labels.shape, bool)
    brain[8] = False
    spread = spread_labels(labels, brain)
    assert (spread[:4] == 17).all()
    assert (spread[5:8] == 53).all()
    assert (spread[8] == 0).all()


def test_the_template_is_a_labelled_brain():
    t1, mask, labels = template(4.0)
    assert t1.shape == mask.shape == labels.shape == Grid(4.0).shape
    assert 1.7e6 < mask.sum() * 64 < 2.2e6  # MNI152's brain, mm^3
    assert (labels[mask] > 0).all()
    assert (t1[~mask] == 0).all()
    left = Grid(4.0).world()[..., 0] < 0
    assert left[labels == 17].all()  # the left hippocampus lies at negative x
    assert not left[labels == 53].any()
