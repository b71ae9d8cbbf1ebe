"""Similarity registration: known transforms are found again, and twice the same."""

import hashlib
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, matrix_of, to_ants
from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.phantom.render import draw_pose
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]


def moved_template(pose, spacing=3.0):
    """Put the template into a scanner: data and affine of a scan whose pose is known."""
    t1, _, _ = template(spacing)
    grid = Grid(spacing)
    shape, affine = (75, 88, 75), np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-111.0, -148.0, -93.0]
    to_template = np.linalg.inv(grid.affine) @ np.linalg.inv(pose) @ affine
    return ndimage.affine_transform(t1, to_template, output_shape=shape, order=1) * 110, affine


SCALES = np.array([0.9, 1.0, 1.08])


@pytest.mark.parametrize("seed", [1, 2])
def test_three_known_scales_are_found_along_the_axes_of_the_template(seed):
    pose = draw_pose(np.random.default_rng(seed), 1.0)
    pose[:3, :3] = pose[:3, :3] * SCALES
    brain, affine = moved_template(pose)
    found = registration.estimate(brain, affine, 4.0, parameters=9)
    assert registration.distance(found, pose).max() < 1.0
    assert registration.distance(registration.estimate(brain, affine, 4.0), pose).max() > 3
    numbers = registration.numbers(found)
    np.testing.assert_allclose([numbers[f"scale_{axis}"] for axis in "xyz"], SCALES, rtol=0.015)
    assert numbers["scale"] == pytest.approx(np.cbrt(SCALES.prod()), rel=0.01)
    # rotation x scales has no skew: the columns are at right angles
    turn = found[:3, :3] / np.linalg.norm(found[:3, :3], axis=0)
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-6)
    volume = registration.apply(brain, affine, found, Grid(4.0))
    assert registration.overlap(volume, 4.0) > 0.97


@pytest.mark.parametrize("parameters", [6, 12, "7"])
def test_other_numbers_of_parameters_are_refused(parameters):
    brain, affine = moved_template(np.eye(4))
    with pytest.raises(StudyError, match=f"grid: parameters: found {parameters}, expected 7 or 9"):
        registration.estimate(brain, affine, 4.0, parameters)


PROCESS = """
import hashlib, sys
import numpy as np
from tests.imaging.test_registration import moved_template
from workflow_scripts.lib.imaging import registration
from workflow_scripts.lib.phantom.render import draw_pose
brain, affine = moved_template(draw_pose(np.random.default_rng(4), 1.0))
found = registration.estimate(brain, affine, 4.0, int(sys.argv[1]))
print(hashlib.sha256(found.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("parameters", [7, 9])
def test_two_processes_give_the_same_bits(parameters):
    command = [sys.executable, "-c", PROCESS, str(parameters)]
    other = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.split()[-1]
    brain, affine = moved_template(draw_pose(np.random.default_rng(4), 1.0))
    first, second = (registration.estimate(brain, affine, 4.0, parameters) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert hashlib.sha256(first.tobytes()).hexdigest() == other


def test_the_numbers_of_a_transform_say_it_all():
    pose = draw_pose(np.random.default_rng(3), 0.9)
    numbers = registration.numbers(pose)
    assert numbers["scale"] == pytest.approx(0.9)
    assert numbers["scale_y"] == pytest.approx(0.9)
    matrix = [[numbers[f"transform_{i}{j}"] for j in range(4)] for i in range(3)]
    np.testing.assert_array_equal(matrix, pose[:3])
    turn = Rotation.from_matrix(pose[:3, :3] / 0.9)
    assert numbers["rotation_degrees"] == pytest.approx(np.rad2deg(turn.magnitude()))
    assert all(type(value) is float for value in numbers.values())


@pytest.mark.parametrize(("spacing", "kept"), [(2.0, True), (3.0, True), (4.0, False), (6.0, False)])
def test_a_brain_finer_than_the_grid_is_averaged_first(spacing, kept):
    brain, affine = moved_template(np.eye(4))
    data, moved = registration.coarsen(brain, affine, spacing)
    assert (data is brain) == kept
    if not kept:
        np.testing.assert_allclose(nib.affines.voxel_sizes(moved), spacing)
        assert data.sum() * spacing**3 == pytest.approx(brain.sum() * 27, rel=0.01)


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


def test_affine_of_a_scan_stored_the_other_way_gives_the_same_estimate():
    pose = draw_pose(np.random.default_rng(6), 0.97)
    brain, affine = moved_template(pose)
    image = nib.Nifti1Image(brain, affine)
    flipped = image.as_reoriented([[0, -1], [1, 1], [2, 1]])
    found = registration.estimate(flipped.get_fdata(dtype=np.float32), flipped.affine, 4.0)
    assert registration.distance(found, pose).max() < 1.0
