import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from workflow_scripts.lib.pretrain import augment as module
from workflow_scripts.lib.pretrain.augment import Augmentation, augment
from workflow_scripts.lib.study.errors import StudyError

FULL = Augmentation(
    probability=0.7, rotation=15, scaling=0.1, crop=0.8, flip=0.5, contrast=1.5, bias=0.3, blur=0.8, noise=0.1
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def patches():
    smooth = np.random.default_rng(0).random((6, 12, 15, 10))
    return torch.from_numpy(gaussian_filter(smooth, (0, 1, 1, 1)))[:, None].float()


def always(**strengths):
    return Augmentation(probability=1.0, **strengths)


def test_the_default_changes_nothing(patches):
    assert torch.equal(augment(patches, Augmentation(), generator()), patches)


def test_probability_zero_changes_nothing_but_crop_and_flip(patches):
    settings = Augmentation(probability=0, rotation=20, scaling=0.2, contrast=2, bias=0.5, blur=1, noise=0.3)
    torch.testing.assert_close(augment(patches, settings, generator()), patches, rtol=1e-4, atol=1e-5)


def test_same_generator_same_view(patches):
    one, same, other = (augment(patches, FULL, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.isfinite(one).all()


def test_samples_draw_their_own_parameters(patches):
    equal = patches[:1].expand(6, -1, -1, -1, -1)
    for name in ("rotation", "scaling", "bias", "blur", "noise"):
        views = augment(equal, always(**{name: 0.5 if name != "rotation" else 20}), generator())
        distances = torch.pdist(views.flatten(1))
        # blurs below a third of a voxel are all the same: no blur
        assert (distances > 0).float().mean() > 0.7, name


def test_crop_makes_views_smaller_and_never_reads_outside(patches):
    ramp = torch.arange(12.0)[None, None, :, None, None].expand(200, 1, 12, 15, 10)
    views = augment(ramp, Augmentation(crop=0.5), generator())
    assert views.shape == (200, 1, 6, 8, 5)
    # a plain crop: neighbours stay one voxel apart, and both ends of the axis are reached
    torch.testing.assert_close(views.diff(dim=2), torch.ones(200, 1, 5, 8, 5), rtol=1e-4, atol=1e-4)
    assert -1e-4 < views.min() < 0.3
    assert 10.7 < views.max() < 11 + 1e-4


def test_flip_is_left_right(patches):
    torch.testing.assert_close(augment(patches, Augmentation(flip=1), generator()), patches.flip(2))
    views = augment(patches[:1].expand(400, -1, -1, -1, -1), Augmentation(flip=0.25), generator())
    flipped = torch.isclose(views, patches[:1].flip(2), atol=1e-5).flatten(1).all(dim=1)
    assert 0.15 < flipped.float().mean() < 0.35


def test_rotations_are_rotations():
    angles = torch.rand(50, 3, generator=generator(), dtype=torch.float64) * 6
    matrices = module.rotations(angles)
    identity = torch.eye(3, dtype=torch.float64).expand(50, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, identity)
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(50, dtype=torch.float64))


def test_rotation_is_rigid_in_voxels_of_uneven_patches():
    # a ball in the middle looks the same from all sides; turned in a grid's own coordinates it would not
    axes = [torch.arange(n) - (n - 1) / 2 for n in (16, 30, 22)]
    ball = torch.exp(-sum(x.square() for x in torch.meshgrid(*axes, indexing="ij")) / 18)[None, None]
    views = augment(ball.expand(8, -1, -1, -1, -1), always(rotation=60), generator())
    assert (views - ball).abs().max() < 0.06  # of linear interpolation; an ellipsoid would differ by 0.5
    rod = torch.zeros(1, 1, 16, 30, 22)
    rod[..., 5:25, :] = 1
    assert (augment(rod, always(rotation=60), generator()) - rod).abs().max() > 0.5


def test_scaling_changes_size_only():
    axes = [torch.arange(n) - (n - 1) / 2 for n in (20, 26, 22)]
    ball = torch.exp(-sum(x.square() for x in torch.meshgrid(*axes, indexing="ij")) / 18)[None, None]
    views = augment(ball.expand(60, -1, -1, -1, -1), always(scaling=0.2), generator())
    volumes = (views.sum(dim=(1, 2, 3, 4)) / ball.sum()).pow(1 / 3)
    assert 1 / 1.2 - 0.02 < volumes.min() < 0.9
    assert 1.1 < volumes.max() < 1 / 0.8 + 0.02


def test_contrast_keeps_both_ends_and_the_order(patches):
    views = augment(patches, always(contrast=2), generator())
    torch.testing.assert_close(views.amax(dim=(1, 2, 3, 4)), patches.amax(dim=(1, 2, 3, 4)))
    for view, patch in zip(views.flatten(1), patches.flatten(1), strict=True):
        assert view[patch.argsort()].diff().min() > -1e-6
    assert not torch.allclose(views, patches, atol=1e-2)
    assert augment(torch.zeros_like(patches), always(contrast=2), generator()).abs().max() == 0


def test_bias_is_a_smooth_positive_factor():
    flat = torch.ones(40, 1, 12, 15, 10)
    fields = augment(flat, always(bias=0.2), generator())
    assert (fields > 0).all()
    logs = fields.log()
    assert logs[:, :, 0, 0, 0].std().item() == pytest.approx(0.2, abs=0.06)
    assert logs.diff(dim=2).abs().max() < 0.4


@pytest.mark.parametrize("sigma", [0.3, 0.8])
def test_blur_is_that_of_scipy(patches, sigma):
    radius = max(1, math.ceil(2.5 * 0.8))
    expected = [gaussian_filter(patch[0].numpy(), sigma, mode="nearest", radius=radius) for patch in patches]
    found = module._blur(patches, torch.full((6,), sigma), 0.8)
    np.testing.assert_allclose(found[:, 0].numpy(), np.stack(expected), rtol=1e-4, atol=1e-5)


def test_noise_has_the_level_that_was_asked_for(patches):
    views = augment(patches[:1].expand(300, -1, -1, -1, -1), always(noise=0.5), generator())
    levels = (views - patches[:1]).flatten(1).std(dim=1) / patches[0].std()
    # uniform between 0 and 0.5
    assert levels.mean().item() == pytest.approx(0.25, abs=0.03)
    assert levels.max() < 0.55


def test_half_of_the_samples_are_spared(patches):
    views = augment(patches[:1].expand(400, -1, -1, -1, -1), Augmentation(probability=0.5, noise=0.5), generator())
    spared = (views == patches[:1]).flatten(1).all(dim=1).float().mean()
    assert 0.4 < spared < 0.6


@pytest.mark.parametrize("wrong", [{"crop": 0}, {"crop": 1.1}, {"contrast": 0.5}, {"scaling": 1}])
def test_impossible_strengths_are_refused(wrong):
    with pytest.raises(StudyError, match="augmentation"):
        Augmentation(**wrong)
