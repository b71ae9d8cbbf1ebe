"""Permutation tests: exact small cases, invariances, and AUCs computed the long way."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.evaluate import permutation
from workflow_scripts.lib.study.errors import StudyError

MANY = 40_000


def draw(seed, n=8, shift=0.3):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return a, a + rng.normal(shift, 1, size=n)


def close(p, exact):
    """Five standard errors of a share of MANY."""
    return p == pytest.approx(exact, abs=5 * np.sqrt(exact * (1 - exact) / MANY) + 1 / MANY)


def flips(n):
    return np.array(list(itertools.product([-1, 1], repeat=n)))


def all_flips(difference):
    """Exact p of sign flips, ties with the observed sum counted."""
    observed = abs(difference.sum())
    return (np.abs(flips(len(difference)) @ difference) >= observed - 1e-9).mean()


def all_deals(a, b):
    pooled = np.r_[a, b]
    sums = np.array([pooled[list(chosen)].sum() for chosen in itertools.combinations(range(len(pooled)), len(a))])
    statistic = np.abs(sums / len(a) - (pooled.sum() - sums) / len(b))
    return (statistic >= abs(a.mean() - b.mean()) - 1e-9).mean()


@pytest.mark.parametrize("seed", range(3))
def test_sign_flip_approaches_the_full_enumeration(seed):
    a, b = draw(seed, n=9)
    assert close(permutation.sign_flip_test(a, b, MANY, np.random.default_rng(seed)), all_flips(a - b))


@pytest.mark.parametrize("seed, n, m", [(0, 6, 6), (1, 6, 6), (2, 4, 7), (3, 9, 2), (4, 1, 8)])
def test_unpaired_approaches_the_full_enumeration(seed, n, m):
    a, b = draw(seed, n=max(n, m))
    a, b = a[:n], b[:m]
    assert close(permutation.unpaired_test(a, b, MANY, np.random.default_rng(seed)), all_deals(a, b))


def test_ties_with_the_observed_difference_count():
    """On a lattice, as AUCs are, most permutations tie; float noise must not decide."""
    b = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    a = b + np.array([0.1, 0.1, 0.1, 0.1, -0.1, -0.1])
    exact = all_flips(np.array([1, 1, 1, 1, -1, -1]))
    assert exact == 44 / 64
    assert close(permutation.sign_flip_test(a, b, MANY, np.random.default_rng(0)), exact)
    assert close(permutation.unpaired_test(a, b, MANY, np.random.default_rng(0)), all_deals(a, b))


@pytest.mark.parametrize("test", [permutation.sign_flip_test, permutation.unpaired_test])
def test_p_is_never_0_but_by_the_literal_rule_and_is_1_without_a_difference(test):
    a = np.linspace(0.5, 0.6, 50)
    assert test(a, a + 1, 999, np.random.default_rng(0)) == 1 / 1000
    assert test(a, a + 1, 999, np.random.default_rng(0), add_one=False) == 0
    assert test(a, a.copy(), 999, np.random.default_rng(0)) == 1
    assert test(a, a[::-1].copy(), 999, np.random.default_rng(0), add_one=False) == 1  # means differ by rounding only


@pytest.mark.parametrize("test", [permutation.sign_flip_test, permutation.unpaired_test])
def test_equal_seeds_give_equal_p(test):
    a, b = draw(1, n=30)
    first, second = (test(a, b, 2500, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_many_values_agree_with_the_normal_limit():
    a, b = draw(2, n=1001, shift=0.05)
    paired = permutation.sign_flip_test(a, b, 20_000, np.random.default_rng(0))
    assert paired == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.015)
    unpaired = permutation.unpaired_test(a, b, 20_000, np.random.default_rng(0))
    assert unpaired == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.015)


@given(st.integers(1, 40), st.data())
@settings(max_examples=25, deadline=None)
def test_filled_subsets_have_their_size_and_no_strangers(n, data):
    size = data.draw(st.integers(0, n))
    rng = np.random.default_rng(n)
    filled = permutation._fill(permutation._random_bytes(-(-n // 8), 30, rng), size, n, rng)
    members = np.unpackbits(filled, axis=0, bitorder="little")
    assert (members.sum(0) == size).all()
    assert not members[n:].any()


def test_every_subset_of_a_size_is_as_likely():
    rng = np.random.default_rng(3)
    filled = permutation._fill(permutation._random_bytes(1, MANY, rng), 2, 5, rng)
    _, count = np.unique(filled, return_counts=True)
    assert len(count) == 10
    assert stats.chisquare(count).pvalue > 1e-3


def count_auc(y, score):
    """AUC by looking at every pair."""
    gap = score[y == 1][:, None] - score[y == 0]
    return (gap > 0).mean() + (gap == 0).mean() / 2


def count_r2(y, score):
    return 1 - ((y - score) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def swapped(y, a, b, metric, clusters):
    """Exact p of the swap test, every metric computed anew."""
    if metric == "auc":
        a, b = stats.rankdata(a), stats.rankdata(b)
    score = count_auc if metric == "auc" else count_r2
    people = np.unique(clusters, return_inverse=True)[1]
    found = []
    for choice in flips(people.max() + 1)[:, people] > 0:
        found.append(score(y, np.where(choice, a, b)) - score(y, np.where(choice, b, a)))
    return (np.abs(found) >= abs(score(y, a) - score(y, b)) - 1e-9).mean(), found


@pytest.mark.parametrize("metric", ["auc", "r2"])
@pytest.mark.parametrize("people", [9, 5])
@pytest.mark.parametrize("seed", range(2))
def test_swap_approaches_the_full_enumeration(metric, people, seed):
    rng = np.random.default_rng(seed)
    y = np.r_[0.0, 1, 0, 1, 0, 1, 1, 0, 1] if metric == "auc" else rng.normal(size=9)
    a, b = (y + rng.normal(size=9)).round(1), (y + 1.5 * rng.normal(size=9)).round(1)
    clusters = np.arange(9) % people  # people of both classes among them
    exact, _ = swapped(y, a, b, metric, clusters)
    p = permutation.swap_test(y, a, b, metric, MANY, np.random.default_rng(seed), clusters)
    assert close(p, exact)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_parts_add_up_to_every_swapped_difference(seed):
    rng = np.random.default_rng(seed)
    y = np.r_[0.0, 1, rng.integers(0, 2, 5)]
    a, b = rng.integers(0, 4, 7).astype(float), rng.integers(0, 4, 7).astype(float)
    _, found = swapped(y, a, b, "auc", np.arange(7))
    np.testing.assert_allclose(flips(7) @ permutation._auc_parts(y, a, b), found, atol=1e-12)


def test_swaps_do_not_see_the_scale_of_scores():
    rng = np.random.default_rng(1)
    y = (rng.random(60) < 0.5).astype(float)
    a, b = y + rng.normal(size=60), y + rng.normal(size=60)
    first, second = (
        permutation.swap_test(y, a, other, "auc", 999, np.random.default_rng(0)) for other in (b, np.exp(5 * b))
    )
    assert first == second


def test_what_cannot_be_tested_is_refused():
    with pytest.raises(StudyError, match="both classes"):
        permutation.swap_test(np.ones(3), np.arange(3), np.arange(3), "auc", 9, np.random.default_rng(0))
    with pytest.raises(ValueError, match="mae"):
        permutation.swap_test(np.ones(3), np.arange(3), np.arange(3), "mae", 9, np.random.default_rng(0))
