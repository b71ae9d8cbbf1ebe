"""Which scans go on, in which stage the others stopped and why."""

import pandas as pd
import pytest

from workflow_scripts.lib.imaging.quality import judge, refuse_too_many
from workflow_scripts.lib.study.errors import StudyError

LIMITS = {"min_overlap": 0.85, "scale_range": [0.7, 1.4], "min_contrast": 0.05}


def stages(preprocessed, registered):
    first = pd.DataFrame(preprocessed, columns=["scan_id", "passed", "reason", "grey_white_contrast"])
    second = pd.DataFrame(registered, columns=["scan_id", "passed", "reason", "overlap", "scale"])
    return judge(first, second, LIMITS).set_index("scan_id")


def one(contrast=0.3, overlap=0.95, scale=1.0):
    return stages([("a", True, None, contrast)], [("a", True, None, overlap, scale)]).loc["a"]


def test_a_good_scan_is_included_without_a_reason():
    row = one()
    assert row["included"]
    assert pd.isna(row["stage"])
    assert pd.isna(row["reason"])
    assert row["overlap"] == 0.95


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({"overlap": 0.5}, "overlap with the template is 0.50, expected 0.85"),
        ({"scale": 1.5}, "scale factor to the template is 1.50, expected 0.7 to 1.4"),
        ({"scale": 0.6}, "scale factor to the template is 0.60, expected 0.7 to 1.4"),
        ({"contrast": 0.01}, "contrast of grey and white matter is 0.01, expected 0.05"),
        ({"contrast": 0.01, "overlap": 0.2}, "overlap with the template is 0.20, expected 0.85"),
    ],
)
def test_a_number_outside_its_limits_sets_a_scan_aside(numbers, reason):
    row = one(**numbers)
    assert not row["included"]
    assert row["stage"] == "qc"
    assert row["reason"] == reason


def test_limits_themselves_are_allowed():
    assert one(contrast=0.05, overlap=0.85, scale=0.7)["included"]
    assert one(scale=1.4)["included"]


def test_the_first_stage_that_failed_gives_the_reason():
    table = stages(
        [("a", True, None, 0.3), ("b", False, "truncated", None), ("c", True, None, 0.01), ("d", True, None, 0.3)],
        [("a", True, None, 0.9, 1.0), ("c", False, "no overlap at all", None, None), ("d", True, None, 0.9, 1.0)],
    )
    assert table.index.tolist() == ["a", "b", "c", "d"]
    assert table["included"].tolist() == [True, False, False, True]
    assert table.loc[["b", "c"], "stage"].tolist() == ["preprocess", "register"]
    assert table.loc[["b", "c"], "reason"].tolist() == ["truncated", "no overlap at all"]


def test_a_study_without_a_single_usable_scan_is_still_judged():
    first = pd.DataFrame({"scan_id": ["a", "b"], "passed": False, "reason": ["truncated", "zero"]})
    second = pd.DataFrame(columns=["scan_id", "passed", "reason", "overlap", "scale"])
    table = judge(first, second, LIMITS)
    assert table["reason"].tolist() == ["truncated", "zero"]
    with pytest.raises(StudyError, match=r"2 of 2 scans were set aside"):
        refuse_too_many(table, 0.1)


def test_too_many_lost_scans_stop_the_study_with_the_list():
    table = stages(
        [(name, name != "b", "truncated" if name == "b" else None, 0.3) for name in "abcd"],
        [(name, True, None, 0.9, 1.0) for name in "acd"],
    ).reset_index()
    refuse_too_many(table, 0.25)
    with pytest.raises(
        StudyError, match=r"1 of 4 scans .*max_excluded_fraction 0\.2 allows(.|\n)*  b: preprocess: trunc"
    ):
        refuse_too_many(table, 0.2)
