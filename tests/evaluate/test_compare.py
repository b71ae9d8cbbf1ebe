"""Tests between representations: exact small cases, references, and type-I error by simulation."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.lib.evaluate import compare
from workflow_scripts.lib.evaluate.logistic import fit_logistic
from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.evaluate.resample import held_out


def draw(seed, n=8, shift=0.3):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return a, a + rng.normal(shift, 1, size=n)


@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_approaches_the_full_enumeration(seed):
    a, b = draw(seed)
    signs = np.array(list(itertools.product([-1, 1], repeat=len(a))))
    exact = (np.abs(signs @ (a - b)) >= abs((a - b).sum()) * (1 - 1e-12)).mean()
    p = compare.sign_flip_test(a, b, 40_000, np.random.default_rng(seed))
    assert p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 40_000))


@pytest.mark.parametrize("seed", range(3))
def test_unpaired_approaches_the_full_enumeration(seed):
    a, b = draw(seed, n=6)
    pooled = np.r_[a, b]
    sums = np.array([pooled[list(chosen)].sum() for chosen in itertools.combinations(range(12), 6)])
    difference = np.abs(2 * sums - pooled.sum()) / 6
    exact = (difference >= abs(a.mean() - b.mean()) * (1 - 1e-12)).mean()
    p = compare.unpaired_test(a, b, 40_000, np.random.default_rng(seed))
    assert p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / 40_000))


@pytest.mark.parametrize("test", [compare.sign_flip_test, compare.unpaired_test])
def test_p_is_never_0_and_is_1_without_a_difference(test):
    a = np.linspace(0.5, 0.6, 50)
    assert test(a, a + 1, 999, np.random.default_rng(0)) == 1 / 1000
    assert test(a, a.copy(), 999, np.random.default_rng(0)) == 1


def test_equal_seeds_give_equal_p():
    a, b = draw(1, n=30)
    first, second = (compare.sign_flip_test(a, b, 2500, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_corrected_t_is_the_paired_t_test_without_overlap():
    a, b = draw(4, n=20)
    found = compare.corrected_t(a - b, 0, 1000)
    reference = stats.ttest_1samp(a - b, 0)
    interval = reference.confidence_interval()
    assert found["p"] == pytest.approx(reference.pvalue)
    assert (found["lower"], found["upper"]) == pytest.approx((interval.low, interval.high))


def test_corrected_t_by_hand():
    # mean 2, sd 1, 3 values, factor 10 / (110 - 10) = 0.1: standard error sqrt(1/3 + 0.1)
    found = compare.corrected_t(np.array([1.0, 2, 3]), 10, 110)
    error = np.sqrt(1 / 3 + 0.1)
    assert found["t"] == pytest.approx(2 / error)
    assert found["upper"] - 2 == pytest.approx(stats.t.ppf(0.975, 2) * error)
    assert compare.pool_factor(100, 2431) == pytest.approx(100 / 2331)


def test_the_interval_does_not_vanish_with_more_resamples():
    values = np.random.default_rng(0).normal(size=200)
    widths = [
        np.diff([(f := compare.corrected_t(np.tile(values, k), 10, 50))["lower"], f["upper"]])[0] for k in (1, 50)
    ]
    assert widths[1] > 0.9 * 2 * 1.96 * np.sqrt(0.25)
    assert widths[1] < widths[0]


def test_equal_values():
    assert compare.corrected_t(np.zeros(5), 2, 10)["p"] == 1
    found = compare.corrected_t(np.full(5, 0.2), 2, 10)
    assert np.isnan(found["p"])
    assert (found["lower"], found["upper"]) == (pytest.approx(0.2), pytest.approx(0.2))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_holm_equals_statsmodels(p):
    np.testing.assert_allclose(compare.holm(np.array(p)), multipletests(p, method="holm")[1], atol=1e-12)


def test_holm_leaves_missing_p_out():
    found = compare.holm(np.array([0.01, np.nan, 0.04]))
    assert found[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(found[1])


def null_p_values(simulation, n=500, n_test=100, n_resamples=200):
    """Compare two equally good sets of columns on one simulated pool; return both p-values."""
    rng = np.random.default_rng([20, simulation])
    x = rng.normal(size=(n, 16))
    y = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x.sum(1)))).astype(float)
    out = held_out(np.arange(n).astype(str), n_test, range(n_resamples), simulation, "null")
    auc = [auc_rows(fit_logistic(x[:, part], y, ~out)[0], y, out) for part in (slice(0, 8), slice(8, 16))]
    known = np.isfinite(auc[0])
    a, b = auc[0][known], auc[1][known]
    return compare.sign_flip_test(a, b, 500, rng), compare.corrected_t(a - b, n_test, n)["p"]


@pytest.mark.slow
def test_type_one_error_of_the_published_and_the_corrected_test():
    """Two equally good sets of features: the published test rejects mostly, the corrected about 1 time in 20."""
    p = np.array([null_p_values(simulation) for simulation in range(200)])
    published, corrected = (p < 0.05).mean(0)
    assert published > 0.3
    assert 0.02 <= corrected <= 0.10
