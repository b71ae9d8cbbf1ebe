import dataclasses

import numpy as np
import pytest
import torch
import yaml
from scipy.ndimage import gaussian_filter

from workflow_scripts.lib.pretrain import augment as module
from workflow_scripts.lib.pretrain.augment import Augmentation, augment
from workflow_scripts.lib.study.config import SCHEMAS
from workflow_scripts.lib.study.errors import StudyError

STRONG = {
    "rotation": 20,
    "scaling": 0.2,
    "crop": 0.8,
    "flip": 0.5,
    "labels": 0.5,
    "contrast": 2,
    "bias": 0.4,
    "blur": 1.2,
    "spike": 0.3,
    "noise": 0.2,
}
FULL = Augmentation(probability=0.7, **STRONG)
# those that change each sample by parameters of its own
DRAWN = ["rotation", "scaling", "labels", "contrast", "bias", "blur", "spike", "noise"]
BORDERS = (0.45, 0.55)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def classes(samples):
    return torch.tensor([BORDERS] * samples)


@pytest.fixture
def patches():
    smooth = np.random.default_rng(0).random((6, 12, 15, 10))
    return torch.from_numpy(gaussian_filter(smooth, (0, 1, 1, 1)))[:, None].float()


def always(name, strength):
    # labels has a probability of its own, which is its strength
    return Augmentation(probability=1.0, **{name: 1.0 if name == "labels" else strength})


def test_the_default_changes_nothing(patches):
    assert torch.equal(augment(patches, Augmentation(), generator()), patches)


@pytest.mark.parametrize("route", ["some", "all"])
def test_probability_zero_changes_nothing_but_crop_and_flip(patches, monkeypatch, route):
    if route == "all":
        monkeypatch.setattr(module, "_quick_to_read", lambda values: False)
    settings = Augmentation(probability=0, **STRONG | {"crop": 1, "flip": 0, "labels": 0})
    torch.testing.assert_close(augment(patches, settings, generator()), patches, rtol=1e-4, atol=1e-5)


def test_same_generator_same_view(patches):
    one, same, other = (augment(patches, FULL, generator(seed), classes(6)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other)
    assert torch.isfinite(one).all()


def test_no_draw_from_the_global_stream(patches):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    augment(patches, FULL, generator(), classes(6))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", DRAWN)
def test_patches_themselves_are_left_alone(patches, name):
    before = patches.clone()
    view = augment(patches, always(name, STRONG[name]), generator(), classes(6))
    assert torch.equal(patches, before)
    assert not torch.allclose(view, before, atol=1e-3)


@pytest.mark.parametrize("name", DRAWN)
def test_samples_draw_their_own_parameters(patches, name):
    equal = patches[:1].expand(6, -1, -1, -1, -1)
    views = augment(equal, always(name, 2 * STRONG[name]), generator(), classes(6))
    distances = torch.pdist(views.flatten(1))
    # blurs below a third of a voxel are all the same: no blur
    assert (distances > 1e-4).float().mean() > 0.7


@pytest.mark.parametrize("name", DRAWN)
def test_half_of_the_samples_are_spared(patches, name):
    half = {"labels": 0.5} if name == "labels" else {"probability": 0.5, name: STRONG[name]}
    equal = patches[:1].expand(400, -1, -1, -1, -1)
    views = augment(equal, Augmentation(**half), generator(), classes(400))
    spared = (views == equal).flatten(1).all(dim=1).float().mean()
    # blurs below a seventh of a voxel change nothing in float32
    assert 0.4 < spared < (0.65 if name == "blur" else 0.6)


@pytest.mark.parametrize("name", [*DRAWN, "crop"])
def test_a_device_that_is_slow_to_read_gets_the_same_views(patches, monkeypatch, name):
    # without normal numbers a voxel, which are drawn for some samples or for all
    settings = Augmentation(flip=0.5, **{"crop": 0.7, name: STRONG[name]})
    patches[:, :, 0] = 0
    some = augment(patches, settings, generator(), classes(6))
    monkeypatch.setattr(module, "_quick_to_read", lambda values: False)
    views = augment(patches, settings, generator(), classes(6))
    if name not in ("noise", "labels"):
        return torch.testing.assert_close(views, some, rtol=1e-4, atol=1e-5)
    plain = augment(patches, dataclasses.replace(settings, **{name: 0.0}), generator())
    changed, expected = (((view - plain).abs() > 1e-3).flatten(1).any(dim=1) for view in (views, some))
    assert changed.tolist() == expected.tolist()
    assert 0 < changed.sum() < 6


def test_no_value_is_read_back_from_a_device():
    # meta tensors have no values: looking at one, or mixing in one of the CPU, is an error
    patches, borders = (torch.empty(shape, device="meta") for shape in ((5, 1, 12, 15, 10), (5, 2)))
    view = module._views(patches, FULL, None, borders)
    assert view.shape == (5, 1, 10, 12, 8)
    assert view.device.type == "meta"


def test_half_precision_around_it_does_not_reach_the_views(patches):
    settings = Augmentation(probability=1, blur=1, spike=0.2)
    expected = augment(patches, settings, generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment(patches, settings, generator()), expected)


@pytest.mark.parametrize("shape", [(9, 7, 5), (1, 3, 2), (1, 1, 1)])
@pytest.mark.parametrize("route", ["some", "all"])
def test_odd_sizes_and_empty_patches(shape, monkeypatch, route):
    if route == "all":
        monkeypatch.setattr(module, "_quick_to_read", lambda values: False)
    patches = torch.cat([torch.rand(4, 1, *shape, generator=generator()), torch.zeros(4, 1, *shape)])
    view = augment(patches, dataclasses.replace(FULL, probability=1), generator(), classes(8))
    assert view.shape == (8, 1, *(max(1, round(0.8 * n)) for n in shape))
    assert torch.isfinite(view).all()
    assert view[4:].abs().max() == 0


@pytest.mark.parametrize("name", ["rotation", "scaling", "labels", "contrast", "bias", "blur"])
def test_nothing_falls_below_zero_where_it_should_not(patches, name):
    patches[:, :, :4] = 0
    view = augment(patches, always(name, STRONG[name]), generator(), classes(6))
    assert view.min() >= 0
    if name in ("labels", "contrast", "bias"):
        assert view[:, :, :4].max() == 0


def test_views_of_a_batch_on_other_memory(patches):
    # a batch may be a view of a store, with any strides
    strided = patches.transpose(2, 4).contiguous().transpose(2, 4)
    for settings in (FULL, dataclasses.replace(FULL, crop=1, flip=0, rotation=0, scaling=0)):
        expected = augment(patches, settings, generator(), classes(6))
        torch.testing.assert_close(augment(strided, settings, generator(), classes(6)), expected)


def test_crop_makes_views_smaller_and_cuts_whole_voxels():
    ramp = torch.arange(12.0)[None, None, :, None, None].expand(200, 1, 12, 15, 10)
    views = augment(ramp, Augmentation(crop=0.5), generator())
    assert views.shape == (200, 1, 6, 8, 5)
    assert (views.diff(dim=2) == 1).all()
    # every place is reached about as often: 7 of 200 / 7
    counts = torch.bincount(views[:, 0, 0, 0, 0].long(), minlength=7)
    assert len(counts) == 7
    assert counts.min() > 15


def test_flip_is_left_right(patches):
    assert torch.equal(augment(patches, Augmentation(flip=1), generator()), patches.flip(2))
    views = augment(patches[:1].expand(400, -1, -1, -1, -1), Augmentation(flip=0.25), generator())
    flipped = (views == patches[:1].flip(2)).flatten(1).all(dim=1)
    assert 0.15 < flipped.float().mean() < 0.35


def test_rotation_is_rigid_in_voxels_of_uneven_patches():
    # a ball in the middle looks the same from all sides; turned in a grid's own coordinates it would not
    axes = [torch.arange(n) - (n - 1) / 2 for n in (16, 30, 22)]
    ball = torch.exp(-sum(x.square() for x in torch.meshgrid(*axes, indexing="ij")) / 18)[None, None]
    views = augment(ball.expand(8, -1, -1, -1, -1), always("rotation", 60), generator())
    assert (views - ball).abs().max() < 0.06  # of linear interpolation; an ellipsoid would differ by 0.5
    rod = torch.zeros(1, 1, 16, 30, 22)
    rod[..., 5:25, :] = 1
    assert (augment(rod, always("rotation", 60), generator()) - rod).abs().max() > 0.5


def test_scaling_changes_size_only():
    axes = [torch.arange(n) - (n - 1) / 2 for n in (20, 26, 22)]
    ball = torch.exp(-sum(x.square() for x in torch.meshgrid(*axes, indexing="ij")) / 18)[None, None]
    views = augment(ball.expand(60, -1, -1, -1, -1), always("scaling", 0.2), generator())
    volumes = (views.sum(dim=(1, 2, 3, 4)) / ball.sum()).pow(1 / 3)
    assert 1 / 1.2 - 0.02 < volumes.min() < 0.9
    assert 1.1 < volumes.max() < 1 / 0.8 + 0.02


def test_contrast_keeps_both_ends_and_the_order(patches):
    views = augment(patches, always("contrast", 2), generator())
    torch.testing.assert_close(views.amax(dim=(1, 2, 3, 4)), patches.amax(dim=(1, 2, 3, 4)))
    for view, patch in zip(views.flatten(1), patches.flatten(1), strict=True):
        assert view[patch.argsort()].diff().min() > -1e-6
    # gamma between 1/2 and 2, as often above 1 as below
    half = torch.tensor([0.5, 1.0]).view(1, 1, 2, 1, 1).expand(400, -1, -1, -1, -1)
    gamma = -augment(half, always("contrast", 2), generator())[:, 0, 0, 0, 0].log2()
    assert 0.5 <= gamma.min() < 0.55
    assert 1.9 < gamma.max() <= 2
    assert 0.4 < (gamma > 1).float().mean() < 0.6


def test_bias_is_a_smooth_positive_factor():
    flat = torch.ones(40, 1, 12, 15, 10)
    fields = augment(flat, always("bias", 0.2), generator())
    assert (fields > 0).all()
    logs = fields.log()
    assert logs[:, :, 0, 0, 0].std().item() == pytest.approx(0.2, abs=0.06)
    assert logs.diff(dim=2).abs().max() < 0.4


def test_noise_has_the_level_that_was_asked_for(patches):
    views = augment(patches[:1].expand(300, -1, -1, -1, -1), always("noise", 0.5), generator())
    levels = (views - patches[:1]).flatten(1).std(dim=1) / patches[0].std()
    # uniform between 0 and 0.5
    assert levels.mean().item() == pytest.approx(0.25, abs=0.03)
    assert levels.max() < 0.55


def test_spikes_are_waves_far_from_the_centre_of_k_space():
    flat = torch.ones(200, 1, 24, 24, 24)
    waves = augment(flat, always("spike", 0.4), generator()) - 1
    # amplitude uniform between 0 and 0.4
    amplitude = waves.flatten(1).std(dim=1) * 2**0.5
    assert amplitude.mean().item() == pytest.approx(0.2, abs=0.02)
    assert 0.38 < amplitude.max() < 0.42
    power = torch.fft.fftn(waves[:, 0], dim=(1, 2, 3)).abs()
    frequency = torch.fft.fftfreq(24)
    radius = sum(axis.square() for axis in torch.meshgrid(*[frequency] * 3, indexing="ij")).sqrt().flatten()
    found = radius[power.flatten(1).argmax(dim=1)]
    # the peak lies on the nearest points of the patch's own grid
    assert found.min() > 0.1 - 0.04
    assert found.max() < 0.5 + 0.04
    assert 0.25 < found.mean() < 0.35


def test_tissues_get_intensities_of_the_published_size():
    bands = torch.tensor([0, 40, 70, 110.0]).repeat_interleave(8)[:, None, None]
    patches = bands.expand(300, 1, 32, 9, 9)
    borders = torch.tensor([[55.0, 90.0]]).expand(300, -1)
    views = augment(patches, Augmentation(labels=1), generator(), borders)
    assert views[:, :, :8].abs().max() == 0
    means = torch.stack([views[:, :, at : at + 4].flatten(1).mean(dim=1) for at in (10, 18, 26)])
    # means uniform between 0.1 and 0.9 of white matter, each tissue on its own
    assert torch.allclose(means.mean(dim=1), torch.tensor(0.5 * 110), rtol=0.08)
    assert 0.05 < means.min() / 110 < 0.15
    assert 0.85 < means.max() / 110 < 0.95
    assert torch.corrcoef(means).fill_diagonal_(0).abs().max() < 0.2
    # sd uniform between 0.02 and 0.1 of white matter; half a voxel of smoothing leaves 0.52 of it, more at the sides
    spreads = views[:, :, 11:13].flatten(1).std(dim=1)
    assert spreads.mean().item() == pytest.approx(0.06 * 0.54 * 110, rel=0.1)


def test_borders_between_tissues_are_mixtures():
    bands = torch.tensor([40, 110.0]).repeat_interleave(5)[:, None, None]
    views = augment(
        bands.expand(50, 1, 10, 30, 30), Augmentation(labels=1), generator(), torch.tensor([[55.0, 90]] * 50)
    )
    fluid, left, right, white = (views[:, 0, at].mean(dim=(1, 2)) for at in (2, 4, 5, 7))
    # a voxel at the border takes 0.107 from beyond it
    torch.testing.assert_close(left, 0.893 * fluid + 0.107 * white, rtol=0.05, atol=0.5)
    torch.testing.assert_close(right, 0.107 * fluid + 0.893 * white, rtol=0.05, atol=0.5)


def test_labels_without_classes_are_refused(patches):
    with pytest.raises(StudyError, match=r"labels is 0.2.*csf_grey"):
        augment(patches, Augmentation(labels=0.2), generator())


WRONG = [
    ("probability", 1.1),
    ("rotation", -1),
    ("scaling", 1),
    ("crop", 0),
    ("crop", 1.1),
    ("flip", -0.1),
    ("labels", 2),
    ("contrast", 0.5),
    ("bias", -0.1),
    ("blur", 11),
    ("spike", float("nan")),
    ("noise", "strong"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_impossible_strengths_are_refused(name, value):
    with pytest.raises(StudyError, match=rf"augmentation\.{name} is {value!r}"):
        Augmentation(**{name: value})


def test_the_schema_says_what_the_settings_say():
    block = yaml.safe_load((SCHEMAS / "pretrain.schema.yaml").read_text())["properties"]["augmentation"]
    assert block["additionalProperties"] is False
    keys = block["properties"]
    defaults = dataclasses.asdict(Augmentation())
    assert {name: rule["default"] for name, rule in keys.items()} == defaults
    assert set(module.LIMITS) == set(defaults)
    for name, (low, high) in module.LIMITS.items():
        assert keys[name].get("minimum", keys[name].get("exclusiveMinimum")) == low
        assert keys[name].get("maximum", keys[name].get("exclusiveMaximum")) == high
        assert keys[name]["description"]
    assert "exclusiveMinimum" in keys["crop"]
    assert "exclusiveMaximum" in keys["scaling"]
