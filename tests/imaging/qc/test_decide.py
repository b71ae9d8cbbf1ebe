"""Which scans go on, in which stage the others stopped and why."""

import numpy as np
import pandas as pd
import pytest

from tests.imaging.qc.qc_study import WANTED, settings, study
from workflow_scripts.lib.imaging.qc import decide
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table


def judge(parts, wanted=WANTED, overrides=None, **changes):
    scans, made, placed, features = parts
    table = decide.judge(scans, (made, placed), features, list(wanted), settings(**changes), overrides)
    check_table(table, "qc_scans", "judged")
    assert table["scan_id"].tolist() == scans["scan_id"].tolist()
    return table


def first(**columns):
    return judge(study(**columns)).iloc[0]


def without(table, *numbers):
    return table.drop(index=list(numbers)).reset_index(drop=True)


def test_a_good_scan_is_included_without_a_reason_or_a_flag():
    table = judge(study())
    assert table["included"].all() and table["volume"].all()
    assert table[["stage", "reason", "flags", "override", "override_reason"]].isna().all(axis=None)
    assert table["overlap"].eq(0.95).all() and table["icv_ml"].eq(1400).all()


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"placed__overlap": {0: 0.5}}, "overlap with the template is 0.50, expected at least 0.85"),
        ({"placed__scale": {0: 1.5}}, "scale factor to the template is 1.50, expected 0.7 to 1.4"),
        ({"placed__scale": {0: 0.6}}, "scale factor to the template is 0.60, expected 0.7 to 1.4"),
        (
            {"made__grey_white_contrast": {0: 0.01}},
            "contrast of grey and white matter is 0.01, expected at least 0.05",
        ),
        ({"made__cortex_ml": {0: 64.0}}, "cortex volume is 64 ml, expected 200 to 900 ml"),
        (
            {"made__grey_white_contrast": {0: 0.01}, "placed__overlap": {0: 0.2}},
            "overlap with the template is 0.20, expected at least 0.85",
        ),
        ({"placed__overlap": {0: 0.84996}}, "overlap with the template is 0.84996, expected at least 0.85"),
        (
            {"made__grey_white_contrast": {0: None}},
            "contrast of grey and white matter could not be measured, expected at least 0.05",
        ),
    ],
)
def test_a_number_outside_its_limits_sets_a_scan_aside(columns, reason):
    row = first(**columns)
    assert not row["included"]
    assert (row["stage"], row["reason"]) == ("qc", reason)


def test_limits_themselves_are_allowed():
    assert first(made__grey_white_contrast={0: 0.05}, placed__overlap={0: 0.85}, placed__scale={0: 0.7})["included"]
    assert first(placed__scale={0: 1.4})["included"]


@pytest.mark.parametrize(
    ("columns", "flag"),
    [
        ({"made__contrast_to_noise": {0: 0.5}}, "contrast_to_noise"),
        ({"made__noise_percent": {0: 15.0}}, "noise_percent"),
        ({"made__brain_ml": {0: 500.0}}, "brain_ml"),
        ({"made__lh_euler": {0: -400.0}, "made__rh_euler": {0: -100.0}}, "euler"),
        ({"made__brain_segmented_ml": {0: 1390.0}}, "brain_to_icv"),
    ],
)
def test_a_flag_marks_a_scan_that_goes_on(columns, flag):
    row = first(**columns)
    assert row["included"] and row["flags"] == flag
    assert pd.isna(row["reason"])


def test_the_ratio_to_a_mask_that_stands_in_for_the_intracranial_volume_is_no_check():
    assert pd.isna(first(made__brain_segmented_ml={0: 1390.0}, made__icv_is_mask={0: 1.0})["flags"])


def test_a_check_can_change_what_it_does_or_do_nothing():
    parts = study(placed__overlap={0: 0.5})
    assert judge(parts, overlap={"min": 0.85, "does": "flag"})["flags"].tolist()[0] == "overlap"
    assert judge(parts, overlap={"min": 0.85, "does": "nothing"})["flags"].isna().all()
    assert judge(parts, overlap={"min": 0.4, "max": None, "does": "exclude"})["included"].all()


def test_all_failed_checks_are_flags_and_the_first_that_excludes_is_the_reason():
    row = first(placed__overlap={0: 0.5}, made__grey_white_contrast={0: 0.01}, made__noise_percent={0: 15.0})
    assert row["flags"] == "overlap;grey_white_contrast;noise_percent"
    assert row["reason"].startswith("overlap")


def test_the_first_stage_that_failed_gives_the_reason():
    scans, made, placed, features = study(
        scans__found={0: False},
        scans__reason={0: "no file sub-1.nii.gz"},
        made__passed={0: False, 1: False},
        made__reason={0: "no file sub-1.nii.gz", 1: "truncated"},
        placed__passed={2: False},
        placed__reason={2: "no overlap at all"},
        features__lh_insula_volume={3: None},
        placed__overlap={4: 0.1},
    )
    features["lh_insula_volume"] = features["lh_insula_volume"].astype(float)
    table = judge((scans, made, without(placed, 0, 1), without(features, 0, 1)))
    assert table["stage"].tolist()[:5] == ["cohort", "preprocess", "register", "features", "qc"]
    assert table["reason"].tolist()[:4] == [
        "no file sub-1.nii.gz",
        "truncated",
        "no overlap at all",
        "1 of 6 features missing, e.g. lh_insula_volume; choose a list that the tool gives (features: list)",
    ]
    assert table["included"].tolist() == [False] * 5 + [True]
    assert table["volume"].tolist() == [False, False, False, True, True, True]
    assert table["flags"].isna().tolist() == [True, True, True, True, False, True]


def test_a_scan_that_a_stage_forgot_is_not_lost_in_silence():
    scans, made, placed, features = study()
    table = judge((scans, without(made, 0), without(placed, 1), features))
    assert table["reason"].tolist()[:2] == ["preprocessing left no row for it", "registration left no row for it"]


def test_a_scan_without_a_volume_needs_no_registration_and_is_not_checked_for_it():
    scans, made, placed, features = study(made__volume={0: False}, made__grey_white_contrast={0: None})
    table = judge((scans, made, without(placed, 0), features))
    assert table["included"].all()
    assert table["volume"].tolist() == [False] + [True] * 5
    assert pd.isna(table.loc[0, "overlap"]) and pd.isna(table.loc[0, "flags"])


def test_a_tables_only_study_is_judged_without_any_registration():
    scans, made, placed, features = study(made__volume=dict.fromkeys(range(6), False))
    made = made.drop(columns=["grey_white_contrast", "contrast_to_noise", "noise_percent"])
    empty = placed.iloc[:0]
    assert judge((scans, made, empty, features))["included"].all()


def test_features_are_not_asked_for_when_none_are_wanted():
    scans, made, placed, features = study()
    table = judge((scans, made, placed, features[["scan_id", "participant_id", "icv"]]), wanted=[])
    assert table["included"].all()
    assert table["outlier_features"].isna().all()


def test_a_scan_without_a_single_feature_is_set_aside():
    scans, made, placed, features = study()
    assert judge((scans, made, placed, without(features, 0)))["reason"][0].startswith(
        "6 of 6 features missing, e.g. lh_b"
    )


def test_a_study_without_a_single_usable_scan_is_still_judged():
    scans, made, placed, features = study(2)
    made = pd.DataFrame({"scan_id": made["scan_id"], "passed": False, "reason": ["truncated", "zero"], "volume": False})
    table = judge((scans, made, placed.iloc[:0], features.iloc[:0]))
    assert table["reason"].tolist() == ["truncated", "zero"]
    with pytest.raises(StudyError, match=r"2 of 2 scans were set aside"):
        decide.refuse_too_many(table, 0.1)


def test_diagnosis_and_labels_do_not_take_part():
    plain = judge(study(placed__overlap={1: 0.5}))
    scans, *others = study(placed__overlap={1: 0.5})
    scans = scans.assign(diagnosis=["AD", "CN"] * 3, amyloid=[1, 0] * 3, conversion_years=2.0)
    pd.testing.assert_frame_equal(judge((scans, *others)), plain)


def test_mixed_versions_are_counted_and_the_rarer_is_marked():
    parts = study(made__tool_version={0: "2", 5: None}, scans__cohort={4: "ukb"})
    table = judge(parts)
    assert table["flags"].fillna("").tolist() == ["mixed_tools", "", "", "", "", "mixed_tools"]
    assert decide.count_tools(table).to_dict("list") == {
        "cohort": ["adni", "adni", "adni", "ukb"],
        "tool": ["embedded"] * 4,
        "version": ["1", "2", "unknown", "1"],
        "scans": [3, 1, 1, 1],
    }
    check_table(decide.count_tools(table), "qc_tools", "tools")
    assert judge(parts, mixed_tools="nothing")["flags"].isna().all()
    excluded = judge(parts, mixed_tools="exclude")
    assert excluded["included"].tolist() == [False, True, True, True, True, False]
    assert excluded["reason"][0] == "made by embedded 2, most of the cohort by embedded 1"


def overrides(*rows):
    return pd.DataFrame(rows, columns=["scan_id", "decision", "reason"])


def test_decisions_by_hand_prevail_over_numbers_and_are_shown():
    parts = study(placed__overlap={0: 0.5}, made__noise_percent={1: 20.0})
    by_hand = overrides(("sub-1_1", "include", "looked at it"), ("sub-2_1", "exclude", "moved"))
    table = judge(parts, overrides=by_hand)
    assert table["included"].tolist() == [True, False, True, True, True, True]
    assert (table.loc[1, "stage"], table.loc[1, "reason"]) == ("override", "excluded by hand: moved")
    assert table[["override", "override_reason"]].values.tolist()[:2] == [
        ["include", "looked at it"],
        ["exclude", "moved"],
    ]
    assert table.loc[0, "flags"] == "overlap"  # the number is still outside
    assert pd.isna(table.loc[0, "reason"]) and pd.isna(table.loc[0, "stage"])


@pytest.mark.parametrize(
    ("columns", "missing", "stage", "lacks"),
    [
        ({"scans__found": {0: False}, "scans__reason": {0: "lost"}}, "made", "cohort", "its data were not found"),
        (
            {"made__passed": {0: False}, "made__reason": {0: "bad"}},
            "placed",
            "preprocess",
            "it could not be preprocessed",
        ),
        (
            {"placed__passed": {0: False}, "placed__reason": {0: "bad"}},
            "",
            "register",
            "it has no registered volume",
        ),
        ({"features__lh_insula_volume": {0: np.nan}}, "", "features", "it lacks features that the study uses"),
    ],
)
def test_no_decision_by_hand_revives_a_scan_without_its_data(columns, missing, stage, lacks):
    table = judge(study(**columns), overrides=overrides(("sub-1_1", "include", "please")))
    row = table.iloc[0]
    assert not row["included"] and row["stage"] == stage
    assert row["reason"].endswith(f" (the override 'include' has no effect: {lacks})")


def test_too_many_lost_scans_stop_the_study_with_the_list():
    table = judge(study(4, made__passed={1: False}, made__reason={1: "truncated"}))
    decide.refuse_too_many(table, 0.25)
    with pytest.raises(
        StudyError, match=r"1 of 4 scans .*max_excluded_fraction 0\.2 allows(.|\n)*  sub-2_1: preprocess: trunc"
    ):
        decide.refuse_too_many(table, 0.2)


def test_a_long_list_says_how_many_more_there_are():
    table = judge(study(30, placed__overlap=dict.fromkeys(range(30), 0.1)))
    with pytest.raises(StudyError, match=r"  and 10 more$"):
        decide.refuse_too_many(table, 0.5)


def test_scans_excluded_by_hand_do_not_stop_the_study():
    by_hand = overrides(*[(f"sub-{number}_1", "exclude", "moved") for number in range(1, 4)])
    decide.refuse_too_many(judge(study(), overrides=by_hand), 0.1)
