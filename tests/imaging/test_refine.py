"""The metric against its definition, the parameters of a transform, and the optimum of a known pose."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.imaging.test_registration import moved_template
from workflow_scripts.lib.imaging import packaged, registration
from workflow_scripts.lib.imaging.refine import BINS, moved, mutual_information, refine, sample_template
from workflow_scripts.lib.phantom.render import draw_pose


def test_samples_that_know_nothing_of_each_other_share_nothing():
    random = np.random.default_rng(1)
    fixed, moving = random.integers(0, BINS, 400_000), 1 + random.random(400_000) * (BINS - 4)
    # with n samples and b bins the estimate is (b - 1)^2 / 2n too high
    assert 0 < mutual_information(fixed, moving) < 2 * (BINS - 1) ** 2 / 800_000


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_sample_shares_all_with_itself(count):
    fixed = np.arange(60_000) % count
    # five bins apart, so that windows do not touch
    expected = np.log(count)
    assert mutual_information(fixed, 1.0 + 5 * fixed) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.7, 0.7))
def test_the_metric_of_two_gaussians_is_near_its_formula(correlation):
    random = np.random.default_rng(2)
    one = random.normal(size=300_000)
    two = correlation * one + np.sqrt(1 - correlation**2) * random.normal(size=300_000)
    bins = np.clip((one + 4) / 8 * BINS, 0, BINS - 1).astype(np.int64)
    places = 1 + np.clip((two + 4) / 8, 0, 1) * (BINS - 4)
    expected = -0.5 * np.log(1 - correlation**2)
    assert mutual_information(bins, places) == pytest.approx(expected, abs=0.05 * expected + 0.01)


poses = st.builds(
    lambda seed, scale: draw_pose(np.random.default_rng(seed), scale), st.integers(0, 99), st.floats(0.8, 1.2)
)


@given(poses, st.sampled_from([7, 9]))
def test_no_change_gives_the_start_back(pose, parameters):
    np.testing.assert_allclose(moved(np.zeros(parameters), pose, np.array([1.0, -20, 9])), pose, atol=1e-9)


@given(poses, st.lists(st.floats(-5, 5), min_size=9, max_size=9))
def test_parameters_turn_shift_and_scale_without_skew(pose, values):
    centre = np.array([2.0, -18.0, 7.0])
    change = np.array(values)
    matrix = moved(change, pose, centre)
    scales = np.linalg.norm(matrix[:3, :3], axis=0)
    np.testing.assert_allclose(scales, registration.scale_of(pose) * np.exp(change[6:] / 60), rtol=1e-9)
    turn = matrix[:3, :3] / scales
    np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-9)
    relative = Rotation.from_matrix(turn @ (pose[:3, :3] / registration.scale_of(pose)).T)
    assert relative.magnitude() == pytest.approx(np.linalg.norm(change[:3]) / 60, abs=1e-6)
    before, after = (nib.affines.apply_affine(transform, centre) for transform in (pose, matrix))
    np.testing.assert_allclose(after - before, change[3:6], atol=1e-9)
    same = moved(np.append(change[:6], change[6]), pose, centre)
    np.testing.assert_allclose(same, moved(np.append(change[:6], [change[6]] * 3), pose, centre), atol=1e-12)


@pytest.mark.parametrize("spacing", [2.0, 4.0])
def test_the_lattice_fills_the_box_around_the_template_brain(spacing):
    points, values = sample_template(spacing, 1.0)
    image = packaged.mni_map("t1")
    brain = nib.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 31))
    volume = np.prod(np.ptp(brain, axis=0) + 8)
    assert len(points) * spacing**3 == pytest.approx(volume, rel=0.02)
    assert points.min(axis=0) == pytest.approx(brain.min(axis=0) - 4, abs=spacing)
    assert set(np.unique(values)) == set(range(BINS))
    # never in step with voxels: places between whole mm are even
    parts = np.histogram(points % 1, bins=10, range=(0, 1))[0] / points.size
    np.testing.assert_allclose(parts, 0.1, atol=0.01)
    world = nib.affines.apply_affine(np.linalg.inv(image.affine), points[values > 20]).round().astype(int)
    assert (np.asarray(image.dataobj)[tuple(world.T)] > 100).mean() > 0.95


@pytest.mark.parametrize("parameters", [7, 9])
def test_a_start_that_is_off_comes_to_the_pose(parameters):
    pose = draw_pose(np.random.default_rng(7), 0.96)
    brain, affine = moved_template(pose)
    start = moved(np.array([2.0, -3, 2, 3, -2, 4, 3]), pose, np.zeros(3))
    found = refine(brain, affine, start, 4.0, 2.0, parameters)
    assert registration.distance(start, pose).mean() > 4
    assert registration.distance(found, pose).max() < 1.0  # a quarter of the lattice
