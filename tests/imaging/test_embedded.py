"""The embedded backend on a phantom whose volumes are known."""

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.lib.imaging.atlas import feature_structures
from workflow_scripts.lib.imaging.backends import embedded, meshnet
from workflow_scripts.lib.imaging.backends.base import get_backend
from workflow_scripts.lib.study.errors import StudyError


def test_a_backend_is_chosen_by_name_or_refused_with_the_known_ones():
    assert get_backend("embedded") is embedded.run
    assert get_backend("meshnet") is meshnet.run
    with pytest.raises(StudyError, match="backend 'freesurfer' is a tool of its own"):
        get_backend("freesurfer")
    known = "embedded, meshnet, freesurfer, fastsurfer"
    with pytest.raises(StudyError, match=f"backend 'fsl' is not known; choose one of {known}"):
        get_backend("fsl")


def test_the_brain_is_ras_with_white_matter_at_110(preprocessed, phantom_brain):
    brain = preprocessed.brain
    assert brain.dtype == np.float32
    assert nib.aff2axcodes(phantom_brain[0].affine) == ("P", "I", "R")
    assert nib.aff2axcodes(preprocessed.affine) == ("R", "A", "S")
    assert (brain > 0).sum() * 27 == pytest.approx(preprocessed.icv, rel=0.02)
    white = np.quantile(brain[brain > 0], 0.8)
    assert 100 < white < 125


def test_all_104_features_are_there_and_positive(preprocessed):
    assert list(preprocessed.features) == [name for name, _ in feature_structures().values()]
    assert len(preprocessed.features) == 104
    assert min(preprocessed.features.values()) >= 0
    positive = [name for name, value in preprocessed.features.items() if value > 0]
    assert len(positive) >= 103  # white matter hypointensities may be none
    assert sum(preprocessed.features.values()) < preprocessed.icv


def test_volumes_are_near_the_planted_ones(preprocessed, phantom_brain):
    truth, found = phantom_brain[1], preprocessed.features
    for side in ("Left", "Right"):
        # truth counts fluid inside the outline too; half of it tells a match from a miss
        assert 0.45 < found[f"{side}-Hippocampus"] / truth[f"volume_{side}-Hippocampus"] < 1.3
        assert 0.4 < found[f"{side}-Lateral-Ventricle"] / truth[f"volume_{side}-Lateral-Ventricle"] < 1.3
        assert found[f"{side}-Hippocampus"] > found[f"{side}-Amygdala"]
    for name, value in found.items():
        if name.startswith("Left-"):
            assert value == pytest.approx(found[name.replace("Left", "Right")], rel=0.6, abs=300), name


def test_numbers_for_quality_control_are_plausible(preprocessed):
    numbers = preprocessed.numbers
    assert 1000 < numbers["brain_ml"] < 2300
    assert numbers["brain_ml"] == pytest.approx(preprocessed.icv / 1000)
    assert numbers["grey_ml"] + numbers["white_ml"] < numbers["brain_ml"]
    assert 0.1 < numbers["grey_white_contrast"] < 0.5
    assert numbers["was_head"] == 0
    assert preprocessed.tool == "embedded"
    assert preprocessed.version.startswith("antspyx 0.")


def test_twice_the_same_to_the_bit(preprocessed, phantom_brain, settings):
    again = embedded.run(phantom_brain[0], "brain", settings)
    np.testing.assert_array_equal(again.brain, preprocessed.brain)
    assert again.features == preprocessed.features
    assert again.numbers == preprocessed.numbers


def test_a_brain_of_impossible_size_is_refused(phantom_brain, settings):
    image = phantom_brain[0]
    for factor in (0.55, 1.4):
        affine = image.affine @ np.diag([factor, factor, factor, 1.0])
        with pytest.raises(StudyError, match=r"brain mask of \d+ ml is not a brain's \(500 to 2500 ml\)"):
            embedded.run(
                nib.Nifti1Image(image.get_fdata(dtype=np.float32), affine), "brain", {**settings, "spacing_mm": 4}
            )


def test_volumes_sum_the_tissue_of_each_structure():
    codes = {name: (code, tissue) for code, (name, tissue) in feature_structures().items()}
    labels = np.zeros((4, 4, 4), int)
    labels[0], labels[1], labels[2] = (
        codes[name][0] for name in ("Left-Hippocampus", "Left-Lateral-Ventricle", "Left-Pallidum")
    )
    tissue = np.zeros((3, 4, 4, 4), np.float32)
    tissue[0], tissue[1], tissue[2] = 0.2, 0.5, 0.3
    found = embedded.regional_volumes(labels, tissue, 8.0)
    assert found["Left-Hippocampus"] == pytest.approx(16 * 8 * 0.5)  # grey
    assert found["Left-Lateral-Ventricle"] == pytest.approx(16 * 8 * 0.2)  # fluid
    assert found["Left-Pallidum"] == pytest.approx(16 * 8 * 1.0)  # any
    assert found["Right-Hippocampus"] == 0
