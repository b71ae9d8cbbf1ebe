"""Debiasing: each method against its authors' formula written out, and what they have in common."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.brainage import debias
from workflow_scripts.lib.study.errors import StudyError


def people(seed, n=60, slope=0.6):
    rng = np.random.default_rng(seed)
    age = rng.uniform(45, 83, n)
    return age, 25 + slope * age + rng.normal(0, 3, n)


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_the_orthogonal_gap_is_the_residual_of_the_gap_on_age(seed):
    age, predicted = people(seed)
    after = debias.debias("orthogonal", debias.fit_age_line(predicted - age, age), predicted, age)
    design = np.column_stack([np.ones_like(age), age])
    projection = design @ np.linalg.pinv(design)
    np.testing.assert_allclose(after, (np.eye(len(age)) - projection) @ (predicted - age), atol=1e-8)
    assert abs(np.corrcoef(after, age)[0, 1]) < 1e-8
    assert abs(after.mean()) < 1e-9


def test_beheshti_subtracts_the_offset_of_the_training_people():
    age, predicted = people(1)
    new_age, new_predicted = people(2)
    offset = np.polyval(np.polyfit(age, predicted - age, 1), new_age)  # alpha * age + beta
    line = debias.fit_age_line(predicted - age, age)
    after = debias.debias("beheshti", line, new_predicted, new_age)
    np.testing.assert_allclose(after, (new_predicted - offset) - new_age)
    # fitted on the same people it is the orthogonal gap
    np.testing.assert_allclose(after, debias.debias("orthogonal", line, new_predicted, new_age), atol=1e-12)


def test_delange_turns_the_line_of_predicted_age_round():
    age, predicted = people(1)
    new_age, new_predicted = people(2)
    reference = stats.linregress(age, predicted)
    line = debias.fit_age_line(predicted - age, age)
    after = debias.debias("delange", line, new_predicted, new_age)
    corrected = (new_predicted - reference.intercept) / reference.slope
    np.testing.assert_allclose(after, corrected - new_age)
    # which stretches the orthogonal gap, so that it tests the same
    np.testing.assert_allclose(after, debias.debias("orthogonal", line, new_predicted, new_age) / reference.slope)
    # in the people of the line the corrected age rises one year a year
    own = debias.debias("delange", line, predicted, age) + age
    assert stats.linregress(age, own).slope == pytest.approx(1)


def test_none_leaves_the_gap():
    age, predicted = people(1)
    line = debias.fit_age_line(predicted - age, age)
    np.testing.assert_array_equal(debias.debias("none", line, predicted, age), predicted - age)


def test_debiasing_twice_changes_nothing():
    age, predicted = people(4)
    after = debias.debias("orthogonal", debias.fit_age_line(predicted - age, age), predicted, age)
    again = debias.debias("orthogonal", debias.fit_age_line(after, age), age + after, age)
    np.testing.assert_allclose(again, after, atol=1e-9)


def test_the_line_is_least_squares():
    rng = np.random.default_rng(1)
    age, gap = rng.uniform(45, 83, 30), rng.normal(size=30)
    reference = stats.linregress(age, gap)
    line = debias.fit_age_line(gap, age)
    assert (line.slope, line.intercept) == (pytest.approx(reference.slope), pytest.approx(reference.intercept))


@pytest.mark.parametrize("age", [[70.0, 71.0], [70.0, 70.0, 70.0]])
def test_a_line_needs_people_of_different_ages(age):
    with pytest.raises(StudyError, match="different ages"):
        debias.fit_age_line(np.zeros(len(age)), np.array(age))


@pytest.mark.parametrize(
    ("method", "fit_on", "message"),
    [
        ("cole", "train", "debias: found 'cole', expected one of orthogonal, beheshti, delange, none"),
        ("orthogonal", "all", "fit_on: found 'all'"),
        ("beheshti", "test", "fit_on: train"),
        ("delange", "test", "fit_on: train"),
    ],
)
def test_what_does_not_go_together_is_refused(method, fit_on, message):
    with pytest.raises(StudyError, match=message):
        debias.check_method(method, fit_on)


@pytest.mark.parametrize(("method", "fit_on"), [("orthogonal", "test"), ("none", "test"), ("delange", "train")])
def test_what_goes_together_passes(method, fit_on):
    debias.check_method(method, fit_on)


def test_delange_needs_a_model_that_sees_age():
    age, predicted = people(1, slope=0.01)
    with pytest.raises(StudyError, match=r"slope of predicted on true age.*orthogonal"):
        debias.debias("delange", debias.AgeLine(60.0, -0.99), predicted, age)
