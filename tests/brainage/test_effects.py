"""One association at a time against statsmodels, scipy and formulas written out."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.lib.brainage import effects


def simulate(n=50, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"age": rng.uniform(60, 90, n), "sex": rng.integers(0, 2, n).astype(float)})
    table["icv"] = rng.normal(1.5e6, 1e5, n)
    term = rng.integers(0, 4, n).astype(float)
    return rng.normal(0, 4, n) + 1.5 * term + 0.1 * table["age"].to_numpy(), term, table


def test_equals_the_normal_equations_written_out():
    outcome, term, table = simulate()
    found = effects.fit_effect(outcome, term, table, 0.9)
    x = np.column_stack([term, np.ones(50), table])
    beta, *_ = np.linalg.lstsq(x, outcome, rcond=None)
    df = 50 - x.shape[1]
    sigma2 = ((outcome - x @ beta) ** 2).sum() / df
    se = np.sqrt(sigma2 * np.linalg.inv(x.T @ x)[0, 0])
    width = stats.t.ppf(0.95, df) * se
    assert (found.n, found.df, found.note) == (50, df, "")
    assert (found.beta, found.se, found.t) == pytest.approx((beta[0], se, beta[0] / se), rel=1e-6)
    assert (found.lower, found.upper) == pytest.approx((beta[0] - width, beta[0] + width), rel=1e-6)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(beta[0] / se), df), rel=1e-5)


def test_equals_a_formula_of_statsmodels():
    outcome, term, table = simulate(seed=1)
    data = table.assign(gap=outcome, grade=term)
    reference = smf.ols("gap ~ grade + age + C(sex) + I(icv / 1e6)", data).fit()
    found = effects.fit_effect(outcome, term, table)
    assert (found.beta, found.p) == pytest.approx((reference.params["grade"], reference.pvalues["grade"]), rel=1e-6)
    assert found.covariates == "age, sex, icv"


def test_two_groups_without_covariates_are_students_t_test():
    rng = np.random.default_rng(2)
    ill, well = rng.normal(1, 2, 14), rng.normal(0, 2, 19)
    found = effects.fit_effect(np.r_[well, ill], np.repeat([0.0, 1.0], [19, 14]), pd.DataFrame(index=range(33)))
    reference = stats.ttest_ind(ill, well)
    assert (found.t, found.p) == pytest.approx((reference.statistic, reference.pvalue))
    interval = reference.confidence_interval()
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))


def test_covariates_that_say_nothing_do_not_enter_and_are_named():
    outcome, term, table = simulate()
    wide = table.assign(same=1.0, months=table["age"] * 12 + 5)
    found = effects.fit_effect(outcome, term, wide)
    plain = effects.fit_effect(outcome, term, table)
    assert found.note == "left out as constant or a combination of others: same, months"
    assert (found.beta, found.p) == pytest.approx((plain.beta, plain.p))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda y, x, c: (y[:14], x[:14], c[:14]), "14 people, 15 are needed"),
        (lambda y, x, c: (y, np.full(50, 2.0), c), "caa does not vary: all 50 people have 2"),
        (lambda y, x, c: (y[:0], x[:0], c[:0]), "caa does not vary: there are no people"),
        (lambda y, x, c: (y, c["age"].to_numpy() / 7, c), "caa is a combination of the covariates"),
    ],
)
def test_what_cannot_be_tested_says_why(change, note):
    outcome, term, table = simulate()
    found = effects.fit_effect(*change(outcome, term, table), term_name="caa")
    assert found.note == note
    assert np.isnan([found.beta, found.p, found.lower]).all()


def test_fifteen_people_are_just_enough():
    outcome, term, table = simulate()
    found = effects.fit_effect(outcome[:15], term[:15], table[:15])
    assert found.df == effects.LEAST_FREEDOM
    assert np.isfinite(found.p)


def test_hedges_g_by_hand():
    g, lower, upper = effects.hedges_g(np.array([3.0, 5, 7]), np.array([1.0, 2, 3, 6]))
    pooled = np.sqrt((8 + 14) / 5)  # sums of squares about 5 and 3
    exact = 0.8407487  # gamma(2.5) / (sqrt(2.5) gamma(2)); 1 - 3 / (4 * 5 - 1) = 0.842 is its approximation
    assert g == pytest.approx(exact * 2 / pooled, rel=1e-6)
    assert lower < g < upper


@given(st.integers(0, 1000), st.integers(2, 400), st.integers(2, 400), st.floats(-3, 3))
@settings(deadline=None, max_examples=40)
def test_the_interval_of_g_inverts_the_noncentral_t(seed, n, m, shift):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(shift, 1, n), rng.normal(0, 1, m)
    g, lower, upper = effects.hedges_g(a, b, 0.9)
    t = stats.ttest_ind(a, b).statistic
    correction = g / (t * np.sqrt(1 / n + 1 / m))
    centres = np.array([lower, upper]) / correction / np.sqrt(1 / n + 1 / m)
    np.testing.assert_allclose(stats.nct.cdf(t, n + m - 2, centres), [0.95, 0.05], atol=1e-6)
    assert 0.5 < correction < 1


def test_the_interval_of_g_is_the_textbooks_where_people_are_many():
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.6, 1, 900), rng.normal(0, 1, 1100)
    g, lower, upper = effects.hedges_g(a, b)
    se = np.sqrt(1 / 900 + 1 / 1100 + g**2 / (2 * 2000))  # Hedges & Olkin (1985), equation 5.15
    assert (lower, upper) == pytest.approx((g - 1.96 * se, g + 1.96 * se), abs=0.003)


@pytest.mark.parametrize("groups", [([1.0], [2.0, 3.0]), ([1.0, 1.0], [1.0, 1.0])])
def test_g_of_too_few_or_of_equal_values_is_missing(groups):
    assert np.isnan(effects.hedges_g(*map(np.array, groups))).all()


def test_adjustment_passes_over_what_was_not_tested():
    tests = pd.DataFrame({"p": [0.01, np.nan, 0.04, 0.03], "note": ""})
    found = effects.adjust(tests.copy(), 0.045)
    reference = multipletests([0.01, 0.04, 0.03], 0.045, "fdr_bh")
    assert found["q"].dropna().tolist() == pytest.approx(reference[1])
    assert found["significant"].tolist() == [True, None, True, True]
    assert list(found.columns) == ["p", "q", "significant", "note"]
    assert effects.adjust(tests.copy(), 0.035)["significant"].tolist() == [True, None, False, False]


@pytest.mark.parametrize("sizes", [(2, 2), (2, 5), (3, 3), (3, 5), (5, 5)])
def test_small_groups_far_apart_have_an_effect_size_or_none(sizes):
    random = np.random.default_rng(5)
    for shift in (0, 4, 8):
        for _ in range(20):
            g, lower, upper = effects.hedges_g(random.normal(shift, 1, sizes[0]), random.normal(0, 1, sizes[1]))
            assert np.isfinite(g)
            assert np.isnan(lower) or lower <= g
            assert np.isnan(upper) or upper >= g
