"""Where tissues are told apart: beside scikit-image, a search by hand, and mixtures that were planted."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.filters import threshold_multiotsu

from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.tissue import FEWEST, USUAL, WHITE, class_thresholds, cut_in_three


def mixture(means, stds, counts, seed=1):
    """Draw 8-bit numbers of three classes and the class of each."""
    random = np.random.default_rng(seed)
    parts = [random.normal(*pair, count) for *pair, count in zip(means, stds, counts, strict=True)]
    numbers = np.clip(np.concatenate(parts).round(), 1, 255).astype(np.uint8)
    return numbers, np.repeat([0, 1, 2], counts)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("spread", [8, 20, 40])
def test_cuts_are_those_of_scikit_image(seed, spread):
    numbers, _ = mixture((60, 130, 200), (spread,) * 3, (6000, 9000, 9000), seed)
    # that function gives the last number of a class
    expected = threshold_multiotsu(numbers.reshape(60, 20, 20), 3)
    assert class_thresholds(numbers, 1.0) == tuple(expected + 0.5)


def within(counts, first, second):
    """Sum the squared distances of all voxels from the mean of their class."""
    total = 0.0
    for part in np.split(np.arange(len(counts)), [first + 1, second + 1]):
        if counts[part].sum():
            mean = np.average(part, weights=counts[part])
            total += (counts[part] * (part - mean) ** 2).sum()
    return total


histograms = arrays.arrays(np.int64, st.integers(3, 14), elements=st.integers(0, 50)).filter(
    lambda counts: np.count_nonzero(counts) >= 3
)


@settings(max_examples=100, deadline=None)
@given(histograms)
def test_no_pair_of_cuts_leaves_tighter_classes(counts):
    first, second = cut_in_three(counts)
    assert 0 <= first < second < len(counts)
    best = min(within(counts, *pair) for pair in itertools.combinations(range(len(counts)), 2))
    assert within(counts, first, second) == pytest.approx(best, rel=1e-9, abs=1e-9)


def test_a_planted_mixture_is_told_apart():
    scale = 0.55
    levels = np.array([40, 80, 110]) / scale
    numbers, truth = mixture(levels, (12, 14, 9), (40_000, 100_000, 90_000))
    cuts = class_thresholds(numbers, scale)
    # where classes are told apart, each cut is halfway between the means of its neighbours
    assert cuts == pytest.approx((60, 95), abs=1.5)
    assert (np.digitize(numbers * scale, cuts) == truth).mean() > 0.95


@pytest.mark.parametrize("spacing", [2.0, 4.0])
def test_the_usual_shares_are_those_of_the_template(spacing):
    t1, mask, labels = template(spacing)
    white = np.median(t1[np.isin(labels, (2, 41))])  # cerebral white matter
    scale = t1.max() / 255
    numbers = np.round(t1 / scale).astype(np.uint8)
    cuts = np.array(class_thresholds(numbers, scale)) / white
    np.testing.assert_allclose(cuts, USUAL, atol=0.06)
    assert mask.any()


@pytest.mark.parametrize(
    "numbers",
    [np.zeros((5, 5, 5)), np.full((9, 9, 9), 7), np.repeat([0, 3, 200], 300), np.arange(FEWEST)],
    ids=["empty", "constant", "two values", "few voxels"],
)
def test_an_odd_volume_gets_the_usual_shares_and_is_named(numbers, caplog):
    cuts = class_thresholds(numbers.astype(np.uint8), 0.4, "p07_1")
    assert cuts == (USUAL[0] * WHITE, USUAL[1] * WHITE)
    assert "p07_1" in caplog.text


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 12)] * 3), elements=st.integers(0, 255)), st.floats(1e-6, 1e6)
)
def test_cuts_are_finite_and_in_order_whatever_the_volume(numbers, scale):
    low, high = class_thresholds(numbers, scale)
    assert 0 < low < high < np.inf


def test_background_does_not_matter():
    numbers, _ = mixture((60, 130, 200), (10, 10, 10), (900, 900, 900))
    assert class_thresholds(np.append(numbers, np.zeros(10**5, np.uint8)), 2.0) == class_thresholds(numbers, 2.0)
