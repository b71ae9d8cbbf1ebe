"""Labels of tasks on hand-made histories, where the right answer can be read off."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.cohort.tasks import (
    build_tasks,
    check_definition,
    conversion_label,
    count_tasks,
    keep_used,
    matches,
)
from workflow_scripts.lib.study.errors import StudyError

CONVERSION = {"kind": "conversion", "window_years": 2, "filters": {"diagnosis": ["MCI"]}}
AD_CN = {"kind": "binary", "column": "diagnosis", "positive": ["AD"], "negative": ["CN"]}


def history(rows):
    """Build a scans table of (participant, session, diagnosis, conversion, followup)."""
    columns = ["participant_id", "session_id", "diagnosis", "conversion_years", "followup_years"]
    scans = pd.DataFrame(rows, columns=columns)
    scans["scan_id"] = scans["participant_id"] + "_" + scans["session_id"]
    return scans.assign(age=70.0, amyloid=[None if i % 2 else 1 for i in range(len(scans))], sex="F")


HISTORY = history(
    [
        ("early", "ses-1", "MCI", 1.5, 6.0),  # converts inside the window
        ("edge", "ses-1", "MCI", 2.0, 2.0),  # converts on its last day
        ("late", "ses-1", "MCI", 3.0, 3.0),  # converts after it
        ("stable", "ses-1", "MCI", None, 4.0),  # never seen to convert, seen throughout
        ("left", "ses-1", "MCI", None, 1.9),  # left before its end
        ("unknown", "ses-1", "MCI", None, None),  # never seen again
        ("reverted", "ses-3", "MCI", -1.0, 5.0),  # had converted before this scan
        ("healthy", "ses-1", "CN", None, 9.0),  # not MCI
        ("twice", "ses-1", "MCI", 3.5, 3.5),  # 0 at this scan
        ("twice", "ses-2", "MCI", 1.5, 1.5),  # 1 two years later
        ("ill", "ses-1", "AD", 0.0, 3.0),  # AD already
    ]
)


def test_conversion_on_hand_made_histories():
    table = build_tasks(HISTORY, {"conversion_2y": CONVERSION}, set(HISTORY["participant_id"]))
    found = dict(zip(table["scan_id"], table["y"], strict=True))
    assert found == {
        "early_ses-1": 1.0,
        "edge_ses-1": 1.0,
        "late_ses-1": 0.0,
        "stable_ses-1": 0.0,
        "twice_ses-1": 0.0,
        "twice_ses-2": 1.0,
    }
    assert set(table["kind"]) == {"binary"}


@given(
    st.lists(st.tuples(st.one_of(st.none(), st.floats(0.01, 20)), st.floats(0, 20)), min_size=1, max_size=30),
    st.floats(0.1, 5),
    st.floats(0.1, 5),
)
@settings(deadline=None)
def test_a_longer_window_only_adds_converters(people, window, more):
    conversion = pd.Series([person[0] for person in people], dtype=float)
    followup = pd.Series([max(person[1], person[0] or 0) for person in people])
    short, long = (conversion_label(conversion, followup, years) for years in (window, window + more))
    assert (long[short == 1] == 1).all()
    assert (short[long == 0] == 0).all()  # seen unconverted for the longer window


def test_only_evaluate_people_and_known_labels_enter():
    tasks = {"ad_cn": AD_CN, "amyloid": {"kind": "binary", "column": "amyloid", "positive": [1], "negative": [0]}}
    table = build_tasks(HISTORY, tasks, {"healthy", "ill"})
    assert sorted(table.loc[table["task"] == "ad_cn", "scan_id"]) == ["healthy_ses-1", "ill_ses-1"]
    assert table.loc[table["task"] == "ad_cn", "y"].sum() == 1
    assert list(table.loc[table["task"] == "amyloid", "scan_id"]) == ["ill_ses-1"]


def test_continuous_task_keeps_its_unit_and_its_filter():
    tasks = {"age": {"kind": "continuous", "column": "age", "filters": {"diagnosis": ["CN"]}}}
    table = build_tasks(HISTORY, tasks, set(HISTORY["participant_id"]))
    assert table[["kind", "scan_id", "y"]].values.tolist() == [["continuous", "healthy_ses-1", 70.0]]


@pytest.mark.parametrize("values", [[1, 0, None], [1.0, 0.0, np.nan], ["1", "0", None]])
def test_numbers_match_however_they_were_read(values):
    assert matches(pd.Series(values), [1]).tolist() == [True, False, False]


def test_a_missing_value_matches_nothing():
    assert not matches(pd.Series([None, np.nan], dtype=object), ["nan", "None"]).any()


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        ({"kind": "multiclass"}, "multiclass"),
        ({"kind": "binary", "column": "sex", "positive": ["M"]}, "negative"),
        ({"kind": "conversion"}, "window_years"),
        ({"kind": "binary", "column": "sex", "positive": ["M"], "negative": ["F", "M"]}, "M"),
    ],
)
def test_unusable_definitions_are_named(definition, word):
    with pytest.raises(StudyError, match=f"mine.*{word}"):
        check_definition("mine", definition)


def test_an_absent_column_is_named_with_the_remedy():
    task = {"kind": "continuous", "column": "tau"}
    with pytest.raises(StudyError, match=r"'tau'.*label_columns"):
        build_tasks(HISTORY, {"tau": task}, {"healthy"})


def test_counts_and_reasons():
    tasks = {"conversion_2y": CONVERSION, "ad_cn": AD_CN, "nobody": {**AD_CN, "filters": {"sex": ["M"]}}}
    table = build_tasks(HISTORY, tasks, set(HISTORY["participant_id"]))
    counts = count_tasks(table, tasks, 2).set_index(["task", "class"])
    assert counts.loc[("conversion_2y", "0"), ["participants", "scans", "used"]].tolist() == [3, 3, "true"]
    assert counts.loc[("conversion_2y", "1"), ["participants", "scans", "used"]].tolist() == [3, 3, "true"]
    assert "1 participants, at least 2" in counts.loc[("ad_cn", "0"), "reason"]
    assert counts.loc[("nobody", "1"), "reason"] == "no scan with a known label"
    kept = keep_used(table, counts.reset_index())
    assert set(kept["task"]) == {"conversion_2y"}


def test_no_task_gives_an_empty_table():
    table = build_tasks(HISTORY, {"ad_cn": AD_CN}, set())
    assert table.empty
    assert list(table.columns) == ["task", "kind", "scan_id", "participant_id", "y"]
    assert set(count_tasks(table, {"ad_cn": AD_CN}, 2)["used"]) == {"false"}
