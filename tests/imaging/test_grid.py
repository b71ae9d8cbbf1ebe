"""The template grid: its shape, its world, and what counts as a volume at all."""

from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.imaging.grid import Grid, check_volume, resample
from workflow_scripts.lib.study.errors import StudyError


def test_one_millimetre_is_mni152_2009c():
    grid = Grid(1.0)
    assert grid.shape == (193, 229, 193)
    # the affine of mni_icbm152_t1_tal_nlin_asym_09c
    np.testing.assert_array_equal(grid.affine[:3, 3], [-96, -132, -78])
    np.testing.assert_array_equal(grid.affine[:3, :3], np.eye(3))


@given(st.sampled_from([1.0, 2.0, 2.5, 3.0, 4.0, 8.0]), st.sampled_from([0.0, 16.0]))
def test_every_grid_covers_the_template_in_ras_order(spacing, margin):
    grid = Grid(spacing, margin)
    assert nib.aff2axcodes(grid.affine) == ("R", "A", "S")
    first, last = grid.affine[:3, 3], (grid.affine @ [*(np.array(grid.shape) - 1), 1])[:3]
    np.testing.assert_allclose(first, np.array([-96, -132, -78]) - margin)
    end = np.array([96, 96, 114]) + margin
    assert np.all(last <= end + 1e-9)
    assert np.all(last > end - spacing)


def test_world_coordinates_are_those_of_the_affine():
    grid = Grid(8.0, margin=4.0)
    places = np.argwhere(np.ones(grid.shape, bool))
    expected = nib.affines.apply_affine(grid.affine, places)
    np.testing.assert_allclose(grid.world().reshape(-1, 3), expected)


def blob(affine, shape=(96, 110, 96), centre=(10.0, -20.0, 15.0)):
    """Give a ball of 30 mm whose place in the world does not depend on how it is stored."""
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    data = (np.linalg.norm(world - centre, axis=-1) < 30).astype(np.float32)
    return nib.Nifti1Image(data, affine)


def test_resampling_keeps_the_world_and_the_volume():
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [96, -130, -78]
    image = blob(affine)
    for spacing in (2.0, 4.0):
        grid = Grid(spacing)
        moved = resample(image, grid)
        centre = (grid.world() * moved[..., None]).sum((0, 1, 2)) / moved.sum()
        np.testing.assert_allclose(centre, [10, -20, 15], atol=0.05)
        np.testing.assert_allclose(moved.sum() * spacing**3, 4 / 3 * np.pi * 30**3, rtol=0.01)


def test_labels_stay_labels():
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-96, -130, -78]
    labels = nib.Nifti1Image((np.asarray(blob(affine).dataobj) * 1006).astype(np.int16), affine)
    moved = resample(labels, Grid(4.0), order=0)
    assert set(np.unique(moved)) == {0, 1006}
    assert np.issubdtype(moved.dtype, np.integer)


def volume(shape=(40, 40, 40), spacing=4.0, affine=None):
    data = np.random.default_rng(1).random(shape, np.float32)
    return nib.Nifti1Image(data, np.diag([spacing, spacing, spacing, 1.0]) if affine is None else affine)


def placed(affine):
    """Give a volume with an affine that nibabel itself would not write."""
    return SimpleNamespace(shape=(40, 40, 40), affine=affine, dataobj=np.random.default_rng(1).random((40, 40, 40)))


@pytest.mark.parametrize("shape", [(40, 40, 40), (40, 40, 40, 1)])
def test_a_volume_passes(shape):
    check_volume(volume(shape), "scan")


def test_thick_slices_pass():
    # 1 x 1 x 5 mm, 32 slices: 160 mm, though there are few
    check_volume(volume((200, 200, 32), affine=np.diag([1.0, 1.0, 5.0, 1.0])), "scan")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (volume((40, 40, 40, 2)), "one 3D volume, found shape 40x40x40x2"),
        (volume((40, 40, 1, 40)), "one 3D volume, found shape 40x40x1x40"),
        (volume((40, 40, 1)), "one 3D volume, found shape 40x40x1"),
        (volume((10, 40, 40)), "field of view of 40 mm is smaller than a brain"),
        (volume((200, 200, 12), affine=np.diag([1.0, 1.0, 5.0, 1.0])), "field of view of 60 mm"),
        (volume(spacing=9.0), r"voxels of 9\.0 mm are too coarse"),
        (placed(np.diag([4.0, 0.0, 4.0, 1.0])), "affine is not usable"),
        (placed(np.array([[4.0, 4, 0, 0], [0, 0, 0, 0], [0, 0, 4, 0], [0, 0, 0, 1]])), "affine is not usable"),
        (placed(np.diag([4.0, np.nan, 4.0, 1.0])), "affine is not usable"),
        (nib.Nifti1Image(np.full((40, 40, 40), 7.0), np.diag([4.0, 4, 4, 1])), "every voxel has the value 7"),
        (nib.Nifti1Image(np.full((40, 40, 40), np.nan), np.diag([4.0, 4, 4, 1])), "NaN or infinity"),
    ],
)
def test_what_is_no_scan_is_refused_with_the_reason(image, message):
    with pytest.raises(StudyError, match=message):
        check_volume(image, "scan")
