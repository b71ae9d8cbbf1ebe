"""Metrics by rows against scikit-learn and scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

from workflow_scripts.lib.evaluate import metrics


def draw(seed, n=30, rows=5, ties=False):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(rows, n))
    scores = np.round(scores) if ties else scores
    y = (rng.random(n) < 0.5).astype(float)
    y[:2] = 0, 1
    mask = rng.random((rows, n)) < 0.6
    mask[:, :2] = True
    return scores, y, mask


@given(st.integers(0, 10_000), st.booleans())
@settings(deadline=None)
def test_auc_equals_scikit_learn(seed, ties):
    scores, y, mask = draw(seed, ties=ties)
    expected = [roc_auc_score(y[keep], score[keep]) for score, keep in zip(scores, mask, strict=True)]
    np.testing.assert_allclose(metrics.auc_rows(scores, y, mask), expected, rtol=1e-12)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_auc_depends_on_order_alone_and_turns_over(seed):
    scores, y, mask = draw(seed)
    auc = metrics.auc_rows(scores, y, mask)
    np.testing.assert_allclose(metrics.auc_rows(np.exp(scores), y, mask), auc)
    np.testing.assert_allclose(metrics.auc_rows(-scores, y, mask), 1 - auc)


def test_auc_by_hand():
    everyone = np.ones((1, 4), dtype=bool)
    assert metrics.auc_rows(np.array([[1.0, 2, 3, 4]]), np.array([0, 1, 0, 1]), everyone)[0] == 0.75
    assert metrics.auc_rows(np.array([[1.0, 1, 1, 1]]), np.array([0, 1, 0, 1]), everyone)[0] == 0.5


def test_auc_of_one_class_is_missing():
    mask = np.array([[True, True, False], [True, True, True]])
    auc = metrics.auc_rows(np.arange(6.0).reshape(2, 3), np.array([0, 0, 1]), mask)
    assert np.isnan(auc[0])
    assert auc[1] == 1


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_continuous_metrics_equal_their_references(seed):
    scores, _, mask = draw(seed)
    y = np.random.default_rng(seed + 1).normal(70, 8, scores.shape[1])
    scores = scores + y
    rows = [(y[keep], score[keep]) for score, keep in zip(scores, mask, strict=True)]
    np.testing.assert_allclose(metrics.r2_rows(scores, y, mask), [r2_score(*row) for row in rows])
    np.testing.assert_allclose(metrics.mae_rows(scores, y, mask), [mean_absolute_error(*row) for row in rows])
    np.testing.assert_allclose(metrics.r_rows(scores, y, mask), [stats.pearsonr(*row)[0] for row in rows])


def test_pool_r2_is_0_for_the_mean_and_1_for_the_truth():
    y = np.array([60.0, 70.0, 80.0, 90.0])
    mask = np.array([[True, True, False, False], [False, False, True, True]])
    assert metrics.r2_pool_rows(np.tile(y, (2, 1)), y, mask).tolist() == [1, 1]
    assert metrics.r2_pool_rows(np.full((2, 4), y.mean()), y, mask).mean() == pytest.approx(0)


def test_r2_of_equal_labels_is_missing():
    mask = np.ones((1, 3), dtype=bool)
    assert np.isnan(metrics.r2_rows(np.ones((1, 3)), np.full(3, 2.0), mask))[0]
