import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.pretrain import genesis
from workflow_scripts.lib.pretrain.genesis import Genesis, distort
from workflow_scripts.lib.study.errors import StudyError

SHAPE = (20, 14, 23)
NOTHING = Genesis(flip=0, shuffle=0, nonlinear=0, paint=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cubes(samples=4, shape=SHAPE, seed=0):
    return torch.rand(samples, 1, *shape, generator=generator(seed))


def only(**settings):
    return dataclasses.replace(NOTHING, **settings)


def changed(inputs, targets):
    """Say which samples differ."""
    return (inputs != targets).flatten(1).any(1)


def within(count, n, probability, sigmas=4):
    """Whether a count lies within so many binomial deviations of what is expected."""
    return abs(count - n * probability) <= sigmas * math.sqrt(n * probability * (1 - probability))


def test_published_numbers_are_the_defaults():
    assert dataclasses.asdict(Genesis()) == {
        "flip": 0.4,
        "shuffle": 0.5,
        "windows": 10_000,
        "nonlinear": 0.9,
        "inverted": 0.5,
        "points": 1000,
        "paint": 0.9,
        "inpaint": 0.2,
        "again": 0.95,
    }


def test_probability_zero_changes_nothing():
    x = cubes()
    inputs, targets = distort(x, NOTHING, generator())
    assert torch.equal(inputs, x)
    assert torch.equal(targets, x)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 10**6), double=st.booleans())
def test_inputs_stay_between_0_and_1_and_targets_are_the_originals_or_their_mirror_images(seed, double):
    x = cubes(seed=seed).to(torch.float64 if double else torch.float32)
    before = x.clone()
    inputs, targets = distort(x, Genesis(windows=300), generator(seed))
    assert torch.equal(x, before)
    assert inputs.shape == targets.shape == x.shape
    assert inputs.dtype == targets.dtype == x.dtype
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    subsets = [axes for count in range(4) for axes in itertools.combinations((1, 2, 3), count)]
    for original, target in zip(x, targets, strict=True):
        assert sum(torch.equal(original.flip(axes), target) for axes in subsets) == 1


def test_same_generator_same_distortion_and_every_sample_its_own():
    x = cubes(1).expand(6, -1, -1, -1, -1)
    one, same, other = (distort(x, Genesis(windows=300), generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.pdist(one.flatten(1)).min() > 0


# flips


def test_flips_are_those_of_numpy():
    x, axes = cubes(8), torch.tensor(list(itertools.product((False, True), repeat=3)))
    for sample, original, which in zip(genesis.flip(x, axes), x.numpy(), axes.numpy(), strict=True):
        np.testing.assert_array_equal(sample[0], np.flip(original[0], np.flatnonzero(which)))


def test_flips_go_on_with_the_published_probability():
    n, p = 20_000, 0.4
    axes = genesis.draw_flips(n, p, generator())
    # one flip moves one axis; of two, a third undo each other; of three, 6 of 27 move all axes, the others one
    runs = [1 - p, p * (1 - p), p**2 * (1 - p), p**3]
    moved = axes.sum(1)
    expected = [runs[0] + runs[2] / 3, runs[1] + runs[3] * 21 / 27, runs[2] * 2 / 3, runs[3] * 6 / 27]
    for count, probability in enumerate(expected):
        assert within((moved == count).sum().item(), n, probability)
    for axis in range(3):
        assert within(axes[:, axis].sum().item(), n, axes.float().mean().item())


# local shuffling


def plain_shuffle(volume, starts, sides, permutations):
    """The published loop: windows are read from the original and written to the result, one after the other."""
    result = volume.copy()
    for start, side, order in zip(starts, sides, permutations, strict=True):
        box = tuple(slice(a, a + b) for a, b in zip(start, side, strict=True))
        result[box] = volume[box].flatten()[order].reshape(side)
    return result


@pytest.mark.parametrize("windows", [1, 7, 400])
def test_shuffling_is_the_published_loop_with_the_same_windows_and_permutations(windows):
    volume = cubes(1)[0, 0].numpy()
    starts, sides = genesis.draw_windows(windows, (40, 30, 50), generator())
    assert (sides.amax(0) <= torch.tensor([4, 3, 5])).all()
    volume = np.random.default_rng(0).random((40, 30, 50))
    counts = sides.prod(1).tolist()
    keys = torch.randint(2**32, (sum(counts),), generator=generator(1))
    places, sources = genesis.displaced(starts, sides, keys, volume.shape)
    found = volume.copy().ravel()
    found[places] = volume.ravel()[sources]
    permutations = [np.argsort(part) for part in np.split(keys.numpy(), np.cumsum(counts)[:-1])]
    expected = plain_shuffle(volume, starts.numpy(), sides.numpy(), permutations)
    np.testing.assert_array_equal(found.reshape(volume.shape), expected)
    assert len(places.unique()) == len(places)


def test_a_window_keeps_its_intensities_and_nothing_else_moves():
    volume, start, side = cubes(1, (20, 20, 20))[0, 0].numpy(), np.array([3, 5, 11]), np.array([4, 2, 3])
    keys = torch.randint(2**32, (24,), generator=generator())
    places, sources = genesis.displaced(torch.tensor(start[None]), torch.tensor(side[None]), keys, volume.shape)
    inside = np.zeros(volume.shape, dtype=bool)
    inside[3:7, 5:7, 11:14] = True
    assert sorted(places.tolist()) == np.flatnonzero(inside).tolist() == sorted(sources.tolist())


def test_all_permutations_of_a_window_are_equally_likely():
    n, counts = 6000, {}
    # windows that do not meet, so that each shows its permutation: three voxels in a row of their own
    starts = torch.stack([torch.arange(n), torch.zeros(n), torch.zeros(n)], dim=1).long()
    sides = torch.tensor([[1, 1, 3]]).expand(n, 3)
    keys = torch.randint(2**32, (3 * n,), generator=generator())
    places, sources = genesis.displaced(starts, sides, keys, (n, 1, 3))
    assert places.tolist() == list(range(3 * n))
    for order in (sources.view(n, 3) % 3).tolist():
        counts[tuple(order)] = counts.get(tuple(order), 0) + 1
    assert len(counts) == 6
    assert all(within(count, n, 1 / 6) for count in counts.values())


def test_as_many_voxels_are_displaced_as_by_the_published_loop():
    shape, windows, repeats = (24, 20, 32), 3000, 15
    random = np.random.default_rng(3)
    ours, published = [], []
    for repeat in range(repeats):
        x = torch.arange(math.prod(shape), dtype=torch.float64).view(1, 1, *shape)
        moved = genesis.shuffle(x, torch.tensor([True]), windows, generator(repeat)) != x
        ours.append(moved.double().mean().item())
        sides = random.integers(1, np.array(shape) // 10, (windows, 3), endpoint=True)
        starts = random.integers(0, np.array(shape) - sides, endpoint=True)
        orders = [random.permutation(side.prod()) for side in sides]
        published.append((plain_shuffle(x[0, 0].numpy(), starts, sides, orders) != x[0, 0].numpy()).mean())
    error = math.sqrt((np.var(ours) + np.var(published)) / repeats)
    assert abs(np.mean(ours) - np.mean(published)) < 4 * error
    assert error < 0.01 * np.mean(published)
    assert np.mean(ours) > 0.4  # enough for windows to cover each other


def test_published_windows_write_as_many_voxels_as_a_volume_of_96_has_times_1_4():
    _, sides = genesis.draw_windows(10_000, (96, 96, 96), generator())
    assert sides.amin() == 1
    assert sides.amax() == 9
    assert sides.prod(1).sum().item() / 96**3 == pytest.approx(1.41, abs=0.05)


def test_windows_reach_every_corner():
    starts, sides = genesis.draw_windows(20_000, (20, 30, 14), generator())
    assert starts.amin(0).tolist() == [0, 0, 0]
    assert (starts + sides).amax(0).tolist() == [20, 30, 14]
    assert sides.amax(0).tolist() == [2, 3, 2]


def test_only_the_chosen_are_shuffled():
    x = cubes(4)
    found = genesis.shuffle(x, torch.tensor([True, False, True, False]), 200, generator())
    assert changed(found, x).tolist() == [True, False, True, False]
    torch.testing.assert_close(found.sum((1, 2, 3, 4))[1], x.sum((1, 2, 3, 4))[1])


# intensities


def published_map(values, controls, inverted, points):
    """The authors' curve, which runs from (1, 1) to (0, 0), sorted by x alone or by both; np.interp between points."""
    t = np.linspace(0, 1, points)
    corners = np.array([[0, 0], *controls, [1, 1]])
    weights = [math.comb(3, i) * t ** (3 - i) * (1 - t) ** i for i in range(4)]
    x, y = (sum(weight * corner for weight, corner in zip(weights, corners[:, axis], strict=True)) for axis in (0, 1))
    return np.interp(values, np.sort(x), y if inverted else np.sort(y))


@settings(deadline=None, max_examples=25)
@given(
    controls=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    inverted=st.booleans(),
    points=st.sampled_from([2, 50, 1000]),
)
def test_intensities_are_those_of_the_published_curve(controls, inverted, points):
    values = np.concatenate([np.random.default_rng(0).random(200), [0.0, 0.25, 1.0]])
    controls = np.array(controls).reshape(2, 2)
    x, y = genesis.curve(torch.from_numpy(controls)[None], torch.tensor([inverted]), points)
    found = genesis.remap(torch.from_numpy(values).view(1, 1, 7, 29, 1), x, y).numpy().ravel()
    np.testing.assert_allclose(found, published_map(values, controls, inverted, points), atol=1e-6)
    # the order of intensities is kept, or turned around
    steps = np.diff(found[np.argsort(values)])
    assert ((steps if not inverted else -steps) >= -1e-9).all()
    assert found[-1] == pytest.approx(0 if inverted else 1)


def test_a_straight_curve_changes_nothing():
    third = torch.tensor([[[1 / 3, 1 / 3], [2 / 3, 2 / 3]]])
    x = cubes(1)
    torch.testing.assert_close(genesis.remap(x, *genesis.curve(third, torch.tensor([False]), 1000)), x)
    torch.testing.assert_close(genesis.remap(x, *genesis.curve(third, torch.tensor([True]), 1000)), 1 - x)


def test_each_sample_has_its_own_curve():
    x, controls = cubes(3), torch.rand(3, 2, 2, generator=generator())
    inverted = torch.tensor([False, True, False])
    found = genesis.remap(x, *genesis.curve(controls, inverted, 100))
    for sample in range(3):
        expected = published_map(x[sample].numpy(), controls[sample].numpy(), inverted[sample], 100)
        np.testing.assert_allclose(found[sample], expected, atol=1e-5)


# paintings


def test_boxes_have_the_published_sizes_and_numbers():
    n, shape = 4000, (20, 21, 48)
    inside = torch.arange(n) % 2 == 0
    starts, sides, counts = genesis.draw_boxes(shape, inside, 0.95, generator())
    for axis, size in enumerate(shape):
        for chosen, low, high in (
            (inside, size // 6, size // 3),
            (~inside, size - 4 * size // 7, size - 3 * size // 7),
        ):
            side, start = sides[chosen, :, axis], starts[chosen, :, axis]
            assert side.unique().tolist() == list(range(low, high + 1))
            assert start.min() == 3
            assert (start + side).max() == size - 3
    number = counts.sum(1)
    assert torch.equal(counts, torch.arange(5) < number[:, None])
    for boxes in range(6):
        expected = 0.95**boxes * (0.05 if boxes < 5 else 1)
        assert within((number[inside] == boxes).sum().item(), n // 2, expected)
        expected = 0 if boxes == 0 else 0.95 ** (boxes - 1) * (0.05 if boxes < 5 else 1)
        assert within((number[~inside] == boxes).sum().item(), n // 2, expected)


@pytest.mark.parametrize("inpaint", [0.0, 1.0])
def test_paintings_are_those_of_the_published_loops(inpaint, monkeypatch):
    drawn = {}

    def remember(*arguments):
        drawn["boxes"] = original(*arguments)
        return drawn["boxes"]

    original = genesis.draw_boxes
    monkeypatch.setattr(genesis, "draw_boxes", remember)
    x = cubes(6)
    inputs, targets = distort(x, only(paint=1, inpaint=inpaint), generator(1))
    assert torch.equal(targets, x)
    for sample, (starts, sides, counts) in enumerate(zip(*(part.numpy() for part in drawn["boxes"]), strict=True)):
        volume = x[sample, 0].numpy()
        noise = np.full(SHAPE, np.nan)
        expected = volume.copy() if inpaint else noise.copy()
        for start, side in zip(starts[counts], sides[counts], strict=True):
            box = tuple(slice(a, a + b) for a, b in zip(start, side, strict=True))
            expected[box] = noise[box] if inpaint else volume[box]
        found = inputs[sample, 0].numpy()
        np.testing.assert_array_equal(np.where(np.isnan(expected), found, expected), found)
        painted = found[np.isnan(expected)]
        assert not (painted == volume[np.isnan(expected)]).any()
        assert painted.mean() == pytest.approx(0.5, abs=5 / math.sqrt(12 * len(painted)))


def test_every_distortion_comes_as_often_as_it_should():
    n = 500
    x = cubes(1, (14, 14, 14)).expand(n, -1, -1, -1, -1)
    published = Genesis()
    for name in ("shuffle", "nonlinear"):
        probability = getattr(published, name)
        inputs, targets = distort(x, only(**{name: probability}, windows=50, points=50), generator())
        assert within(changed(inputs, targets).sum().item(), n, probability)
    inputs, targets = distort(x, only(nonlinear=1, points=50), generator())
    # a rising curve keeps the brightest voxel the brightest
    brightest = targets[0].flatten().argmax()
    rises = inputs.flatten(1)[:, brightest] == inputs.flatten(1).amax(1)
    assert within((~rises).sum().item(), n, published.inverted)
    inputs, targets = distort(x, only(paint=published.paint, inpaint=published.inpaint), generator())
    share = (inputs != targets).flatten(1).double().mean(1)
    # five boxes of a third fill at most 5 / 27; five of four sevenths leave at least a tenth
    outer, inner = (share > 5 / 27).sum().item(), ((share > 0) & (share <= 5 / 27)).sum().item()
    assert within(outer, n, 0.9 * 0.8)
    assert within(inner, n, 0.9 * 0.2 * 0.95)


@pytest.mark.parametrize(("name", "value"), [("flip", 1.1), ("inpaint", -0.1), ("windows", 0), ("points", 1)])
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(StudyError, match=str(value)):
        Genesis(**{name: value})


def test_volumes_too_small_for_boxes_are_refused():
    with pytest.raises(StudyError, match="16 x 13 x 16 voxels"):
        distort(cubes(1, (16, 13, 16)), Genesis(), generator())
    distort(cubes(1, (14, 14, 14)), Genesis(), generator())
