"""Conversion on hand-made histories, each with the label that a reader would give, and the same table in the docs."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cohort.histories import HISTORIES, TASK, History, scans_of, table
from workflow_scripts.lib.cohort.conversion import complete_history, conversion_label, label_conversion
from workflow_scripts.lib.cohort.tasks import build_tasks, trace_task
from workflow_scripts.lib.study.errors import StudyError

DOCS = Path(__file__).resolve().parents[2] / ".docs" / "tasks.md"


@pytest.mark.parametrize("name", HISTORIES)
def test_every_history_has_the_label_that_the_docs_give(name):
    history = HISTORIES[name]
    traced = trace_task(scans_of({name: history}), "conversion_2y", TASK).iloc[0]
    assert traced["left_out"] == history.why
    if history.label is not None:
        assert traced["y"] == history.label


def test_histories_do_not_mix():
    together = build_tasks(scans_of(HISTORIES), {"c": TASK}, set(HISTORIES)).set_index("scan_id")["y"]
    asked = {f"{name}_1": history.label for name, history in HISTORIES.items() if history.label is not None}
    assert {scan: y for scan, y in together.items() if scan.endswith("_1")} == asked


def test_the_docs_show_these_histories():
    assert table() in DOCS.read_text(), "./run python -m tests.cohort.histories"


def test_every_scan_of_a_participant_has_its_own_window():
    visits = {"p": History("", ((70.0, "MCI"), (72.0, "MCI"), (73.5, "AD"), (74.0, "AD")), 0)}
    label, why = label_conversion(scans_of(visits), 2)
    assert label.tolist()[:2] == [0, 1]
    assert label[2:].isna().all()
    assert why.tolist() == ["", "", "AD already", "AD already"]


def test_slack_excuses_an_early_last_visit_and_no_late_conversion():
    conversion, followup = pd.Series([np.nan, np.nan, 2.1]), pd.Series([1.8, 1.7, 2.1])
    assert conversion_label(conversion, followup, 2).tolist()[2] == 0
    assert conversion_label(conversion, followup, 2)[:2].isna().all()
    excused = conversion_label(conversion, followup, 2, slack=0.25)
    assert excused.isna().tolist() == [False, True, False]
    assert excused[[0, 2]].tolist() == [0, 0]


def test_years_that_contradict_the_scans_are_told(caplog):
    scans = scans_of({"p": History("", ((70.0, "MCI"), (71.0, "AD")), 0, "", (4.0, 6.0))})
    with caplog.at_level(logging.WARNING):
        history = complete_history(scans)
    assert history["conversion_years"][0] == 4
    assert "1 scans have a conversion_years later than" in caplog.text
    assert "p_1 (4.0 years, that scan after 1)" in caplog.text


def test_text_among_the_years_is_refused_by_scan():
    scans = scans_of({"p": HISTORIES["inside"]}).astype({"conversion_years": object})
    scans.loc[0, "conversion_years"] = "soon"
    with pytest.raises(StudyError, match="scan p_1, column 'conversion_years': found 'soon', expected a number"):
        complete_history(scans)


people = st.lists(st.tuples(st.one_of(st.none(), st.floats(0.01, 20)), st.floats(0, 20)), min_size=1, max_size=30)


@given(people, st.floats(0.1, 5), st.floats(0.1, 5))
@settings(deadline=None, max_examples=30)
def test_a_longer_window_only_adds_converters(people, window, more):
    conversion = pd.Series([person[0] for person in people], dtype=float)
    followup = pd.Series([max(person[1], person[0] or 0) for person in people])
    short, long = (conversion_label(conversion, followup, years) for years in (window, window + more))
    assert (long[short == 1] == 1).all()
    assert (short[long == 0] == 0).all()  # seen unconverted for the longer window


diagnoses = st.lists(st.sampled_from(["CN", "MCI", "AD"]), min_size=1, max_size=6)


@given(diagnoses, st.floats(0.3, 2.0), st.sampled_from([2, 3, 5]))
@settings(deadline=None, max_examples=30)
def test_labels_from_visits_are_those_of_the_same_years_in_columns(diagnoses, step, window):
    ages = [60 + step * visit for visit in range(len(diagnoses))]
    by_visits, _ = label_conversion(scans_of({"p": History("", tuple(zip(ages, diagnoses, strict=True)), 0)}), window)
    ill = [age for age, diagnosis in zip(ages, diagnoses, strict=True) if diagnosis == "AD"]
    for place, age in enumerate(ages):
        # by hand: look forward from this scan, visit by visit
        if ill and age >= ill[0]:
            expected = None
        elif ill and ill[0] - age <= window + 1e-6:
            expected = 1
        else:
            expected = 0 if (ill or ages[-1] - age >= window - 1e-6) else None
        assert (None if pd.isna(by_visits[place]) else by_visits[place]) == expected


def test_the_table_may_lack_both_columns():
    scans = scans_of({"a": HISTORIES["told_by_visits"], "b": HISTORIES["told_left"]})
    bare = scans.drop(columns=["conversion_years", "followup_years"])
    pd.testing.assert_series_equal(label_conversion(bare, 2)[0], label_conversion(scans, 2)[0])
