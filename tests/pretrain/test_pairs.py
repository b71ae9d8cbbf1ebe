import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.pretrain.pairs import find_pairs
from workflow_scripts.lib.study.errors import StudyError


def table(*visits):
    """Make scans of (participant, age)."""
    scans = pd.DataFrame(visits, columns=["participant_id", "age"])
    return scans.assign(scan_id=[f"{row.participant_id}_{place}" for place, row in enumerate(scans.itertuples())])


def test_all_ordered_pairs_of_a_participant_are_found():
    scans = table(("a", 60.0), ("b", 50.0), ("a", 65.0), ("a", 62.0), ("c", 70.0), ("b", 50.5))
    assert find_pairs(scans).tolist() == [[0, 2], [0, 3], [3, 2]]


def test_rows_are_counted_from_0_whatever_the_index():
    scans = table(("a", 60.0), ("a", 65.0)).set_index(pd.Index([17, 4]))
    assert find_pairs(scans).tolist() == [[0, 1]]


@pytest.mark.parametrize(("years", "found"), [(0.5, [[0, 1], [0, 2], [1, 2]]), (1.0, [[0, 2]])])
def test_a_gap_must_exceed_the_least(years, found):
    assert 64.4 - 63.4 > 1  # by rounding, which makes no difference of more than a year
    scans = table(("a", 63.4), ("a", 64.4), ("a", 65.0))
    assert find_pairs(scans, years).tolist() == found


def test_same_day_scans_are_no_pair():
    with pytest.raises(StudyError):
        find_pairs(table(("a", 60.0), ("a", 60.0)), 0.0)


def test_a_scan_without_an_age_or_a_participant_is_in_no_pair():
    scans = table(("a", 60.0), ("a", np.nan), ("a", 62.0), (None, 50.0), (None, 55.0))
    assert find_pairs(scans).tolist() == [[0, 2]]


def test_another_column_may_hold_the_years():
    scans = table(("a", np.nan), ("a", np.nan)).assign(years=[2.5, 0.0])
    assert find_pairs(scans, time="years").tolist() == [[1, 0]]


@settings(deadline=None, max_examples=50)
@given(
    visits=st.lists(
        st.tuples(st.sampled_from("abcd"), st.one_of(st.none(), st.integers(400, 900).map(lambda n: n / 10))),
        max_size=25,
    ),
    years=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
def test_pairs_are_those_of_plain_counting(visits, years):
    scans = table(*visits)
    expected = [
        (i, j)
        for i, j in itertools.product(range(len(visits)), repeat=2)
        if visits[i][0] == visits[j][0]
        and None not in (visits[i][1], visits[j][1])
        and round(visits[j][1] * 10) - round(visits[i][1] * 10) > 10 * years
    ]
    if not expected:
        with pytest.raises(StudyError):
            find_pairs(scans, years)
        return
    pairs = find_pairs(scans, years)
    assert [tuple(pair) for pair in pairs.tolist()] == expected
    # never across participants, and always forward in time
    people, ages = scans["participant_id"].to_numpy()[pairs], scans["age"].to_numpy(float)[pairs]
    assert (people[:, 0] == people[:, 1]).all()
    assert (ages[:, 0] < ages[:, 1]).all()


def test_no_pair_says_how_many_have_two_visits():
    scans = table(("a", 60.0), ("a", 60.5), ("b", 50.0), ("c", 70.0), ("c", np.nan))
    with pytest.raises(StudyError, match=r"of 3 participants 2 have two visits or more, 1 of them with 'age' .* 0\.5"):
        find_pairs(scans)


def test_a_negative_gap_is_refused():
    with pytest.raises(StudyError, match="found -1 years"):
        find_pairs(table(("a", 60.0), ("a", 62.0)), -1)
