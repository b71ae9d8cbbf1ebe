"""Properties of the batched operations; what they compute is in test_augment_references.py."""

import math

import pytest
import torch

from workflow_scripts.lib.pretrain import transforms

SHAPES = [(12, 15, 10), (7, 9, 5), (1, 6, 5), (2, 1, 3), (1, 1, 1)]


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def patches():
    return 100 * random(6, 1, 12, 15, 10)


def middle(shape, samples):
    return ((torch.tensor(shape) - 1) / 2).expand(samples, 3)


# every operation with parameters that change nothing
UNCHANGED = {
    "resample": lambda x: transforms.resample(
        x, torch.eye(3).expand(len(x), 3, 3), middle(x.shape[2:], len(x)), tuple(x.shape[2:])
    ),
    "crop": lambda x: transforms.crop(
        x, torch.zeros(len(x), 3), tuple(x.shape[2:]), torch.zeros(len(x), dtype=torch.bool)
    ),
    "contrast": lambda x: transforms.contrast_(x.clone(), torch.ones(len(x))),
    "bias": lambda x: transforms.bias_(x.clone(), torch.zeros(len(x), 4, 4, 4)),
    "blur": lambda x: transforms.blur(x, torch.zeros(len(x)), 2.0),
    "spike": lambda x: transforms.spike_(x.clone(), random(len(x), 3), random(len(x)), torch.zeros(len(x))),
    "noise": lambda x: transforms.noise_(x.clone(), torch.randn(x.shape), torch.zeros(len(x))),
}
# and with parameters that change much
CHANGED = {
    "resample": lambda x: transforms.resample(
        x,
        transforms.rotations(0.5 * random(len(x), 3).to(x)),
        middle(x.shape[2:], len(x)).to(x),
        tuple(x.shape[2:]),
    ),
    "contrast": lambda x: transforms.contrast_(x.clone(), 0.5 + random(len(x)).to(x)),
    "bias": lambda x: transforms.bias_(x.clone(), random(len(x), 4, 4, 4).to(x)),
    "blur": lambda x: transforms.blur(x, 2 * random(len(x)).to(x), 2.0),
    "spike": lambda x: transforms.spike_(
        x.clone(), random(len(x), 3).to(x) / 2, random(len(x)).to(x), 0.1 + x[:, 0, 0, 0, 0]
    ),
    "noise": lambda x: transforms.noise_(x.clone(), random(*x.shape, seed=1).to(x), 0.1 + random(len(x)).to(x)),
    "remap": lambda x: transforms.remap(
        x,
        torch.tensor([[40.0, 70.0]] * len(x)).to(x),
        100 * random(len(x), 3).to(x),
        random(len(x), 3).to(x),
        random(*x.shape, seed=2).to(x),
    ),
}


@pytest.mark.parametrize("name", UNCHANGED)
@pytest.mark.parametrize("shape", SHAPES)
def test_neutral_parameters_change_nothing(name, shape):
    patches = 100 * random(3, 1, *shape)
    # positions are rounded to float32
    tolerance = 3e-3 if name == "resample" else 1e-4
    torch.testing.assert_close(UNCHANGED[name](patches), patches, rtol=1e-5, atol=tolerance)


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("shape", SHAPES)
def test_odd_sizes_and_empty_patches_stay_finite(name, shape):
    patches = torch.cat([100 * random(2, 1, *shape), torch.zeros(2, 1, *shape)])
    views = CHANGED[name](patches)
    assert views.shape == patches.shape
    assert views.dtype == torch.float32
    assert torch.isfinite(views).all()
    assert views[2:].abs().max() == 0  # nothing comes from nothing


@pytest.mark.parametrize("name", CHANGED)
def test_samples_do_not_touch_each_other(patches, name):
    # the second half alone, by parameters that depend on the number of samples alone
    whole = CHANGED[name](patches)
    changed = patches.clone()
    changed[3:] = 50
    torch.testing.assert_close(CHANGED[name](changed)[:3], whole[:3])
    assert not torch.allclose(whole, patches)


@pytest.mark.parametrize("name", CHANGED)
def test_float64_agrees_with_float32(patches, name):
    torch.testing.assert_close(CHANGED[name](patches.double()).float(), CHANGED[name](patches), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("shape", [(12, 15, 10), (3, 5, 4), (2, 1, 3), (2, 40, 1)])
def test_planes_and_volumes_read_the_same(shape):
    patches = 100 * random(8, 1, *shape)
    linear = transforms.rotations(6 * random(8, 3)) * (0.5 + random(8, 1, 1))
    centres = middle(shape, 8) + 8 * (random(8, 3, seed=1) - 0.5)  # many places lie beyond the border
    planes, volumes = (
        read(patches, linear, centres, (7, 6, 9)) for read in (transforms._read_planes, transforms._read_volumes)
    )
    torch.testing.assert_close(planes, volumes, rtol=0, atol=2e-3)


def test_planes_of_tall_volumes_are_exact_to_thousandths_of_a_voxel():
    ramp = torch.arange(192.0)[:, None].expand(1, 1, 160, 192, 4).contiguous()  # 30,720 rows
    linear, centres = torch.eye(3)[None], torch.tensor([[70.3, 100.7, 1.5]])
    found = transforms._read_planes(ramp, linear, centres, (80, 96, 3))
    expected = torch.arange(96.0)[:, None] - 95 / 2 + 100.7
    assert (found - expected).abs().max() < 4e-3


def test_reading_a_part_of_a_larger_batch():
    # planes are read through a view of memory, which begins elsewhere or has gaps here
    large, linear = 100 * random(8, 1, 12, 15, 10), transforms.rotations(random(3, 3))
    for some in (large[2:5], large[2:5, :, 1:], large[:1].expand(3, -1, -1, -1, -1)):
        arguments = (linear, middle(some.shape[2:], 3), (5, 6, 7))
        expected = transforms._read_volumes(some.clone(), *arguments)
        torch.testing.assert_close(transforms.resample(some, *arguments), expected, rtol=0, atol=2e-3)


def test_mirrored_crops_come_from_the_other_side():
    ramp = torch.arange(12.0)[:, None, None].expand(2, 1, 12, 3, 3)
    cut = transforms.crop(ramp, torch.tensor([[1, 0, 0]] * 2), (4, 3, 3), torch.tensor([False, True]))
    assert cut[0, 0, :, 0, 0].tolist() == [1, 2, 3, 4]
    assert cut[1, 0, :, 0, 0].tolist() == [10, 9, 8, 7]


def test_gamma_of_both_ways_agrees(patches):
    # what a GPU does is the definition
    patches[:, :, 0] = 0
    top = patches.amax(dim=(1, 2, 3, 4), keepdim=True)
    gamma = torch.tensor([0.1, 0.5, 0.9, 1.1, 2, 10])
    expected = top * (patches / top).pow(gamma[:, None, None, None, None])
    torch.testing.assert_close(transforms.contrast_(patches, gamma), expected, rtol=1e-5, atol=1e-4)


def test_gaussians_add_up_and_spread_as_they_should():
    impulse = torch.zeros(3, 1, 21, 21, 21)
    impulse[..., 10, 10, 10] = 1
    sigma = torch.tensor([0.7, 1.0, 2.0])
    blurred = transforms.blur(impulse, sigma, 2.0)
    torch.testing.assert_close(blurred.sum(dim=(1, 2, 3, 4)), torch.ones(3))
    places = torch.arange(21.0) - 10
    for axis in (2, 3, 4):
        profile = blurred.sum(dim=[k for k in (1, 2, 3, 4) if k != axis])
        # sampled at whole voxels: 0.7 is 0.4% wider than its number
        torch.testing.assert_close((profile * places**2).sum(dim=1).sqrt(), sigma, rtol=5e-3, atol=0)
    flat = torch.full((3, 1, 5, 6, 7), 3.0)
    torch.testing.assert_close(transforms.blur(flat, sigma, 2.0), flat)


def test_spike_has_its_amplitude_and_frequency():
    flat = torch.full((1, 1, 20, 16, 10), 50.0)
    view = transforms.spike_(flat, torch.tensor([[0.25, 0, 0]]), torch.tensor([0.0]), torch.tensor([0.4]))
    assert view[0, 0, :4, 3, 5].tolist() == pytest.approx([70, 50, 30, 50], abs=1e-3)
    assert view.std(dim=(2, 3, 4), correction=0).item() == pytest.approx(20 / math.sqrt(2), rel=1e-4)


def test_noise_has_the_share_that_was_asked_for(patches):
    normal = torch.randn(patches.shape, generator=torch.Generator().manual_seed(0))
    share = torch.tensor([0, 0.1, 0.2, 0.5, 1, 2])
    added = transforms.noise_(patches.clone(), normal, share) - patches
    dims = (1, 2, 3, 4)
    expected = share * patches.std(dim=dims, correction=0) * normal.std(dim=dims)
    torch.testing.assert_close(added.std(dim=dims), expected, rtol=1e-4, atol=1e-4)


def test_white_level_is_the_mean_above_the_threshold():
    patches = torch.tensor([[0.0, 10, 60, 90, 110], [0, 10, 60, 20, 30]]).view(2, 1, 5, 1, 1)
    classes = torch.tensor([[30.0, 80.0], [30.0, 80.0]])
    assert transforms.white_level(patches, classes).tolist() == [100, 80]


def test_tissues_keep_their_places_and_the_background_its_zero():
    patches = torch.tensor([0.0, 1, 29, 30, 79, 80, 200]).view(1, 1, 7, 1, 1)
    arguments = (torch.tensor([[30.0, 80.0]]), torch.tensor([[5.0, 7, 3]]))
    exact = transforms.remap(patches, *arguments, torch.zeros(1, 3), torch.zeros(patches.shape))
    assert exact.flatten().tolist() == [0, 5, 5, 7, 7, 3, 3]
    low = transforms.remap(patches, *arguments, torch.ones(1, 3), torch.full(patches.shape, -6.0))
    assert low.flatten().tolist() == [0, 0, 0, 1, 1, 0, 0]
