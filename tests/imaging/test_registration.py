"""Similarity registration: known transforms are found again, and twice the same."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, matrix_of, to_ants
from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.phantom.render import draw_pose


def moved_template(pose, spacing=3.0):
    """Put the template into a scanner: data and affine of a scan whose pose is known."""
    t1, _, _ = template(spacing)
    grid = Grid(spacing)
    shape, affine = (75, 88, 75), np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-111.0, -148.0, -93.0]
    to_template = np.linalg.inv(grid.affine) @ np.linalg.inv(pose) @ affine
    return ndimage.affine_transform(t1, to_template, output_shape=shape, order=1) * 110, affine


@pytest.mark.parametrize(("seed", "scale"), [(1, 0.93), (2, 1.0), (3, 1.08)])
def test_a_known_similarity_is_found_within_a_millimetre(seed, scale):
    pose = draw_pose(np.random.default_rng(seed), scale)
    brain, affine = moved_template(pose)
    found = registration.estimate(brain, affine, 4.0)
    error = registration.distance(found, pose)
    assert registration.distance(np.eye(4), pose).mean() > 5  # there was something to find
    assert error.mean() < 0.5
    assert error.max() < 1.0
    assert registration.scale_of(found) == pytest.approx(scale, rel=0.01)
    linear = found[:3, :3] / registration.scale_of(found)
    np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-4)  # 7 degrees of freedom: no shear
    volume = registration.apply(brain, affine, found, Grid(4.0))
    assert registration.overlap(volume, 4.0) > 0.97


def test_the_estimate_is_the_same_to_the_bit_twice():
    brain, affine = moved_template(draw_pose(np.random.default_rng(4), 1.0))
    first = registration.estimate(brain, affine, 4.0)
    other = registration.estimate(*moved_template(draw_pose(np.random.default_rng(5), 1.05)), 4.0)
    assert not np.array_equal(first, other)
    # neither what ran before nor the storage of the array may matter
    np.testing.assert_array_equal(registration.estimate(np.asfortranarray(brain), affine, 4.0), first)


def test_a_transform_file_of_itk_is_read_into_ras(tmp_path):
    transform = ants.create_ants_transform(transform_type="AffineTransform", dimension=3)
    random = np.random.default_rng(1)
    transform.set_parameters([*np.eye(3).ravel() + random.normal(0, 0.1, 9), 3.0, -4.0, 5.0])
    transform.set_fixed_parameters([10.0, 20.0, -30.0])
    ants.write_transform(transform, str(tmp_path / "t.mat"))
    matrix = matrix_of(str(tmp_path / "t.mat"))
    for point in random.normal(0, 50, (5, 3)):
        lps = point * [-1, -1, 1]
        expected = np.array(transform.apply_to_point(lps.tolist())) * [-1, -1, 1]
        np.testing.assert_allclose((matrix @ [*point, 1])[:3], expected, atol=1e-5)


def test_a_volume_stays_in_its_world_inside_ants():
    affine = Grid(4.0).affine
    affine[:3, :3] = draw_pose(np.random.default_rng(2), 1.0)[:3, :3] @ affine[:3, :3]
    data = np.random.default_rng(3).random((9, 8, 7)).astype(np.float32)
    image = to_ants(data, affine)
    np.testing.assert_array_equal(image.numpy(), data)
    place = ants.transform_index_to_physical_point(image, [2, 3, 4])
    np.testing.assert_allclose(np.array(place) * [-1, -1, 1], (affine @ [2, 3, 4, 1])[:3], atol=1e-4)


def test_the_workspace_is_gone_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Workspace() as prefix:
        open(f"{prefix}file.mat", "w").close()
        assert len(list(tmp_path.rglob("*.mat"))) == 1
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.8, 1.25))
def test_distance_is_that_of_the_moved_brain(seed, scale):
    pose = draw_pose(np.random.default_rng(seed), scale)
    assert registration.distance(pose, pose).max() == 0
    shifted = pose.copy()
    shifted[:3, 3] += [3, 0, 4]
    np.testing.assert_allclose(registration.distance(pose, shifted), 5, atol=1e-9)
    assert registration.scale_of(pose) == pytest.approx(scale)


def test_resampling_keeps_intensity_and_is_never_negative():
    t1, mask, _ = template(4.0)
    same = registration.apply(t1, Grid(4.0).affine, np.eye(4), Grid(4.0))
    np.testing.assert_allclose(same, t1, atol=1e-5)
    assert registration.overlap(same, 4.0) > 0.98
    rough = registration.apply(t1 - 0.2, Grid(4.0).affine, draw_pose(np.random.default_rng(1), 1.0), Grid(8.0))
    assert rough.min() == 0
    assert rough.dtype == np.float32
    assert mask.any()


def test_a_brain_outside_the_grid_does_not_overlap():
    assert registration.overlap(np.zeros(Grid(4.0).shape, np.float32), 4.0) == 0
    t1, _, _ = template(4.0)
    away = np.eye(4)
    away[0, 3] = 60
    assert 0 < registration.overlap(registration.apply(t1, Grid(4.0).affine, away, Grid(4.0)), 4.0) < 0.7


def test_the_picture_shows_three_slices_with_the_outline():
    t1, _, _ = template(4.0)
    picture = registration.picture(t1, 4.0, height=80)
    assert picture.mode == "RGB"
    assert picture.height == 80
    pixels = np.asarray(picture)
    outline = (pixels == (230, 159, 0)).all(axis=-1)
    thirds = np.array_split(outline, 3, axis=1)
    assert all(part.sum() > 50 for part in thirds)
    grey = pixels[~outline]
    assert (grey[:, 0] == grey[:, 2]).all()
    assert grey.max() > 200
    empty = registration.picture(np.zeros_like(t1), 4.0, height=80)
    assert empty.size == picture.size


def test_affine_of_a_scan_stored_the_other_way_gives_the_same_estimate():
    pose = draw_pose(np.random.default_rng(6), 0.97)
    brain, affine = moved_template(pose)
    image = nib.Nifti1Image(brain, affine)
    flipped = image.as_reoriented([[0, -1], [1, 1], [2, 1]])
    found = registration.estimate(flipped.get_fdata(dtype=np.float32), flipped.affine, 4.0)
    assert registration.distance(found, pose).max() < 1.0
