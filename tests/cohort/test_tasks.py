"""Labels of tasks on hand-made histories, where the right answer can be read off."""

import pandas as pd
import pytest

from workflow_scripts.lib.cohort.tasks import (
    build_tasks,
    check_definition,
    count_left_out,
    count_tasks,
    keep_used,
    name_absent,
    say_counts,
)
from workflow_scripts.lib.study.errors import StudyError

CONVERSION = {"kind": "conversion", "window_years": 2, "filters": {"diagnosis": ["MCI"]}}
AGE = {"kind": "continuous", "column": "age", "filters": {"diagnosis": ["CN"]}}
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


@pytest.mark.parametrize(
    ("definition", "word"),
    [
        ({"kind": "multiclass"}, "multiclass"),
        ({"kind": "binary", "column": "sex", "positive": ["M"]}, "negative"),
        ({"kind": "conversion"}, "window_years"),
        ({"kind": "binary", "column": "sex", "positive": ["M"], "negative": ["F", "M"]}, "M"),
        ({"kind": "continuous", "column": "age", "window_years": 2}, "no key 'window_years'"),
        ({"kind": "continuous", "column": "age", "visits": "baseline"}, "'baseline'; choose one of all, first, last"),
        ({"kind": "continuous", "column": "age", "filters": {"age": {"min": 90, "max": 50}}}, "min 90 and max 50"),
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


AMYLOID = {"kind": "binary", "column": "amyloid", "positive": [1], "negative": [0]}


def test_a_label_counts_only_within_its_time_window():
    scans = HISTORY.assign(amyloid=1, amyloid_years=[-1.0, 1.0, 1.01, None, 0, 0, 0, 0, 0, 0, 0])
    task = {**AMYLOID, "filters": {"amyloid_years": {"min": -1, "max": 1}}}
    table = build_tasks(scans, {"amyloid": task}, set(scans["participant_id"]))
    assert set(scans["scan_id"]) - set(table["scan_id"]) == {"late_ses-1", "stable_ses-1"}


def test_lists_and_ranges_filter_together():
    scans = HISTORY.assign(age=range(65, 76), site=["a", "b", "c"] * 3 + ["a", "b"])
    task = {"kind": "continuous", "column": "age", "filters": {"age": {"min": 67, "max": 72}, "site": ["a", "b"]}}
    assert build_tasks(scans, {"age": task}, set(scans["participant_id"]))["y"].tolist() == [68, 69, 71, 72]


def test_one_visit_of_a_person_can_be_taken():
    kept = {}
    for visits in ("all", "first", "last"):
        scans = HISTORY.assign(age=[70.0] * 9 + [72.0, 70.0])
        table = build_tasks(scans, {"c": {**CONVERSION, "visits": visits}}, {"twice"})
        kept[visits] = dict(zip(table["scan_id"], table["y"], strict=True))
    assert kept["all"] == {"twice_ses-1": 0.0, "twice_ses-2": 1.0}
    assert kept["first"] == {"twice_ses-1": 0.0}
    assert kept["last"] == {"twice_ses-2": 1.0}


def test_the_first_visit_is_the_first_that_passes_everything_else():
    scans = HISTORY.assign(amyloid=[None] * 8 + [None, 1, None])
    assert build_tasks(scans, {"a": {**AMYLOID, "visits": "first"}}, {"twice"})["scan_id"].tolist() == ["twice_ses-2"]


def test_text_in_a_number_to_predict_is_refused_by_scan():
    scans = HISTORY.assign(bmi=["20.5", "high", *[None] * 9])
    with pytest.raises(StudyError, match="scan edge_ses-1, column 'bmi': found 'high'"):
        build_tasks(scans, {"bmi": {"kind": "continuous", "column": "bmi"}}, {"early", "edge"})


def test_what_a_task_leaves_out_is_counted_by_reason():
    everybody = set(HISTORY["participant_id"])
    left = count_left_out(HISTORY, {"c": CONVERSION, "ad_cn": AD_CN}, everybody)
    assert left["c"] == {
        "filter diagnosis": 2,
        "left unconverted before the window ended": 2,
        "AD already": 1,
    }
    assert left["ad_cn"] == {"another value": 9}
    # every scan is in the task or has its reason
    table = build_tasks(HISTORY, {"c": CONVERSION}, everybody)
    assert len(table) + sum(left["c"].values()) == len(HISTORY)


def test_a_class_that_nobody_has_is_explained_on_the_terminal():
    tasks = {"scz_bd": {**AD_CN, "positive": ["SCZ"], "negative": ["BD"]}, "conversion_2y": CONVERSION, "age": AGE}
    everybody = set(HISTORY["participant_id"])
    notes = name_absent(HISTORY, tasks, everybody)
    assert set(notes) == {"scz_bd"}
    counts = count_tasks(build_tasks(HISTORY, tasks, everybody), tasks, 2, notes)
    said = say_counts(counts, tasks, count_left_out(HISTORY, tasks, everybody))
    assert said.splitlines() == [
        "task           class          people  scans",
        "scz_bd         0 BD                0      0",
        "               1 SCZ               0      0",
        "               left out: 11 another value",
        "               SET ASIDE: no scan with a known label; no scan has diagnosis SCZ (found AD, CN, MCI); "
        "no scan has diagnosis BD (found AD, CN, MCI)",
        "conversion_2y  0 unconverted       3      3",
        "               1 converts          3      3",
        "               left out: 2 filter diagnosis, 2 left unconverted before the window ended, 1 AD already",
        "age            age                 1      1",
        "               left out: 10 filter diagnosis",
        "               SET ASIDE: class all has 1 participants, at least 2 are needed",
    ]


def test_a_word_that_the_column_may_not_hold_stops_the_study():
    with pytest.raises(StudyError, match=r"tasks: mine: negative: found 'HC', expected one of CN.*Did you mean 'CN'"):
        name_absent(HISTORY, {"mine": {**AD_CN, "negative": ["HC"]}}, {"healthy"})
    with pytest.raises(StudyError, match=r"tasks: mine: filters: sex: found 'f'.*Did you mean 'F'"):
        name_absent(HISTORY, {"mine": {**AD_CN, "filters": {"sex": ["f"], "age": {"min": 3}}}}, {"healthy"})
