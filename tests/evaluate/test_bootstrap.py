"""Bootstrap of a difference: weights against repeated rows, BCa against scipy, coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.evaluate import bootstrap
from workflow_scripts.lib.evaluate.delong import compare_paired
from workflow_scripts.lib.evaluate.metrics import auc_rows, r2_rows
from workflow_scripts.lib.study.errors import StudyError


def draw(seed, n=60, metric="auc"):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(float) if metric == "auc" else rng.normal(70, 5, size=n)
    shared = rng.normal(size=n)
    return y, (y + shared + rng.normal(size=n)).round(1), (y + shared + 1.5 * rng.normal(size=n)).round(1)


@given(st.integers(0, 10_000), st.sampled_from(["auc", "r2"]))
@settings(max_examples=20, deadline=None)
def test_weights_are_repeated_rows(seed, metric):
    y, score, _ = draw(seed, n=12, metric=metric)
    counts = bootstrap.draw_counts(4, 12, np.random.default_rng(seed))
    assert (counts.sum(1) == 12).all()
    function, rows = {"auc": (bootstrap.weighted_auc, auc_rows), "r2": (bootstrap.weighted_r2, r2_rows)}[metric]
    for found, count in zip(function(y, score, counts), counts.astype(int), strict=True):
        again = np.repeat(np.arange(12), count)
        expected = rows(score[again][None], y[again], np.ones((1, 12), dtype=bool))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-9)  # missing on both sides where a class is


def test_counts_are_those_of_drawing_with_replacement():
    counts = bootstrap.draw_counts(4000, 5, np.random.default_rng(0))
    assert counts.mean(0) == pytest.approx(np.ones(5), abs=0.07)
    assert counts.var(0) == pytest.approx(np.full(5, 0.8), abs=0.1)  # binomial, 5 of 1/5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bca_is_that_of_scipy(seed, level):
    x = np.random.default_rng(seed).exponential(size=25)
    found = stats.bootstrap((x,), np.var, confidence_level=level, n_resamples=500, method="BCa", rng=seed)
    jackknife = np.array([np.var(np.delete(x, k)) for k in range(25)])
    bounds = bootstrap.bca_interval(found.bootstrap_distribution, np.var(x), jackknife, level)
    assert bounds == pytest.approx(tuple(found.confidence_interval), rel=1e-10)


def test_bca_without_bias_and_skew_is_the_percentile_interval():
    draws = np.arange(-500, 501) / 100  # as much below 0 as above
    found = bootstrap.bca_interval(draws, 0.0, np.array([-1.0, 0, 1]), 0.9)
    assert found == pytest.approx(tuple(np.quantile(draws, [0.05, 0.95])))
    assert np.isnan(bootstrap.bca_interval(draws, 9.0, np.array([-1.0, 0, 1]))).all()
    assert bootstrap.bca_interval(np.full(50, 2.0), 2.0, np.full(5, 2.0)) == (2, 2)


@pytest.mark.parametrize("metric", ["auc", "r2"])
def test_the_whole_against_the_long_way(metric):
    """Same draws, people with two scans, metrics on repeated rows; the jackknife by leaving people out."""
    y, a, b = draw(5, n=40, metric=metric)
    people = np.array([f"p{k // 2:02}" for k in range(40)])
    found = bootstrap.bootstrap_difference(y, a, b, metric, 60, np.random.default_rng(1), people, level=0.8)
    counts = bootstrap.draw_counts(60, 20, np.random.default_rng(1)).astype(int)
    rows = {"auc": auc_rows, "r2": r2_rows}[metric]

    def difference(which):
        mask = np.ones((1, len(which)), dtype=bool)
        return (rows(a[which][None], y[which], mask) - rows(b[which][None], y[which], mask))[0]

    draws = np.array([difference(np.repeat(np.arange(40), np.repeat(count, 2))) for count in counts])
    without = np.array([difference(np.flatnonzero(people != person)) for person in np.unique(people)])
    assert found["difference"] == pytest.approx(difference(np.arange(40)))
    expected = np.quantile(draws, [0.1, 0.9])
    assert [found["lower_percentile"], found["upper_percentile"]] == pytest.approx(expected, rel=1e-9)
    expected = bootstrap.bca_interval(draws, found["difference"], without, 0.8)
    assert (found["lower_bca"], found["upper_bca"]) == pytest.approx(expected, rel=1e-9)


def test_its_width_is_delongs_on_many_people():
    y, a, b = draw(2, n=1200)
    found, reference = (
        bootstrap.bootstrap_difference(y, a, b, "auc", 2000, np.random.default_rng(0)),
        compare_paired(y, a, b),
    )
    width = reference["upper"] - reference["lower"]
    for kind in ("percentile", "bca"):
        bounds = [found[f"{side}_{kind}"] for side in ("lower", "upper")]
        assert bounds == pytest.approx([reference["lower"], reference["upper"]], abs=0.06 * width)


def test_copies_of_scans_add_nothing():
    y, a, b = draw(3, n=40)
    once = bootstrap.bootstrap_difference(y, a, b, "auc", 300, np.random.default_rng(4))
    twice = bootstrap.bootstrap_difference(
        *(np.tile(values, 2) for values in (y, a, b)), "auc", 300, np.random.default_rng(4), np.tile(np.arange(40), 2)
    )
    assert twice == pytest.approx(once)


def test_equal_models_have_an_interval_of_0():
    y, a, _ = draw(1)
    found = bootstrap.bootstrap_difference(y, a, a.copy(), "auc", 50, np.random.default_rng(0))
    assert set(found.values()) == {0.0, 50}


def test_draws_without_a_class_are_left_out_and_what_has_none_is_refused():
    y = np.r_[1.0, np.zeros(7)]
    found = bootstrap.bootstrap_difference(y, np.arange(8.0), -np.arange(8.0), "auc", 400, np.random.default_rng(0))
    assert found["n_bootstrap"] == pytest.approx(400 * (1 - (7 / 8) ** 8), abs=60)
    with pytest.raises(StudyError, match="one kind"):
        bootstrap.bootstrap_difference(np.ones(5), np.arange(5), np.arange(5), "r2", 9, np.random.default_rng(0))
    with pytest.raises(ValueError, match="mae"):
        bootstrap.bootstrap_difference(y, y, y, "mae", 9, np.random.default_rng(0))
