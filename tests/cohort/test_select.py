"""Filters, ranges and visits of tasks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.cohort.select import absent_values, keep_visits, matches, passes
from workflow_scripts.lib.study.errors import StudyError


@pytest.mark.parametrize("values", [[1, 0, None], [1.0, 0.0, np.nan], ["1", "0", None]])
def test_numbers_match_however_they_were_read(values):
    assert matches(pd.Series(values), [1]).tolist() == [True, False, False]


def test_a_missing_value_matches_nothing():
    assert not matches(pd.Series([None, np.nan], dtype=object), ["nan", "None"]).any()


def table(**columns):
    scans = pd.DataFrame(columns)
    return scans.assign(scan_id=[f"p{row}_1" for row in range(len(scans))])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"min": 50, "max": 90}, [True, True, False, False]),
        ({"min": 50.5}, [False, True, True, False]),
        ({"max": 90}, [True, True, False, False]),
        ({"min": 90, "max": 90}, [False, True, False, False]),
        ([90], [False, True, False, False]),
    ],
)
@pytest.mark.parametrize("dtype", [object, float])
def test_ranges_hold_their_ends_and_no_empty_cell(rule, expected, dtype):
    scans = table(age=pd.Series([50, 90, 90.01, None], dtype=dtype))
    assert passes(scans, "age", rule).tolist() == expected


def test_a_range_over_words_is_refused_by_scan():
    with pytest.raises(StudyError, match="scan p1_1, column 'site': found 'b', expected a number"):
        passes(table(site=["1", "b"]), "site", {"min": 0})


def visits(*rows):
    return pd.DataFrame(rows, columns=["participant_id", "session_id", "age"])


SCANS = visits(("a", "2", 71), ("a", "1", 70), ("a", "3", 72), ("b", "m06", None), ("b", "bl", 66), ("b", "m12", 67))


def test_first_and_last_go_by_age_else_by_session():
    assert keep_visits(SCANS, "all").all()
    assert keep_visits(SCANS, "first").tolist() == [False, True, False, False, True, False]
    assert keep_visits(SCANS, "last").tolist() == [False, False, True, False, False, True]


def test_sessions_are_counted_as_people_count():
    scans = visits(("a", "10", None), ("a", "2", None), ("a", "ses9", None))
    assert keep_visits(scans, "first").tolist() == [False, True, False]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(50, 60)), max_size=20))
def test_every_participant_keeps_one_first_and_one_last_scan(rows):
    scans = visits(*[(person, str(place), float(age)) for place, (person, age) in enumerate(rows)])
    for which, end in (("first", "min"), ("last", "max")):
        kept = scans[keep_visits(scans, which)]
        assert sorted(kept["participant_id"]) == sorted(set(scans["participant_id"]))
        expected = scans.groupby("participant_id")["age"].agg(end)
        assert (kept.set_index("participant_id")["age"].sort_index() == expected).all()


def test_values_that_do_not_occur_are_named_with_those_that_do():
    scans = table(diagnosis=["CN", "AD", None], arm=["drug", "placebo", None], dose=[1.0, 2.0, np.nan])
    assert absent_values(scans, "diagnosis", ["SCZ"], "here") == "no scan has diagnosis SCZ (found AD, CN)"
    assert absent_values(scans, "arm", ["drug", "both"], "here") == "no scan has arm both (found drug, placebo)"
    assert absent_values(scans, "dose", [1, 3], "here") == "no scan has dose 3 (found 1, 2)"
    assert absent_values(scans, "diagnosis", ["CN"], "here") == ""
    empty = table(arm=pd.Series([None], dtype=object))
    assert absent_values(empty, "arm", ["drug"], "here") == "no scan has arm drug (the column is empty)"


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (
            "diagnosis",
            "HC",
            "here: found 'HC', expected one of CN, MCI, AD, SCZ, BD for column 'diagnosis'. Did you mean 'CN'",
        ),
        ("diagnosis", "scz", "Did you mean 'SCZ'"),
        ("sex", "male", "expected one of F, M for column 'sex'"),
        ("arm", "Drug", "expected the words of the table for column 'arm'. Did you mean 'drug'"),
    ],
)
def test_values_that_can_never_occur_are_refused(column, value, message):
    scans = table(diagnosis=["CN"], sex=["F"], arm=["drug"])
    with pytest.raises(StudyError) as error:
        absent_values(scans, column, [value], "here")
    assert message in str(error.value)
