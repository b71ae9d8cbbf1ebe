"""Resamples: disjoint, complete, reproducible, the same for everybody."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.evaluate import resample
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def people(n):
    return np.array([f"p{i:04}" for i in range(n)])


@given(st.integers(4, 60), st.integers(0, 2**31), st.data())
@settings(deadline=None)
def test_each_resample_leaves_out_exactly_so_many(n, seed, data):
    n_test = data.draw(st.integers(2, n - 2))
    out = resample.held_out(people(n), n_test, range(5), seed, "task")
    assert out.shape == (5, n)
    assert (out.sum(1) == n_test).all()


@given(st.integers(2, 20), st.integers(2, 20), st.integers(0, 1000), st.data())
@settings(deadline=None)
def test_stratified_resamples_keep_both_kinds_on_both_sides(n_negative, n_positive, seed, data):
    n = n_negative + n_positive
    n_test = data.draw(st.integers(2, n - 2))
    positive = np.random.default_rng(seed).permutation(np.arange(n) < n_positive)
    out = resample.held_out(people(n), n_test, range(4), seed, "task", positive)
    assert (out.sum(1) == n_test).all()
    for side in (out, ~out):
        assert (side[:, positive].sum(1) >= 1).all()
        assert (side[:, ~positive].sum(1) >= 1).all()


def test_stratified_shares_follow_the_classes():
    assert resample.share_out(75, 25, 20) == (15, 5)
    assert resample.share_out(99, 3, 10) == (9, 1)  # never none


@pytest.mark.parametrize("sizes", [(1, 10, 4), (10, 1, 4), (10, 10, 1)])
def test_too_few_of_a_class_is_refused(sizes):
    with pytest.raises(StudyError, match="both classes"):
        resample.share_out(*sizes)


def test_draws_do_not_depend_on_how_resamples_are_cut():
    whole = resample.held_out(people(30), 5, range(20), 7, "task")
    parts = [resample.held_out(people(30), 5, some, 7, "task") for some in (range(6), range(6, 20))]
    assert np.array_equal(whole, np.vstack(parts))


def test_task_and_seed_change_the_draws():
    first = resample.held_out(people(30), 5, range(20), 7, "task")
    assert not np.array_equal(first, resample.held_out(people(30), 5, range(20), 8, "task"))
    assert not np.array_equal(first, resample.held_out(people(30), 5, range(20), 7, "other"))


def test_everybody_is_left_out_about_equally_often():
    out = resample.held_out(people(20), 5, range(4000), 1, "task")
    # binomial(4000, 1/4): 5 standard deviations are 137
    assert np.abs(out.sum(0) - 1000).max() < 137


def test_ever_positive_looks_at_all_scans():
    ids = np.array(["a", "a", "b", "c", "c"])
    assert resample.ever_positive(np.array(["a", "b", "c"]), ids, np.array([0, 1.0, 0, 1, 1])).tolist() == [
        True,
        False,
        True,
    ]


def test_the_published_count_and_its_cap():
    assert resample.test_count(2431, 100, 0.25) == 100
    assert resample.test_count(20, 100, 0.25) == 5
    with pytest.raises(StudyError, match="1 of 5"):
        resample.test_count(5, 100, 0.25)


def test_a_participant_on_both_sides_is_refused():
    ids = np.array(["a", "a", "b", "c"])
    train = np.array([[True, True, False, False], [True, False, True, False]])
    resample.refuse_leakage(ids, train[:1], ~train[:1])
    with pytest.raises(LeakageError, match="resample 1: participant a"):
        resample.refuse_leakage(ids, train, ~train)
