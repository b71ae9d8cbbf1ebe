import numpy as np
import pytest
from scipy import linalg, optimize, stats

from tests.genetics import heritable
from workflow_scripts.lib.genetics import bivariate, reml
from workflow_scripts.lib.study.errors import StudyError


def dense(relatedness, y, covariates, genetic, residual):
    """REML log-likelihood as textbooks write it, for one trait or several (matrices), less log|X'X|'s constant."""
    traits = np.size(y) // len(relatedness)
    design = np.column_stack([np.ones(len(relatedness)), covariates])
    wide = np.kron(np.eye(traits), design)
    v = np.kron(np.atleast_2d(genetic), relatedness) + np.kron(np.atleast_2d(residual), np.eye(len(relatedness)))
    inverse = np.linalg.inv(v)
    inner = wide.T @ inverse @ wide
    values = np.asarray(y).T.ravel()
    p = inverse - inverse @ wide @ np.linalg.inv(inner) @ wide.T @ inverse
    logs = np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] - np.linalg.slogdet(wide.T @ wide)[1]
    free = len(values) - wide.shape[1]
    return -0.5 * (free * np.log(2 * np.pi) + logs + values @ p @ values)


@pytest.fixture(scope="module")
def small():
    """120 people, relatedness, two covariates, a pair of traits."""
    random = np.random.default_rng(7)
    values = heritable.standardised(heritable.genotypes(120, 40, 5, random).calls)
    covariates = random.normal(size=(120, 2))
    y = heritable.pair_of_traits(values, (0.6, 0.5), 0.6, 0.2, random) + covariates @ [[1.0, 0], [0.5, -2]]
    return heritable.relatedness(values), covariates, y


@pytest.fixture(scope="module")
def rotated(small):
    relatedness, covariates, y = small
    return reml.rotate(relatedness.copy(), y, covariates)


def test_the_likelihood_is_that_of_the_textbook(small, rotated):
    relatedness, covariates, y = small
    for column in (0, 1):
        fit = reml.univariate(rotated.values, rotated.traits[:, column])
        expected = dense(relatedness, y[:, column], covariates, fit.genetic, fit.residual)
        assert fit.loglik == pytest.approx(expected, abs=1e-8)
        null = optimize.minimize_scalar(
            lambda x, column=column: -dense(relatedness, y[:, column], covariates, 0.0, np.exp(x)), bounds=(-5, 5)
        )
        assert fit.lrt == pytest.approx(2 * (fit.loglik + null.fun), abs=1e-6)


def test_the_maximum_is_the_one_that_brute_force_finds(small, rotated):
    relatedness, covariates, y = small
    fit = reml.univariate(rotated.values, rotated.traits[:, 0])
    answer = optimize.minimize(
        lambda x: -dense(relatedness, y[:, 0], covariates, *np.exp(x)), [-1, -1], method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10},
    )  # fmt: skip
    genetic, residual = np.exp(answer.x)
    assert fit.h2 == pytest.approx(genetic / (genetic + residual), abs=1e-5)
    assert fit.loglik >= -answer.fun - 1e-9


def test_the_likelihood_of_two_traits_is_that_of_the_textbook(small, rotated):
    relatedness, covariates, y = small
    scale = np.sqrt((rotated.traits**2).mean(axis=0))
    for parameters in ([0.5, 0.4, 0.3, 0.5, 0.6, -0.2], [0.2, 0.9, 1.0, 0.8, 0.1, 0.5]):
        (a, b, rg), (c, d, re) = parameters[:3], parameters[3:]
        genetic = [[a, rg * np.sqrt(a * b)], [rg * np.sqrt(a * b), b]]
        residual = [[c, re * np.sqrt(c * d)], [re * np.sqrt(c * d), d]]
        expected = dense(relatedness, y / scale, covariates, genetic, residual)
        found = bivariate.loglik(np.maximum(rotated.values, 0), rotated.traits / scale, np.array(parameters))
        assert found == pytest.approx(expected, abs=1e-7)  # 240 numbers, each of the size of 1


def test_scoring_finds_the_maximum_that_a_general_optimiser_finds(small, rotated):
    values = np.maximum(rotated.values, 0)
    pair = rotated.traits / np.sqrt((rotated.traits**2).mean(axis=0))
    found = bivariate.bivariate(rotated.values, rotated.traits)
    answers = [
        optimize.minimize(
            lambda x: -bivariate.loglik(values, pair, x), [0.5, 0.5, rg, 0.5, 0.5, 0.0], method="L-BFGS-B",
            bounds=[(1e-6, 5), (1e-6, 5), (-1, 1), (1e-6, 5), (1e-6, 5), (-0.999, 0.999)],
        )
        for rg in (0.0, 0.8)
    ]  # fmt: skip
    best = min(answers, key=lambda answer: answer.fun)
    assert found.loglik == pytest.approx(-best.fun, abs=1e-4)
    assert found.loglik >= -best.fun - 1e-8
    assert found.rg == pytest.approx(best.x[2], abs=0.01)
    assert found.re == pytest.approx(best.x[5], abs=0.01)
    assert found.note == ""


def test_derivatives_are_those_of_the_likelihood(rotated):
    values, at = np.maximum(rotated.values, 0), np.array([0.5, 0.4, 0.3, 0.5, 0.6, -0.2])
    _, slopes, information = bivariate._evaluate(values, rotated.traits, at)
    average = bivariate._evaluate(values, rotated.traits, at, average=True)[2]
    numeric = [
        (bivariate.loglik(values, rotated.traits, at + e) - bivariate.loglik(values, rotated.traits, at - e)) / 2e-5
        for e in 1e-5 * np.eye(6)
    ]
    np.testing.assert_allclose(bivariate._jacobian(at).T @ slopes, numeric, rtol=1e-6, atol=1e-5)
    # the mean of minus the second derivative, and of the average information, over data drawn at these parameters
    random = np.random.default_rng(0)
    matrices = [np.array([[m[0], m[1]], [m[1], m[2]]]) for m in bivariate._matrices(at)]
    factors = np.linalg.cholesky(values[:, None, None] * matrices[0] + matrices[1])
    drawn = np.zeros((6, 6))
    for _ in range(400):
        data = (factors @ random.normal(size=(len(values), 2, 1)))[..., 0]
        drawn += bivariate._evaluate(values, data, at, average=True)[2] / 400
    scale = np.sqrt(np.diag(information))
    np.testing.assert_allclose(drawn / np.outer(scale, scale), information / np.outer(scale, scale), atol=0.05)
    assert average.shape == information.shape


def test_standard_errors_are_the_curvature_of_the_likelihood():
    random = np.random.default_rng(5)
    values = random.gamma(2, 0.5, 4000)  # many: observed, expected and average information agree
    mixed = np.linalg.cholesky(values[:, None, None] * [[0.4, 0.28], [0.28, 0.5]] + [[0.6, 0.1], [0.1, 0.5]])
    pair = (mixed @ random.normal(size=(4000, 2, 1)))[..., 0]
    fit = reml.univariate(values, pair[:, 0])
    step = 1e-3
    around = [reml._profile(values, pair[:, 0] ** 2, fit.h2 + shift)[0] for shift in (-step, 0, step)]
    assert fit.se == pytest.approx((2 * around[1] - around[0] - around[2]) ** -0.5 * step, rel=0.05)
    both = bivariate.bivariate(values, pair)
    assert both.lower < 0.28 / np.sqrt(0.2) < both.upper
    # near its top the profile likelihood is a parabola: its interval is the normal one
    assert (both.upper - both.lower) / (2 * 1.96 * both.se) == pytest.approx(1, abs=0.1)
    assert (fit.upper - fit.lower) / (2 * 1.96 * fit.se) == pytest.approx(1, abs=0.1)


def test_covariates_leave_no_trace(small):
    relatedness, covariates, y = small
    plain = reml.rotate(relatedness.copy(), y, covariates)
    shifted = reml.rotate(relatedness.copy(), y + 5 + covariates @ [[3.0, 0], [0, -7]], covariates)
    doubled = reml.rotate(relatedness.copy(), y, np.column_stack([covariates, covariates.sum(axis=1), np.ones(120)]))
    for other in (shifted, doubled):
        np.testing.assert_allclose(other.values, plain.values, atol=1e-10)
        for column in (0, 1):
            one, two = (reml.univariate(r.values, r.traits[:, column]) for r in (plain, other))
            assert two.h2 == pytest.approx(one.h2, abs=1e-8)
            assert two.loglik == pytest.approx(one.loglik, abs=1e-7)
    assert len(plain.values) == 120 - 3


def test_eigenvalues_are_those_of_the_projected_relatedness(small, rotated):
    relatedness, covariates, _ = small
    design = np.column_stack([np.ones(120), covariates])
    free = linalg.null_space(design.T)
    np.testing.assert_allclose(rotated.values, np.linalg.eigvalsh(free.T @ relatedness @ free), atol=1e-10)


def test_scale_and_sign_of_traits_change_what_they_should(rotated):
    plain, turned = rotated.traits, rotated.traits * [10.0, -0.1]
    one, two = (reml.univariate(rotated.values, traits[:, 0]) for traits in (plain, turned))
    assert two.h2 == pytest.approx(one.h2, abs=1e-9)
    assert two.genetic == pytest.approx(100 * one.genetic)
    a, b = (bivariate.bivariate(rotated.values, traits) for traits in (plain, turned))
    assert b.rg == pytest.approx(-a.rg, abs=1e-4)
    assert b.re == pytest.approx(-a.re, abs=1e-4)
    assert (b.lower, b.upper) == pytest.approx((-a.upper, -a.lower), abs=1e-3)


def test_a_trait_without_inheritance_stands_at_its_bound():
    random = np.random.default_rng(11)
    values = heritable.standardised(heritable.genotypes(200, 40, 5, random).calls)
    rotated = reml.rotate(heritable.relatedness(values), random.normal(size=(200, 60)), np.empty((200, 0)))
    fits = [reml.univariate(rotated.values, trait) for trait in rotated.traits.T]
    bound = [fit for fit in fits if fit.h2 == 0]
    assert 15 <= len(bound) <= 45  # half
    assert all("bound 0" in fit.note and fit.p == 1 and fit.lower == 0 for fit in bound)
    assert sum(fit.p < 0.05 for fit in fits) <= stats.binom.ppf(0.999, 60, 0.05)
    strongest = int(np.argmax([fit.h2 for fit in fits]))
    empty = [column for column, fit in enumerate(fits) if fit.h2 == 0][:6]
    found = [bivariate.bivariate(rotated.values, rotated.traits[:, [column, strongest]]) for column in empty]
    for both in found:  # what the traits share may lend the empty one a little, of which nothing can be said
        assert np.isnan(both.rg)
    neither = [bivariate.bivariate(rotated.values, rotated.traits[:, [empty[0], other]]) for other in empty[1:]]
    none = [both for both in neither if "at its bound 0" in both.note]
    assert none
    assert all("genetic variance of the first and second trait at its bound 0" in both.note for both in none)
    assert all(np.isnan(both.p_zero) and both.re_se > 0 for both in none)


def test_a_trait_that_is_all_inheritance_stands_at_the_other_bound():
    random = np.random.default_rng(2)
    values = heritable.standardised(heritable.genotypes(150, 60, 5, random).calls)
    y = values @ random.normal(size=(300, 1))
    rotated = reml.rotate(heritable.relatedness(values), np.column_stack([y, -y]), np.empty((150, 0)))
    fit = reml.univariate(rotated.values, rotated.traits[:, 0])
    assert fit.h2 > 0.999
    assert "residual variance at its bound" in fit.note
    both = bivariate.bivariate(rotated.values, rotated.traits)
    assert both.rg == pytest.approx(-1, abs=1e-3)
    assert both.note


def test_identical_traits_have_correlation_one(rotated):
    both = bivariate.bivariate(rotated.values, rotated.traits[:, [0, 0]] * [1, 2])
    assert both.rg == pytest.approx(1, abs=1e-3)
    assert both.upper == 1
    assert both.p_one > 0.4


def test_covariates_that_leave_nothing_are_refused(small):
    relatedness, _, y = small
    with pytest.raises(StudyError, match="115 covariates"):
        reml.rotate(relatedness.copy(), y, np.random.default_rng(0).normal(size=(120, 114)))
    with pytest.raises(StudyError, match="trait 2 does not vary among people after covariates"):
        reml.rotate(relatedness.copy(), y, y[:, 1:])
