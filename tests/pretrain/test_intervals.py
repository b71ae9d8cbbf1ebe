"""Intervals of predicted labels: weighted scores are scikit-learn's and scipy's, and intervals hold the truth."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, r2_score, roc_auc_score

from workflow_scripts.lib.pretrain import intervals
from workflow_scripts.lib.pretrain.intervals import Bootstrap, bootstrap_scores

DRAWS = np.random.default_rng(0)
WEIGHTS = DRAWS.integers(0, 4, (5, 30)).astype(float)


def repeated(values, weights):
    return np.repeat(values, weights.astype(int))


def test_weighted_errors_are_those_of_repeated_scans():
    y = DRAWS.normal(60, 10, 30)
    predicted = y + DRAWS.normal(1, 4, 30)
    found = intervals.weighted_errors(y, predicted, WEIGHTS, 58.0)
    for row, weights in enumerate(WEIGHTS):
        truth, guess = repeated(y, weights), repeated(predicted, weights)
        mae, naive = mean_absolute_error(truth, guess), mean_absolute_error(truth, np.full_like(truth, 58.0))
        expected = {"mae": mae, "mae_naive": naive, "mae_gain": naive - mae, "r2": r2_score(truth, guess)}
        expected["r"] = stats.pearsonr(truth, guess).statistic
        assert {name: values[row] for name, values in found.items()} == pytest.approx(expected, rel=1e-9)


def test_weighted_auc_is_that_of_repeated_scans_with_ties():
    y, predicted = (DRAWS.random(30) < 0.4).astype(float), DRAWS.random(30).round(1)
    found = intervals.weighted_auc(y, predicted, WEIGHTS)["auc"]
    expected = [roc_auc_score(repeated(y, w), repeated(predicted, w)) for w in WEIGHTS]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_draw_of_one_class_has_no_auc():
    y = np.array([1.0, 0.0, 1.0])
    weights = np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]])
    assert np.isnan(intervals.weighted_auc(y, np.arange(3.0), weights)["auc"]).tolist() == [True, False]


def test_equal_labels_have_no_correlation():
    y = np.full(12, 60.0)
    found = bootstrap_scores(y, y + np.arange(12), np.arange(12), 58.0, Bootstrap(1, 50), ("x",))
    assert found["mae"][0] > 0
    assert np.isnan(found["r"]).all() and np.isnan(found["r2"]).all()


def test_intervals_hold_the_true_error_as_often_as_they_say():
    # the mean absolute deviation of a standard normal is sqrt(2 / pi)
    truth, hits = np.sqrt(2 / np.pi), 0
    rng = np.random.default_rng(3)
    for number in range(200):
        error = rng.standard_normal(60)
        low, high = bootstrap_scores(error, np.zeros(60), np.arange(60), 0.0, Bootstrap(number, 300), ("c",))["mae"]
        hits += low <= truth <= high
    # binomial(200, .95): four standard deviations are 12, and percentiles are a little narrow at 60
    assert 175 <= hits <= 200


def test_scans_of_one_participant_are_drawn_together():
    rng = np.random.default_rng(5)
    person = np.repeat(np.arange(40), 5)
    error = np.repeat(rng.standard_normal(40) ** 2, 5)
    together = bootstrap_scores(error, 0 * error, person, 0.0, Bootstrap(1), ("c",))["mae"]
    apart = bootstrap_scores(error, 0 * error, np.arange(200), 0.0, Bootstrap(1), ("c",))["mae"]
    # copies add nothing: sqrt(5) is 2.24
    assert 1.8 < (together[1] - together[0]) / (apart[1] - apart[0]) < 2.7


def test_few_participants_have_no_interval():
    y = np.arange(30.0)
    found = bootstrap_scores(y, y, np.arange(30) // 4, 0.0, Bootstrap(1), ("c",))
    assert np.isnan(list(found.values())).all()


def test_few_of_a_class_have_no_interval():
    y = np.array([1.0] * 4 + [0.0] * 36)
    assert np.isnan(bootstrap_scores(y, np.arange(40.0), np.arange(40), None, Bootstrap(1, 50), ("c",))["auc"]).all()
    y[4] = 1
    assert np.isfinite(bootstrap_scores(y, np.arange(40.0), np.arange(40), None, Bootstrap(1, 50), ("c",))["auc"]).all()


def test_numbers_do_not_depend_on_the_size_of_a_batch(monkeypatch):
    y, people = DRAWS.normal(size=40), np.arange(40)
    once = bootstrap_scores(y, 0 * y, people, 0.0, Bootstrap(2, 100), ("c",))
    monkeypatch.setattr(intervals, "MEMORY", 3000)
    batches = bootstrap_scores(y, 0 * y, people, 0.0, Bootstrap(2, 100), ("c",))
    assert once["mae"] == pytest.approx(batches["mae"], rel=1e-12)
    assert bootstrap_scores(y, 0 * y, people, 0.0, Bootstrap(2, 100), ("d",))["mae"] != once["mae"]
