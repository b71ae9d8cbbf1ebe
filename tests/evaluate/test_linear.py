"""Batched linear models against scikit-learn, one fit at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.evaluate import logistic
from workflow_scripts.lib.evaluate.ridge import fit_ridge
from workflow_scripts.lib.study.errors import StudyError

SHAPES = [(40, 60, 8), (120, 12, 12), (400, 30, 20)]


def simulate(n, d, out, fits=6, seed=0):
    """Draw correlated columns in wild units, labels and resamples."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * 10 ** rng.uniform(-2, 3, d) + rng.normal(size=d) * 10
    z = (x - x.mean(0)) / x.std(0)
    y = (z[:, 0] + z[:, 1] + rng.normal(size=n) > 0).astype(float)
    weights = np.ones((fits, n))
    for row in weights:
        row[rng.choice(n, out, replace=False)] = 0
    return x, y, weights


def reference_scores(x, y, weight, c):
    train = weight > 0
    scaler = StandardScaler().fit(x[train])
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(scaler.transform(x[train]), y[train])
    return model.decision_function(scaler.transform(x))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("c", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("shared", [True, False])
def test_logistic_equals_scikit_learn(shape, c, shared):
    x, y, weights = simulate(*shape)
    scores, error = logistic.fit_logistic(x, y, weights, c, shared)
    assert error.max() <= logistic.TOLERANCE
    for weight, score in zip(weights, scores, strict=True):
        reference, out = reference_scores(x, y, weight, c), weight == 0
        np.testing.assert_allclose(score, reference, atol=2e-5 * max(1, np.abs(reference).max()))
        assert roc_auc_score(y[out], score[out]) == roc_auc_score(y[out], reference[out])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("alpha", [0.1, 10.0])
def test_ridge_equals_scikit_learn(shape, alpha):
    x, _, weights = simulate(*shape)
    y = 70 + x[:, 0] / x[:, 0].std() + np.random.default_rng(1).normal(size=len(x))
    scores = fit_ridge(x, y, weights, alpha)
    for weight, score in zip(weights, scores, strict=True):
        scaler = StandardScaler().fit(x[weight > 0])
        model = Ridge(alpha, solver="cholesky").fit(scaler.transform(x[weight > 0]), y[weight > 0])
        np.testing.assert_allclose(score, model.predict(scaler.transform(x)), rtol=1e-8)


@given(st.integers(0, 10_000), st.sampled_from([0.05, 1.0, 20.0]))
@settings(max_examples=20, deadline=None)
def test_the_solution_has_no_gradient_and_no_better_neighbour(seed, c):
    x, y, weights = simulate(50, 8, 10, fits=3, seed=seed)
    if ((weights @ y == 0) | (weights @ y == weights.sum(1))).any():
        return
    problem = logistic.make_problem(x, y, weights, c)
    beta, _ = logistic.newton(problem, np.zeros((3, 9)))
    assert problem.gradient(beta)[2].max() < 1e-8
    step = np.random.default_rng(seed).normal(size=beta.shape) * 1e-3
    assert (problem.loss(beta + step) >= problem.loss(beta)).all()


def test_the_gradient_is_that_of_the_loss():
    x, y, weights = simulate(40, 5, 5, fits=2)
    problem = logistic.make_problem(x, y, weights, 0.7)
    beta = np.random.default_rng(2).normal(size=(2, 6))
    gradient, _, _ = problem.gradient(beta)
    for column in range(6):
        step = np.zeros(6)
        step[column] = 1e-6
        slope = (problem.loss(beta + step) - problem.loss(beta - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-5, atol=1e-6)


def test_the_gradient_alone_is_the_gradient_also_where_classes_are_certain():
    x, y, weights = simulate(40, 5, 5, fits=3)
    problem = logistic.make_problem(x, y, weights, 0.7)
    beta = np.random.default_rng(2).normal(size=(3, 6))
    for size in (1, 1e3):  # exp overflows at 710
        gradient, _, error = problem.gradient(size * beta)
        np.testing.assert_allclose(problem.slope(size * beta), gradient, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(problem.error(gradient), error)


def test_a_fit_does_not_depend_on_those_stepped_with_it(monkeypatch):
    x, y, weights = simulate(300, 8, 20, fits=7)
    expected, _ = logistic.fit_logistic(x, y, weights)
    monkeypatch.setattr(logistic, "SHARED_FITS", 2)
    scores, error = logistic.fit_logistic(x, y, weights)
    assert error.max() <= logistic.TOLERANCE
    np.testing.assert_allclose(scores, expected, atol=1e-9)


def test_the_published_design_needs_no_newton_step_of_its_own(monkeypatch):
    x, y, weights = simulate(600, 20, 25, fits=5)
    pooled = logistic.make_problem(x, y, np.ones((1, 600)), 1.0)
    steps = []
    slope = logistic.Problem.slope
    monkeypatch.setattr(logistic.Problem, "slope", lambda self, beta: steps.append(1) or slope(self, beta))
    _, error = logistic.shared_steps(logistic.make_problem(x, y, weights, 1.0), pooled)
    assert error.max() <= logistic.TOLERANCE
    assert len(steps) <= 12


def test_weights_may_be_counts():
    x, y, _ = simulate(60, 6, 5)
    counts = np.random.default_rng(3).integers(0, 3, size=(1, 60)).astype(float)
    repeated = np.repeat(np.arange(60), counts[0].astype(int))
    scaler = StandardScaler().fit(x[repeated])
    model = LogisticRegression(C=1, solver="newton-cholesky", tol=1e-10).fit(scaler.transform(x[repeated]), y[repeated])
    scores, _ = logistic.fit_logistic(x, y, counts)
    np.testing.assert_allclose(scores[0], model.decision_function(scaler.transform(x)), atol=1e-5)
    ridge = Ridge(1.0).fit(scaler.transform(x[repeated]), x[repeated, 0])
    np.testing.assert_allclose(fit_ridge(x, x[:, 0], counts)[0], ridge.predict(scaler.transform(x)), rtol=1e-8)


def test_units_do_not_matter():
    x, y, weights = simulate(80, 10, 10)
    other = x * 10 ** np.linspace(-3, 3, 10) + 5
    assert np.allclose(logistic.fit_logistic(x, y, weights)[0], logistic.fit_logistic(other, y, weights)[0], atol=1e-6)
    assert np.allclose(fit_ridge(x, y, weights), fit_ridge(other, y, weights), atol=1e-8)


@pytest.mark.parametrize("n_columns", [4, 90])
def test_a_column_constant_in_training_takes_no_part(n_columns):
    x, y, weights = simulate(60, n_columns, 6, fits=2)
    extra = np.zeros(60)
    extra[np.flatnonzero(weights[0] == 0)[0]] = 1.0  # varies only where resample 0 is blind
    more = np.column_stack([x, extra, np.full(60, 3.0)])
    for fit in (lambda z: logistic.fit_logistic(z, y, weights[:1])[0], lambda z: fit_ridge(z, y, weights[:1])):
        assert np.allclose(fit(x), fit(more), atol=1e-6)


def test_separable_classes_converge():
    x = np.r_[np.linspace(-2, -1, 20), np.linspace(1, 2, 20)][:, None]
    y = np.r_[np.zeros(20), np.ones(20)]
    weights = np.ones((1, 40))
    scores, error = logistic.fit_logistic(x, y, weights, 1e4)
    assert error.max() < 1e-6
    assert (scores[0, 20:] > 0).all()
    assert (scores[0, :20] < 0).all()


def test_training_on_one_class_is_refused():
    x, y, weights = simulate(40, 5, 5)
    weights[1] = y
    with pytest.raises(StudyError, match=r"resample 1 .*one class"):
        logistic.fit_logistic(x, y, weights)


def test_shared_steps_that_fail_fall_back_to_newton(monkeypatch):
    x, y, weights = simulate(60, 10, 20)
    expected, _ = logistic.fit_logistic(x, y, weights, shared=False)
    monkeypatch.setattr(logistic, "SHARED_STEPS", 1)
    scores, error = logistic.fit_logistic(x, y, weights)
    assert error.max() <= logistic.TOLERANCE
    np.testing.assert_allclose(scores, expected, atol=1e-6)
