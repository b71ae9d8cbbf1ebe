"""The pool-corrected t test: references, by hand, and type-I error by simulation beside the published test."""

import numpy as np
import pytest
from scipy import stats

from workflow_scripts.lib.evaluate import compare
from workflow_scripts.lib.evaluate.logistic import fit_logistic
from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.evaluate.permutation import sign_flip_test
from workflow_scripts.lib.evaluate.resample import held_out


def test_corrected_t_is_the_paired_t_test_without_overlap():
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(2, 20))
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


def test_the_classical_factor_counts_those_who_train():
    # 10 left out of 110: all others train, or 40 of them
    values = np.array([1.0, 2, 3])
    pooled = compare.corrected_t(values, 10, 110)
    assert compare.corrected_t(values, 10, 110, n_train=100) == pytest.approx(pooled)
    assert compare.corrected_t(values, 10, 110, n_train=40)["t"] == pytest.approx(2 / np.sqrt(1 / 3 + 0.25))


def null_p_values(simulation, n=500, n_test=100, n_resamples=100):
    """Compare two equally good sets of columns on one simulated pool; return both p-values."""
    rng = np.random.default_rng([20, simulation])
    x = rng.normal(size=(n, 16))
    y = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x.sum(1)))).astype(float)
    out = held_out(np.arange(n).astype(str), n_test, range(n_resamples), simulation, "null")
    auc = [auc_rows(fit_logistic(x[:, part], y, ~out)[0], y, out) for part in (slice(0, 8), slice(8, 16))]
    known = np.isfinite(auc[0])
    a, b = auc[0][known], auc[1][known]
    return sign_flip_test(a, b, 500, rng), compare.corrected_t(a - b, n_test, n)["p"]


@pytest.mark.slow
def test_type_one_error_of_the_published_and_the_corrected_test():
    """Two equally good sets of features: the published test rejects mostly, the corrected about 1 time in 20."""
    p = np.array([null_p_values(simulation) for simulation in range(200)])
    published, corrected = (p < 0.05).mean(0)
    assert published > 0.3
    assert 0.02 <= corrected <= 0.10
