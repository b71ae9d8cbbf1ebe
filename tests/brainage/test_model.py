"""The normative model, its debiasing and its metrics against closed forms and references."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.brainage import metrics, normative
from workflow_scripts.lib.study.errors import StudyError


def simulate(n=200, d=10, noise=3.0, seed=0):
    rng = np.random.default_rng(seed)
    age = rng.uniform(45, 83, n)
    x = np.outer(age, rng.normal(size=d)) + rng.normal(0, 30, (n, d)) * noise
    return pd.DataFrame(x * 10 ** rng.uniform(-2, 3, d), columns=[f"c{j}" for j in range(d)]), age


def test_alpha_0_is_ordinary_least_squares():
    table, age = simulate()
    expected = LinearRegression().fit(table, age).predict(table)
    np.testing.assert_allclose(normative.fit_age_model(table, age, 0).predict(table), expected, rtol=1e-9)


@pytest.mark.parametrize("shape", [(200, 10), (30, 50)])
def test_a_number_is_a_ridge_penalty_on_standardised_columns(shape):
    table, age = simulate(*shape)
    z = StandardScaler().fit_transform(table)
    np.testing.assert_allclose(
        normative.fit_age_model(table, age, 7.0).predict(table), Ridge(7.0).fit(z, age).predict(z), rtol=1e-9
    )


def test_auto_minimises_the_leave_one_out_error():
    table, age = simulate(24, 36)
    chosen = normative.fit_age_model(table, age, "auto").alpha
    z = StandardScaler().fit_transform(table)
    errors = []
    for alpha in normative.ALPHAS:
        out = [Ridge(alpha).fit(np.delete(z, i, 0), np.delete(age, i)).predict(z[i : i + 1])[0] for i in range(24)]
        errors.append(((np.array(out) - age) ** 2).mean())
    assert chosen == pytest.approx(normative.ALPHAS[int(np.argmin(errors))])
    assert 0 < int(np.argmin(errors)) < len(normative.ALPHAS) - 1  # the grid is wide enough to have a minimum


def test_least_squares_with_more_columns_than_people_is_refused():
    table, age = simulate(20, 30)
    with pytest.raises(StudyError, match=r"20 people and 30 columns.*auto"):
        normative.fit_age_model(table, age, 0)


def test_a_missing_number_is_named():
    table, age = simulate(20, 3)
    table.iloc[4, 1] = np.nan
    with pytest.raises(StudyError, match=r"'c1' has nan in row 4"):
        normative.fit_age_model(table, age, 1.0)


def test_constant_columns_get_no_weight():
    table, age = simulate(50, 4)
    model = normative.fit_age_model(table.assign(same=0.1), age, 1.0)
    assert model.coefficients[-1] == 0
    np.testing.assert_allclose(
        model.predict(table.assign(same=99.0)), normative.fit_age_model(table, age, 1.0).predict(table)
    )


def test_a_card_survives_json_and_columns_go_by_name():
    table, age = simulate(60, 5)
    model = normative.fit_age_model(table, age, "auto")
    again = normative.AgeModel.from_card(json.loads(json.dumps(model.card())))
    np.testing.assert_array_equal(again.predict(table[["c3", "c0", "c4", "c1", "c2"]]), model.predict(table))
    with pytest.raises(StudyError, match="'c2' is missing"):
        again.predict(table.drop(columns="c2"))


def test_a_prediction_is_the_same_to_the_last_bit_whoever_else_is_predicted():
    table, age = simulate(60, 97)
    model = normative.fit_age_model(table, age, "auto")
    together = model.predict(table)
    assert [model.predict(table.iloc[[row]])[0] for row in range(60)] == together.tolist()
    np.testing.assert_array_equal(model.predict(table.iloc[7:23]), together[7:23])


def test_out_of_fold_predictions_never_see_the_person():
    table, age = simulate(40, 60)
    folds = np.arange(40) % 5
    first = normative.out_of_fold(table, age, folds, "auto")
    moved = age.copy()
    moved[folds == 2] += 30
    second = normative.out_of_fold(table, moved, folds, "auto")
    np.testing.assert_array_equal(first[folds == 2], second[folds == 2])
    assert not np.allclose(first[folds != 2], second[folds != 2])


def test_out_of_fold_errors_are_larger_than_fitted_ones():
    table, age = simulate(60, 50)
    fitted = normative.fit_age_model(table, age, 1.0).predict(table)
    honest = normative.out_of_fold(table, age, np.arange(60) % 5, 1.0)
    assert np.abs(honest - age).mean() > 1.5 * np.abs(fitted - age).mean()


@given(st.integers(5, 200), st.floats(-0.95, 0.95))
@settings(deadline=None)
def test_fisher_interval_equals_scipy(n, target):
    rng = np.random.default_rng(n)
    a = rng.normal(size=n)
    b = target * a + np.sqrt(1 - target**2) * rng.normal(size=n)
    reference = stats.pearsonr(a, b)
    interval = reference.confidence_interval()
    assert metrics.pearson(a, b) == pytest.approx(reference.statistic)
    assert metrics.fisher_interval(metrics.pearson(a, b), n) == pytest.approx((interval.low, interval.high))


def heavy(random, n, r):
    """Draw pairs with tails of Student's t with 5 degrees of freedom."""
    pairs = random.multivariate_normal([0, 0], [[1, r], [r, 1]], n)
    return (pairs / np.sqrt(random.chisquare(5, n) / 5)[:, None]).T


def mixed(random, n, r):
    """Draw pairs of which a tenth, the patients, lie three standard deviations higher."""
    pairs = random.multivariate_normal([0, 0], [[1, r], [r, 1]], n)
    return (pairs + 3 * (random.random(n) < 0.1)[:, None]).T


@pytest.mark.parametrize(("draw", "fisher_fails"), [(heavy, 0.88), (mixed, 0.93)])
def test_intervals_of_correlations_cover_where_fishers_do_not(draw, fisher_fails):
    random = np.random.default_rng(3)
    truth = np.corrcoef(*draw(random, 300_000, 0.5))[0, 1]
    inside = np.zeros(2)
    for _ in range(500):
        a, b = draw(random, 300, 0.5)
        intervals = metrics.correlation_interval(a, b), metrics.fisher_interval(metrics.pearson(a, b), 300)
        inside += [lower < truth < upper for lower, upper in intervals]
    covered, fishers = inside / 500
    assert covered > 0.925
    assert fishers < fisher_fails


@given(st.integers(4, 300), st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_intervals_of_correlations_are_never_narrower_than_fishers(n, seed):
    a, b = np.random.default_rng(seed).normal(size=(2, n))
    lower, upper = metrics.correlation_interval(a, b)
    low, high = metrics.fisher_interval(metrics.pearson(a, b), n)
    assert lower <= low + 1e-12
    assert upper >= high - 1e-12


def test_intervals_of_perfect_and_tiny_samples_are_fishers():
    a = np.arange(10.0)
    assert metrics.correlation_interval(a, 2 * a) == metrics.fisher_interval(metrics.pearson(a, 2 * a), 10)
    assert np.isnan(metrics.correlation_interval(a[:3], a[:3])).all()
    assert np.isnan(metrics.correlation_interval(a, np.ones(10))).all()


def test_accuracy_by_hand():
    found = metrics.accuracy(np.array([50.0, 60, 70]), np.array([52.0, 60, 68]))
    assert found["mae"] == pytest.approx(4 / 3)
    assert found["r2"] == pytest.approx(1 - 8 / 200)
    assert found["r"] == pytest.approx(1)
    assert found["gap_age_r"] == pytest.approx(-1)
    assert (found["slope"], found["intercept"]) == (pytest.approx(0.8), pytest.approx(12))
    assert found["gap_mean"] == pytest.approx(0)
    assert tuple(found) == metrics.ACCURACY


def test_too_few_people_give_missing_numbers():
    assert np.isnan(metrics.fisher_interval(0.5, 3)[0])
    assert np.isnan(metrics.accuracy(np.zeros(0), np.zeros(0))["mae"])
    assert np.isnan(metrics.pearson(np.ones(5), np.arange(5.0)))
