"""What a scan was to a training, and the scores of each set, in people and cohorts that the network has never seen."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.pretrain import targets
from workflow_scripts.lib.pretrain.intervals import Bootstrap
from workflow_scripts.lib.pretrain.labels import Target
from workflow_scripts.lib.study.errors import LeakageError
from workflow_scripts.lib.study.tables import check_table

AGE, SEX = Target("age", "age", "continuous"), Target("sex", "sex", "binary", positive="M")
STATISTICS = {"age": {"mean": 50.0, "sd": 10.0, "n": 9}, "sex": {"mean": 0.5, "sd": 0.5, "n": 9}}


def table(*rows, last):
    parts = [(f"{person}_{session}", person, third) for person, session, third in rows]
    return pd.DataFrame(parts, columns=["scan_id", "participant_id", last])


SCANS = table(
    *[("a", 1, "ukb"), ("a", 2, "ukb"), ("b", 1, "oasis"), ("b", 2, "oasis")],
    *[("c", 1, "ukb"), ("d", 1, "oasis"), ("e", 1, "adni"), ("e", 2, "adni")],
    last="cohort",
)
SETS = table(("a", 1, "train"), ("b", 1, "validation"), last="set")


def test_new_people_are_a_test_and_new_cohorts_an_external_one():
    found = dict(zip(SCANS["scan_id"], targets.name_sets(SCANS, SETS), strict=True))
    assert found == {
        "a_1": "train",
        "a_2": "unused",  # another scan of somebody who trained is no test
        "b_1": "validation",
        "b_2": "unused",
        "c_1": "test",
        "d_1": "test",  # a cohort that chose the epoch is no new one
        "e_1": "external",
        "e_2": "external",
    }


def test_somebody_who_trained_and_chose_the_epoch_is_refused():
    both = table(("a", 1, "train"), ("a", 2, "validation"), last="set")
    with pytest.raises(LeakageError, match="both the training set and the validation set: a"):
        targets.name_sets(SCANS, both)


def predictions(people=24, sessions=1):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(people):
        cohort = "adni" if number % 2 else "top"
        for session in range(sessions):
            scan = f"p{number}_{session}"
            age, sex = 40.0 + number, float(number % 3 == 0)
            rows.append((scan, f"p{number}", cohort, "external", "age", age, age + 2))
            rows.append((scan, f"p{number}", cohort, "external", "sex", sex if number else np.nan, rng.random()))
    columns = ["scan_id", "participant_id", "cohort", "set", "target", "y", "prediction"]
    return pd.DataFrame(rows, columns=columns)


def test_scores_stand_beside_the_naive_predictor_with_intervals():
    found = targets.score_sets(predictions(), [AGE, SEX], STATISTICS, Bootstrap(1, 200), "sfcn")
    check_table(found, "target_metrics", "scores")
    scores = found[found["cohort"] == "all"].set_index(["target", "metric"])
    assert scores.loc[("age", "mae"), "value"] == pytest.approx(2)
    # ages are 40 to 63, the naive predictor says 50
    naive = np.abs(np.arange(40, 64) - 50).mean()
    assert scores.loc[("age", "mae_naive"), "value"] == pytest.approx(naive)
    assert scores.loc[("age", "mae_gain"), "value"] == pytest.approx(naive - 2)
    # the same error everywhere leaves nothing to chance
    assert scores.loc[("age", "mae"), ["lower", "upper"]].tolist() == pytest.approx([2, 2])
    low, high = scores.loc[("age", "mae_gain"), ["lower", "upper"]]
    assert low < naive - 2 < high
    assert scores.loc[("sex", "auc"), ["n", "participants"]].tolist() == [23, 23]
    assert scores["reason"].eq("").all()
    assert set(found["cohort"]) == {"all", "adni", "top"}


def test_participants_are_counted_once_and_too_few_get_no_interval():
    found = targets.score_sets(predictions(8, 3), [AGE, SEX], STATISTICS, Bootstrap(1, 50))
    row = found[found["cohort"] == "all"].set_index(["target", "metric"]).loc[("age", "mae")]
    assert (row["n"], row["participants"]) == (24, 8)
    assert np.isnan(row["lower"]) and row["value"] == pytest.approx(2)
    assert row["reason"] == "no interval from fewer than 10 participants, or 5 of a class"


def test_a_target_without_training_labels_has_no_naive_predictor_and_no_interval_of_it():
    statistics = STATISTICS | {"age": {"mean": 0.0, "sd": 1.0, "n": 0}}
    found = targets.score_sets(predictions(), [AGE, SEX], statistics, Bootstrap(1, 50))
    scores = found[found["cohort"] == "all"].set_index(["target", "metric"])
    assert scores.loc[("age", "mae_naive"), ["value", "lower", "upper"]].isna().all()
    assert scores.loc[("age", "mae"), ["value", "lower", "upper"]].notna().all()
