"""Who trains: balance, shortage, first sessions, folds."""

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.brainage import sample
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

EDGES = [44, 54, 64, 74, 84]


def crowd(n=400, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"p{i:04}" for i in range(n)]
    return pd.DataFrame({"participant_id": ids, "age": rng.uniform(40, 90, n), "sex": rng.choice(["F", "M"], n)})


@given(st.integers(0, 1000), st.integers(1, 60))
@settings(deadline=None, max_examples=30)
def test_every_bucket_gives_what_it_can(seed, per_bucket):
    people = crowd(seed=seed % 5)
    drawn, buckets = sample.draw_balanced(people, EDGES, per_bucket, seed)
    assert (buckets["drawn"] == np.minimum(per_bucket, buckets["available"])).all()
    cut = pd.cut(drawn["age"], EDGES, right=False, labels=EDGES[:-1]).astype(int)
    counts = drawn.groupby([cut, "sex"]).size()
    for row in buckets.to_dict("records"):
        assert counts.get((row["lower"], row["sex"]), 0) == row["drawn"]


def test_bucket_edges_are_whole_years():
    people = pd.DataFrame({"participant_id": list("abc"), "age": [53.9, 54.0, 84.0], "sex": ["F", "F", "F"]})
    drawn, buckets = sample.draw_balanced(people, EDGES, 5, 1)
    assert list(drawn["participant_id"]) == ["a", "b"]  # 44-53 holds 53.9; 74-83 ends before 84
    assert buckets.set_index(["lower", "sex"]).loc[(54, "F"), "drawn"] == 1


def test_the_draw_does_not_depend_on_row_order_and_shortage_is_said(caplog):
    people = crowd(60)
    with caplog.at_level(logging.WARNING):
        drawn, buckets = sample.draw_balanced(people, EDGES, 7, 1)
    assert "short of the 7 wanted: all taken" in caplog.text
    short = buckets[buckets["note"] != ""]
    assert len(short) > 0
    assert (short["drawn"] == short["available"]).all()
    assert (short["note"].str.split().str[0].astype(int) == 7 - short["drawn"]).all()
    assert (buckets.loc[buckets["note"] == "", "drawn"] == 7).all()
    check_table(buckets, "age_buckets", "buckets")
    again, _ = sample.draw_balanced(people.sample(frac=1, random_state=3), EDGES, 7, 1)
    assert set(drawn["participant_id"]) == set(again["participant_id"])
    other, _ = sample.draw_balanced(crowd(), EDGES, 7, 2)
    assert set(other["participant_id"]) != set(sample.draw_balanced(crowd(), EDGES, 7, 1)[0]["participant_id"])


def test_nobody_in_range_and_bad_edges_are_refused():
    with pytest.raises(StudyError, match="nobody"):
        sample.draw_balanced(crowd().assign(age=20.0), EDGES, 5, 1)
    with pytest.raises(StudyError, match="increasing"):
        sample.draw_balanced(crowd(), [50, 50, 60], 5, 1)


def test_first_session_is_the_youngest_not_the_alphabetically_first():
    scans = pd.DataFrame(
        {
            "participant_id": ["a", "a", "b", "b"],
            "session_id": ["ses-10", "ses-9", "ses-1", "ses-2"],
            "age": [72.0, 71.0, np.nan, 60.0],
        }
    )
    assert sample.first_sessions(scans)["session_id"].tolist() == ["ses-9", "ses-2"]


@given(st.integers(2, 8), st.integers(0, 100))
@settings(deadline=None, max_examples=30)
def test_folds_are_even_and_by_participant(n_folds, seed):
    people = crowd(90)
    folds = sample.assign_folds(people, EDGES, n_folds, seed)
    sizes = np.bincount(folds, minlength=n_folds)
    assert sizes.max() - sizes.min() <= 1
    order = np.random.default_rng(seed).permutation(90)
    assert np.array_equal(sample.assign_folds(people.iloc[order], EDGES, n_folds, seed), folds[order])
