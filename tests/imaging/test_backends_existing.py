"""Subject folders are read as they are: statistics, and a brain in RAS with white matter at 110."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from tests.imaging.subject_folders import (
    AFFINE,
    ICV,
    SHAPE,
    VOLUMES,
    brain,
    ellipsoid,
    fastsurfer_folder,
    freesurfer_folder,
    save_mgz,
)
from workflow_scripts.lib.imaging.backends.existing import read_existing, white_level
from workflow_scripts.lib.study.errors import StudyError

MASK_MM3 = brain(100)[1].sum() * 64.0


def check_brain(result):
    assert result.brain.dtype == np.float32
    assert nib.aff2axcodes(result.affine) == ("R", "A", "S")
    assert (result.brain > 0).sum() * 64 == pytest.approx(MASK_MM3, rel=0.001)
    inner = result.brain[result.brain > 95]
    assert np.median(inner) == pytest.approx(110, abs=0.5)
    assert np.median(result.brain[(result.brain > 0) & (result.brain < 95)]) == pytest.approx(77, abs=1)
    # cut to the brain, which stays where it was in the world
    assert all(small < large for small, large in zip(result.brain.shape, sorted(SHAPE), strict=True))
    centre = nib.affines.apply_affine(result.affine, np.argwhere(result.brain > 0).mean(axis=0))
    np.testing.assert_allclose(centre, nib.affines.apply_affine(AFFINE, (np.array(SHAPE) - 1) / 2), atol=0.1)


def test_freesurfers_brain_and_statistics(tmp_path):
    result = read_existing(freesurfer_folder(tmp_path / "bert"), "freesurfer")
    check_brain(result)
    assert {name: result.features[name] for name in VOLUMES} == VOLUMES
    assert result.icv == ICV
    assert (result.tool, result.version) == ("FreeSurfer", "7.4.1")
    assert result.numbers["white_level"] == pytest.approx(104, abs=0.5)
    assert result.numbers["brain_ml"] == pytest.approx(MASK_MM3 / 1000, rel=0.001)
    assert result.numbers["mask_ml"] == result.numbers["brain_ml"]
    assert "icv_is_mask" not in result.numbers


def test_the_tools_own_volumes_of_brain_and_mask_stay(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert")
    path = folder / "stats" / "aseg.stats"
    measures = ["BrainSeg, BrainSegVol, Brain Segmentation Volume, 1100000.0", "Mask, MaskVol, Mask Volume, 1600000.0"]
    added = "".join(f"# Measure {measure}, mm^3\n" for measure in measures)
    path.write_text(path.read_text().replace("# NRows", added + "# NRows"))
    numbers = read_existing(folder, "freesurfer").numbers
    assert numbers["brain_segmented_ml"] == 1100
    assert numbers["mask_ml"] == 1600
    assert "brain_ml" not in numbers


@pytest.mark.parametrize("name", ["norm.mgz", "brain.mgz", "brainmask.mgz"])
@pytest.mark.parametrize("aseg", [True, False])
def test_any_of_freesurfers_brains_will_do_with_a_segmentation_or_without(tmp_path, name, aseg):
    check_brain(read_existing(freesurfer_folder(tmp_path / "bert", name, aseg=aseg), "freesurfer"))


def test_the_best_of_several_brains_is_taken(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert", "norm.mgz", white=104)
    save_mgz(brain(60)[0], folder / "mri" / "brain.mgz")
    assert read_existing(folder, "freesurfer").numbers["white_level"] == pytest.approx(104, abs=0.5)


def test_voxels_that_a_person_erased_are_outside(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert", None)
    data, mask, _ = brain(110)
    data[mask & (np.arange(SHAPE[2]) > 35)] = 1  # as FreeSurfer's editor writes it
    save_mgz(data, folder / "mri" / "brainmask.mgz")
    result = read_existing(folder, "freesurfer")
    kept = (mask & (np.arange(SHAPE[2]) <= 35)).sum()
    assert (result.brain > 0).sum() == pytest.approx(kept, rel=0.001)


def test_statistics_without_images_are_features_without_a_brain(tmp_path):
    result = read_existing(freesurfer_folder(tmp_path / "bert", None, aseg=False), "freesurfer")
    assert result.brain is None
    assert result.affine is None
    assert result.icv == ICV
    assert result.features["Left-Hippocampus"] == 4100.5
    fast = fastsurfer_folder(tmp_path / "fast")
    shutil.rmtree(fast / "mri")
    result = read_existing(fast, "fastsurfer")
    assert result.brain is None
    assert result.icv is None  # neither an estimate nor a mask
    assert result.features["Right-Hippocampus"] == 4200.5


def test_fastsurfers_brain_is_its_head_inside_its_mask(tmp_path):
    result = read_existing(fastsurfer_folder(tmp_path / "fast"), "fastsurfer")
    check_brain(result)
    assert result.numbers["white_level"] == pytest.approx(180.5, abs=0.6)
    assert (result.tool, result.version) == ("FastSurfer", "2.3.0")
    # segmentation alone estimates no intracranial volume
    assert result.icv == pytest.approx(MASK_MM3)
    assert result.numbers["icv_is_mask"] == 1


@pytest.mark.parametrize(("gone", "there"), [("orig_nu.mgz", "mask.mgz"), ("mask.mgz", "orig_nu.mgz")])
def test_half_a_brain_of_fastsurfer_is_refused_by_name(tmp_path, gone, there):
    folder = fastsurfer_folder(tmp_path / "fast")
    (folder / "mri" / gone).unlink()
    with pytest.raises(StudyError, match=f"mri has {there} but no {gone}"):
        read_existing(folder, "fastsurfer")


def test_a_mask_of_another_run_is_refused(tmp_path):
    folder = fastsurfer_folder(tmp_path / "fast")
    nib.save(nib.MGHImage(np.ones((40, 40, 40), np.uint8), AFFINE), folder / "mri" / "mask.mgz")
    with pytest.raises(StudyError, match=r"orig_nu\.mgz has 52x56x48 voxels and mask\.mgz 40x40x40"):
        read_existing(folder, "fastsurfer")


def test_a_segmentation_on_another_grid_is_not_used(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert")
    nib.save(nib.MGHImage(np.full((40, 40, 40), 2, np.uint8), AFFINE), folder / "mri" / "aseg.mgz")
    assert read_existing(folder, "freesurfer").numbers["white_level"] == pytest.approx(104, abs=3)


@pytest.mark.parametrize("mark", ["IsRunning.lh+rh", "recon-all.error"])
def test_unfinished_runs_are_refused(tmp_path, mark):
    folder = freesurfer_folder(tmp_path / "bert")
    (folder / "scripts").mkdir()
    (folder / "scripts" / mark).touch()
    with pytest.raises(StudyError, match=f"scripts/{mark.replace('+', '[+]')}"):
        read_existing(folder, "freesurfer")


def test_folders_without_statistics_and_missing_ones_are_refused(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert")
    shutil.rmtree(folder / "stats")
    with pytest.raises(StudyError, match="has no folder stats"):
        read_existing(folder, "freesurfer")
    with pytest.raises(StudyError, match="no such folder"):
        read_existing(tmp_path / "none", "freesurfer")


def test_a_brain_of_impossible_size_is_refused(tmp_path):
    folder = freesurfer_folder(tmp_path / "bert")
    save_mgz(brain(100)[0] * ellipsoid(0.4), folder / "mri" / "norm.mgz")
    with pytest.raises(StudyError, match="is not a brain's"):
        read_existing(folder, "freesurfer")


def test_the_level_of_white_matter_is_the_brighter_peak():
    rng = np.random.default_rng(4)
    data = np.concatenate([rng.normal(*part) for part in ((40, 8, 3000), (300, 25, 40000), (450, 20, 30000))])
    data = data[:72900].reshape(27, 27, 100)
    inside = data > 0
    assert white_level(data, inside, None) == pytest.approx(450, rel=0.02)
    # and of a segmentation, its median
    assert white_level(data, inside, (data > 440) & (data < 500)) == pytest.approx(455, rel=0.02)
    with pytest.raises(StudyError, match="no voxel of the brain is above zero"):
        white_level(np.zeros((3, 3, 3)), np.ones((3, 3, 3), bool), None)
