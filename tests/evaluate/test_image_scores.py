"""Scores of a classifier of images against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from workflow_scripts.lib.evaluate.image_scores import measure
from workflow_scripts.lib.study.errors import StudyError


def draw(seed, n=60, classes=3, digits=None):
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    logits = rng.normal(size=(n, classes)) + np.eye(classes)[y]
    logits = logits if digits is None else np.round(logits, digits)
    return y, np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@given(st.integers(0, 10**6), st.integers(2, 4), st.sampled_from([None, 0]), st.data())
@settings(max_examples=30, deadline=None)
def test_equals_scikit_learn(seed, classes, digits, data):
    """Rounded logits have ties, among images and among classes."""
    y, p = draw(seed, classes=classes, digits=digits)
    positive = data.draw(st.integers(0, classes - 1))
    found = measure(y, p, positive)
    called = p.argmax(1)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(y == positive, p[:, positive]), abs=1e-12)
    assert found["f1"] == pytest.approx(metrics.f1_score(y == positive, called == positive, zero_division=0), abs=1e-12)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(y, called), abs=1e-12)
    assert found["loss"] == pytest.approx(metrics.log_loss(y, p, labels=range(classes)), abs=1e-12)


def test_one_class_only_has_no_auc_and_the_rest():
    _, p = draw(0, classes=2)
    found = measure(np.zeros(60, dtype=int), p, 1)
    assert np.isnan(found["auc"])
    assert found["f1"] == 0
    assert found["accuracy"] == (p[:, 0] >= p[:, 1]).mean()


def test_nothing_positive_and_nothing_called_has_f1_0():
    assert measure(np.zeros(4, dtype=int), np.tile([0.9, 0.1], (4, 1)), 1)["f1"] == 0


def test_a_probability_of_0_has_a_finite_loss():
    found = measure(np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]), 1)
    assert found["loss"] == pytest.approx(-np.log(np.finfo(float).eps) / 2)


def test_diverged_training_has_no_scores():
    y, p = draw(1)
    p[4] = np.nan
    assert np.isnan(list(measure(y, p, 1).values())).all()


@pytest.mark.parametrize(
    "change, error, message",
    [
        (lambda y, p: (y, p, 3), StudyError, "positive class 3 is none of the classes 0 to 2"),
        (lambda y, p: (np.where(np.arange(60) == 7, 5, y), p, 1), StudyError, "row 7 has class 5"),
        (lambda y, p: (y, 3 * p, 1), ValueError, "sum to 3, not 1; give the softmax"),
        (lambda y, p: (y[:-1], p, 1), ValueError, "for 59 images"),
    ],
)
def test_faults_are_named(change, error, message):
    with pytest.raises(error, match=message):
        measure(*change(*draw(2)))
