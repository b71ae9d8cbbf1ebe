"""Measures of maps against numbers that can be counted by hand, scipy, and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.radiology import faithfulness
from workflow_scripts.lib.study.errors import StudyError

MASK = np.array([[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]], dtype=np.uint8)


def stack(*images):
    return np.stack([np.asarray(image, dtype=np.float32) for image in images])


def test_energy_is_counted():
    one = np.zeros((4, 4))
    one[1, 1], one[0, 0] = 0.75, 0.25
    maps = stack(one, np.ones((4, 4)), np.zeros((4, 4)), one)
    masks = np.stack([MASK, MASK, MASK, 0 * MASK])
    found = faithfulness.energy_inside(maps, masks)
    np.testing.assert_allclose(found[:2], [0.75, MASK.mean()])
    assert np.isnan(found[2:]).all()  # no map, no mask


def test_energy_in_other_masks_takes_the_mean_over_all_others_that_have_one():
    rng = np.random.default_rng(0)
    maps = rng.random((5, 6, 6)).astype(np.float32)
    masks = (rng.random((5, 6, 6)) < 0.3).astype(np.uint8)
    masks[3] = 0
    found = faithfulness.energy_in_others(maps, masks)
    for image in range(5):
        others = [
            (maps[image] * masks[other]).sum() / maps[image].sum() for other in range(5) if other not in (image, 3)
        ]
        assert found[image] == pytest.approx(np.mean(others)) if image != 3 else np.isnan(found[3])
    assert np.isnan(faithfulness.energy_in_others(maps[:1], masks[:1])).all()


def test_the_pointing_game_shares_a_tie():
    hit, miss, tie = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
    hit[1, 2], miss[0, 3], tie[1, 1], tie[2, 2], tie[3, 3] = 1, 1, 1, 1, 1
    found = faithfulness.points_inside(stack(hit, miss, tie, 0 * hit), np.stack([MASK] * 4))
    np.testing.assert_allclose(found[:3], [1, 0, 2 / 3])
    assert np.isnan(found[3])


def test_places_are_ranked_from_the_top_and_ties_are_random():
    maps = np.array([[[0.2, 0.9], [0.0, 0.0]]])
    seen = {tuple(faithfulness.ranks_from_top(maps, np.random.default_rng(seed))[0]) for seed in range(20)}
    assert seen == {(1, 0, 2, 3), (1, 0, 3, 2)}


def bright(images, classes):
    """A network that sees a share of 255 in the middle of the image (class 1) or its absence (class 0)."""
    middle = images[:, 0, 1:3, 1:3].mean((1, 2)).numpy() / 255
    return np.where(classes == 1, middle, 1 - middle)


def test_insertion_and_deletion_of_a_network_that_sees_the_mask_alone():
    image = torch.zeros(2, 1, 4, 4)
    image[:, 0, 1:3, 1:3] = 255
    maps = np.stack([MASK, 1 - MASK]).astype(np.float64)  # a right and a wrong map
    ranks = faithfulness.ranks_from_top(maps, np.random.default_rng(0))
    ones = np.array([1, 1])
    inserted, deleted = faithfulness.insertion_deletion(bright, image, ones, ranks, 4, "mean")
    low = 0.25  # the mean of the image stands where pixels are missing
    np.testing.assert_allclose(inserted, [[low, 1, 1, 1, 1], [low, low, low, low, 1]], atol=1e-6)
    np.testing.assert_allclose(deleted, [[1, low, low, low, low], [1, 1, 1, 1, low]], atol=1e-6)
    np.testing.assert_allclose(faithfulness.area(inserted), [(low / 2 + 3.5) / 4, (3.5 * low + 0.5) / 4], atol=1e-6)
    # the other class, by the same pixels
    other, _ = faithfulness.insertion_deletion(bright, image, 0 * ones, ranks, 4, "mean")
    np.testing.assert_allclose(other, 1 - inserted, atol=1e-6)


def test_curves_begin_and_end_at_baseline_and_image_whatever_the_order():
    images = 255 * torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ranks = faithfulness.ranks_from_top(np.zeros((3, 16, 16)), np.random.default_rng(1))
    ones = np.ones(3, dtype=int)
    inserted, deleted = faithfulness.insertion_deletion(bright, images, ones, ranks, 3, "blur")
    blurred = faithfulness.baseline(images, "blur")
    assert blurred.std() < 0.5 * images.std()
    np.testing.assert_allclose(inserted[:, 0], bright(blurred, ones), rtol=1e-6)
    np.testing.assert_allclose(inserted[:, -1], bright(images, ones), rtol=1e-6)
    np.testing.assert_allclose(deleted[:, [0, -1]], inserted[:, [-1, 0]], rtol=1e-6)
    # what is deleted first from the top is what is inserted last from the bottom
    turned, _ = faithfulness.insertion_deletion(bright, images, ones, ranks.max() - ranks, 3, "blur")
    np.testing.assert_allclose(turned[:, ::-1], deleted, atol=1 / 16)


def test_rank_correlation_is_that_of_scipy_with_ties():
    rng = np.random.default_rng(0)
    a = np.maximum(rng.normal(size=(4, 6, 5)), 0)
    b = np.maximum(a + rng.normal(size=a.shape), 0)
    expected = [stats.spearmanr(one.ravel(), other.ravel()).statistic for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(faithfulness.rank_correlation(a, b), expected, rtol=1e-12)
    assert np.isnan(faithfulness.rank_correlation(a[:1], 0 * a[:1])).all()


def test_structural_similarity_by_loops():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1, 9, 10))
    values = []
    for i in range(3):
        for j in range(4):
            x, y = a[0, i : i + 7, j : j + 7].ravel(), b[0, i : i + 7, j : j + 7].ravel()
            c = np.cov(x, y, bias=True)
            means = (2 * x.mean() * y.mean() + 1e-4) / (x.mean() ** 2 + y.mean() ** 2 + 1e-4)
            values.append(means * (2 * c[0, 1] + 9e-4) / (c[0, 0] + c[1, 1] + 9e-4))
    assert faithfulness.structural_similarity(a, b)[0] == pytest.approx(np.mean(values), rel=1e-9)
    np.testing.assert_allclose(faithfulness.structural_similarity(a, a), 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_measures_do_not_depend_on_the_scale_of_a_map(seed, factor):
    rng = np.random.default_rng(seed)
    maps, masks = np.maximum(rng.normal(size=(3, 8, 8)), 0), (rng.random((3, 8, 8)) < 0.3).astype(np.uint8)
    for measure in (faithfulness.energy_inside, faithfulness.energy_in_others, faithfulness.points_inside):
        one = measure(maps, masks)
        np.testing.assert_allclose(one, measure(factor * maps, masks), rtol=1e-9)
        known = one[~np.isnan(one)]
        assert ((known >= 0) & (known <= 1 + 1e-12)).all()


def test_what_does_not_fit_is_refused():
    with pytest.raises(StudyError, match="expected the same"):
        faithfulness.energy_inside(np.ones((2, 4, 4)), np.ones((2, 5, 5)))
    with pytest.raises(StudyError, match="choose one of blur, mean"):
        faithfulness.baseline(torch.ones(1, 1, 4, 4), "black")
    with pytest.raises(StudyError, match="1 step or more"):
        faithfulness.insertion_deletion(bright, torch.ones(1, 1, 4, 4), np.ones(1), np.zeros((1, 16)), 0)
    with pytest.raises(StudyError, match="7 pixels or more"):
        faithfulness.structural_similarity(np.ones((1, 4, 4)), np.ones((1, 4, 4)))
