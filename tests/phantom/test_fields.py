"""Velocity fields: the divergence that was asked for, exponentials that invert, fields without a pose."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from workflow_scripts.lib.phantom import fields

SHAPE = (28, 30, 26)


def smooth(seed, sigma=3.0, peak=0.3):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SHAPE), sigma)
    return (noise / np.abs(noise).max() * peak).astype(np.float32)


def divergence_of(velocity):
    return sum(np.gradient(velocity[axis].numpy(), axis=axis) for axis in range(3))


def jacobian_of(displacement):
    """Determinant of the Jacobian of x + u(x)."""
    rows = [np.stack(np.gradient(displacement[axis].numpy())) for axis in range(3)]
    matrix = np.moveaxis(np.stack(rows), (0, 1), (-2, -1)) + np.eye(3)
    return np.linalg.det(matrix)


inner = tuple(slice(3, -3) for _ in SHAPE)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**20))
def test_the_divergence_is_the_one_asked_for(seed):
    target = smooth(seed)
    velocity = fields.velocity_for_divergence(target)
    assert velocity.dtype == torch.float32
    assert velocity.shape == (3, *SHAPE)
    found = divergence_of(velocity)
    expected = target - target.mean()
    # central differences of central differences see a little less than the compact Laplacian that was solved
    assert np.corrcoef(found[inner].ravel(), expected[inner].ravel())[0, 1] > 0.995
    np.testing.assert_allclose(found[inner], expected[inner], atol=0.12 * np.abs(expected).max())


def test_the_velocity_has_no_rotation_and_is_linear_in_the_target():
    one, two = smooth(1), smooth(2)
    velocity = fields.velocity_for_divergence(one)
    gradients = [np.gradient(velocity[axis].numpy()) for axis in range(3)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        np.testing.assert_allclose(gradients[i][j][inner], gradients[j][i][inner], atol=1e-5)
    both = fields.velocity_for_divergence(2 * one - two)
    np.testing.assert_allclose(both, 2 * velocity - fields.velocity_for_divergence(two), atol=1e-5)


def test_a_constant_change_moves_nothing():
    np.testing.assert_allclose(fields.velocity_for_divergence(np.full(SHAPE, 0.2)), 0, atol=1e-7)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**20), st.floats(0.5, 2.5))
def test_the_exponential_of_the_opposite_velocity_is_the_inverse(seed, size):
    velocity = fields.random_velocity(SHAPE, 1.0, [(4.0, size)], np.random.default_rng(seed))
    forwards, back = fields.exponential(velocity), fields.exponential(-velocity)
    points = fields.identity(SHAPE)
    there = points + forwards
    again = there + fields.sample(back, there)
    far = tuple(slice(8, -8) for _ in SHAPE)
    error = (again - points)[(slice(None), *far)].norm(dim=0)
    assert forwards.norm(dim=0).max() > size
    assert error.mean() < 0.05 * size
    assert error.max() < 0.25 * size


def test_the_exponential_folds_nothing_where_the_velocity_itself_would():
    velocity = fields.random_velocity(SHAPE, 1.0, [(3.0, 3.0)], np.random.default_rng(1))
    assert jacobian_of(velocity).min() < 0
    assert jacobian_of(fields.exponential(velocity))[inner].min() > 0


def test_small_velocities_change_volume_by_the_exponential_of_their_divergence():
    target = smooth(3, sigma=4.0, peak=0.2)
    displacement = fields.exponential(fields.velocity_for_divergence(target))
    log_change = np.log(jacobian_of(displacement))[inner]
    expected = (target - target.mean())[inner]
    assert np.polyfit(expected.ravel(), log_change.ravel(), 1)[0] == pytest.approx(1, abs=0.1)


def test_a_constant_velocity_is_a_shift():
    velocity = torch.zeros(3, *SHAPE)
    velocity[1] = 1.5
    np.testing.assert_allclose(fields.exponential(velocity), velocity, atol=1e-5)


def similarity(points, shift, turn, scale):
    x, y, z = points
    turned = torch.stack([turn[1] * z - turn[2] * y, turn[2] * x - turn[0] * z, turn[0] * y - turn[1] * x])
    return torch.tensor(shift).view(3, 1, 1, 1) + turned + scale * points


weights = st.floats(-0.1, 0.1)
triples = st.tuples(weights, weights, weights)


@settings(max_examples=15, deadline=None)
@given(triples, triples, weights, st.integers(0, 2**20))
def test_no_shift_rotation_or_scale_is_left(shift, turn, scale, seed):
    mask = np.zeros(SHAPE)
    mask[6:22, 8:24, 5:20] = 1
    pose = similarity(fields.identity(SHAPE), shift, turn, scale)
    np.testing.assert_allclose(fields.without_pose(pose, mask), 0, atol=1e-4)
    field = fields.random_velocity(SHAPE, 1.0, [(4.0, 1.0)], np.random.default_rng(seed))
    clean = fields.without_pose(field, mask)
    # what a pose adds is taken away again, what is anatomy stays, and twice is as good as once
    np.testing.assert_allclose(fields.without_pose(field + pose, mask), clean, atol=1e-3)
    np.testing.assert_allclose(fields.without_pose(clean, mask), clean, atol=1e-4)
    inside = torch.from_numpy(mask > 0)
    np.testing.assert_allclose(clean[:, inside].mean(dim=1), 0, atol=1e-4)
    assert clean.abs().max() > 0.1


@pytest.mark.parametrize(("spacing", "sigma", "rms"), [(1.0, 4.0, 0.8), (2.0, 4.0, 0.8), (2.0, 12.0, 1.3)])
def test_random_velocities_have_the_size_and_smoothness_asked_for(spacing, sigma, rms):
    shape = (60, 64, 58)
    field = fields.random_velocity(shape, spacing, [(sigma, rms)], np.random.default_rng(3))
    assert field.shape == (3, *shape)
    assert float(field.std()) * spacing == pytest.approx(rms, rel=0.35)
    values = field[0].numpy()
    lag = round(sigma / spacing)
    near = np.corrcoef(values[:-lag].ravel(), values[lag:].ravel())[0, 1]
    far = np.corrcoef(values[: -6 * lag].ravel(), values[6 * lag :].ravel())[0, 1] if 6 * lag < 50 else 0
    assert near > 0.5  # exp(-1/4) of a Gaussian kernel, less what the coarse grid smooths away
    assert abs(far) < 0.45


def test_random_velocities_belong_to_their_generator():
    one, same, other = (
        fields.random_velocity(SHAPE, 2.0, [(8.0, 1.0), (4.0, 0.5)], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, atol=0.1)


def test_sampling_reads_voxels_and_between_them():
    volume = torch.arange(4 * 5 * 6, dtype=torch.float32).reshape(1, 4, 5, 6)
    points = torch.tensor([[2.0, 1.5, -3.0], [3.0, 1.0, 1.0], [4.0, 1.0, 1.0]]).reshape(3, 3, 1, 1)
    found = fields.sample(volume, points)[0, :, 0, 0]
    middle = (volume[0, 1, 1, 1] + volume[0, 2, 1, 1]) / 2
    np.testing.assert_allclose(found, [volume[0, 2, 3, 4], middle, volume[0, 0, 1, 1]], rtol=1e-5)
    assert fields.sample(volume, points, padding="zeros")[0, 2, 0, 0] == 0
