import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.pretrain import labels
from workflow_scripts.lib.pretrain.labels import Target
from workflow_scripts.lib.study.errors import StudyError

BMI, AGE = Target("bmi", "bmi", "continuous"), Target("age", "age", "bins")
SEX = Target("sex", "sex", "binary", positive="M")


def people(**columns):
    table = pd.DataFrame(columns)
    return table.assign(scan_id=[f"p{row}_1" for row in range(len(table))])


# targets


def test_a_target_of_the_config():
    assert Target.from_config("age", {"kind": "continuous"}) == Target("age", "age", "continuous")
    entry = {"column": "gender", "kind": "binary", "positive": "M", "weight": 0.5}
    assert Target.from_config("sex", entry) == Target("sex", "gender", "binary", 0.5, "M")
    # as a config with its defaults filled in has it
    filled = {"column": None, "positive": None, "low": 42, "high": 82, "width": 1, "sigma": 1, "weight": 1}
    assert Target.from_config("age", {"kind": "bins", **filled}).outputs == 40


def test_pyment_has_93_bins_from_3_to_96():
    target = Target("age", "age", "bins", low=3, high=96)
    assert target.outputs == 93
    assert len(target.edges) == 94
    assert (target.edges[0], target.edges[-1]) == (3, 96)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kind": "ordinal"}, "kind 'ordinal' is not known; choose one of continuous, binary, bins"),
        ({"column": "age"}, "key 'kind' is missing"),
        ({"kind": "continuous", "wieght": 2}, "key 'wieght' is not known"),
        ({"kind": "continuous", "weight": -1}, "weight must be 0 or more; found -1"),
        ({"kind": "continuous", "weight": math.nan}, "weight must be 0 or more; found nan"),
        ({"kind": "binary"}, "positive: M"),
        ({"kind": "bins", "low": 40, "high": 82.5}, "42.5 bins of 1"),
        ({"kind": "bins", "low": 82, "high": 42}, "-40 bins"),
        ({"kind": "bins", "low": 42, "high": 43}, "1 bins"),
        ({"kind": "bins", "sigma": -1}, "found 1.0 and -1"),
        ({"kind": "bins", "width": 0}, "found 0 and 1.0"),
    ],
)
def test_targets_that_make_no_sense_are_refused(entry, message):
    with pytest.raises(StudyError, match=f"target t: .*{message}"):
        Target.from_config("t", entry)


# encoding


def test_training_statistics_standardise_every_set():
    train = people(bmi=[20.0, 30.0, np.nan], age=[50.0, 60.0, 70.0], sex=["M", "F", None])
    values, statistics = labels.encode(train, (BMI, AGE, SEX))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, [[-1, 50, 1], [1, 60, 0], [np.nan, 70, np.nan]])
    assert statistics["bmi"] == {"mean": 25.0, "sd": 5.0, "n": 2}
    assert statistics["sex"] == {"mean": 0.5, "sd": 0.5, "n": 2}
    assert json.loads(json.dumps(statistics)) == statistics
    other, same = labels.encode(people(bmi=[40.0], age=[90.0], sex=["F"]), (BMI, AGE, SEX), statistics)
    np.testing.assert_array_equal(other, [[3, 90, 0]])
    assert same == statistics


@settings(deadline=None, max_examples=25)
@given(values=st.lists(st.one_of(st.none(), st.floats(-1e3, 1e3)), min_size=1, max_size=20))
def test_restoring_undoes_the_encoding(values):
    table = people(bmi=np.array(values, dtype=float))
    encoded, statistics = labels.encode(table, [BMI])
    restored = labels.restore(encoded, [BMI], statistics)
    np.testing.assert_allclose(restored[:, 0], table["bmi"], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("dtype", ["Int64", "object", "string"])
def test_numbers_are_read_from_whatever_pandas_made_of_them(dtype):
    table = people(age=pd.Series([50, None, 61], dtype=dtype))
    values, _ = labels.encode(table, [AGE])
    np.testing.assert_array_equal(values[:, 0], [50, np.nan, 61])


@pytest.mark.parametrize(
    ("column", "positive"),
    [
        (["left", "right", None], "left"),
        ([1.0, 2.0, np.nan], 1),
        (["1", "2", None], 1),
        (pd.array([1, 2, None], dtype="Int64"), 1),
        ([True, False, None], True),
    ],
)
def test_the_positive_value_is_1_and_all_others_0(column, positive):
    target = Target("hand", "hand", "binary", positive=positive)
    values, _ = labels.encode(people(hand=column), [target])
    np.testing.assert_array_equal(values[:, 0], [1, 0, np.nan])


def test_a_positive_value_that_never_occurs_is_refused_with_what_does():
    table = people(sex=["male", "female", "male"])
    with pytest.raises(StudyError, match="none of 3 training labels is 'M'; found 'male', 'female'"):
        labels.encode(table, [SEX])
    # held-out people may all be women
    values, _ = labels.encode(people(sex=["F", "F"]), [SEX], {"sex": {"mean": 0.5, "sd": 0.5, "n": 9}})
    assert values.ravel().tolist() == [0, 0]


def test_training_ages_outside_the_bins_are_refused():
    with pytest.raises(
        StudyError, match="2 of 3 training labels lie outside its bins from 42 to 82; they run from 30 to"
    ):
        labels.encode(people(age=[30.0, 60.0, 84.5]), [AGE])
    labels.encode(people(age=[42.0, 82.0]), [AGE])


@pytest.mark.parametrize("value", ["old", "inf", "60 y"])
def test_text_among_numbers_is_refused_by_scan(value):
    with pytest.raises(StudyError, match=f"column 'age' of scan p1_1 holds '{value}', expected a number"):
        labels.encode(people(age=["50", value]), [AGE])


def test_a_missing_column_or_statistic_is_named():
    with pytest.raises(
        StudyError, match=r"target bmi: column 'bmi' is not in the participants table, which has age, scan_id"
    ):
        labels.encode(people(age=[50.0]), [BMI])
    with pytest.raises(StudyError, match="no training statistics for target bmi; there are some for age"):
        labels.encode(people(bmi=[20.0]), [BMI], {"age": {"mean": 60, "sd": 8, "n": 3}})


def test_labels_that_are_missing_or_equal_do_no_harm():
    values, statistics = labels.encode(
        people(bmi=[np.nan, np.nan], age=[60.0, 60.0]), (BMI, Target("a", "age", "continuous"))
    )
    assert np.isnan(values[:, 0]).all()
    assert (values[:, 1] == 0).all()
    assert statistics == {"bmi": {"mean": 0, "sd": 1, "n": 0}, "a": {"mean": 60, "sd": 1, "n": 2}}


# scores

STATISTICS = {name: {"mean": 60.0, "sd": 8.0, "n": 100} for name in ("bmi", "age", "sex")}


def score(predictions, truth, target):
    """Metric -> (value, n, reason)."""
    table = labels.metrics(np.array(predictions)[:, None], np.array(truth)[:, None], [target], STATISTICS)
    assert set(table["target"]) == {target.name}
    return {row.metric: (row.value, row.n, row.reason) for row in table.itertuples()}


@pytest.mark.parametrize("target", [BMI, AGE])
def test_scores_of_numbers_in_closed_form(target):
    found = score([50.0, 63.0, 72.0, 1e9], [52.0, 60.0, 71.0, np.nan], target)
    assert found["mae"] == (pytest.approx(2), 3, "")
    assert found["mae_naive"] == (pytest.approx((8 + 0 + 11) / 3), 3, "")
    assert found["mae_gain"] == (pytest.approx((8 + 0 + 11) / 3 - 2), 3, "")
    mean = 61
    assert found["r2"] == (pytest.approx(1 - (4 + 9 + 1) / ((52 - mean) ** 2 + 1 + 100)), 3, "")
    assert found["r"][0] == pytest.approx(stats.pearsonr([50, 63, 72], [52, 60, 71]).statistic)


def test_naive_error_of_normal_labels_is_that_of_the_published_study():
    # 5.6 for body mass index means a deviation of 7: the mean absolute deviation of a normal is 0.798 of it
    truth = np.random.default_rng(0).normal(60, 7.02, 40_000)
    assert score(truth, truth, BMI)["mae_naive"][0] == pytest.approx(5.6, abs=0.05)


def test_area_under_the_curve_is_that_of_ranks():
    draws = np.random.default_rng(1)
    truth, predictions = (draws.random(50) < 0.4).astype(float), draws.random(50).round(1)
    ranks = stats.mannwhitneyu(predictions[truth == 1], predictions[truth == 0]).statistic
    expected = ranks / (truth.sum() * (1 - truth).sum())
    assert score([*predictions, 0.5], [*truth, np.nan], SEX) == {"auc": (pytest.approx(expected), 50, "")}


@pytest.mark.parametrize(
    ("truth", "predictions", "target", "metric", "reason"),
    [
        ([1.0, 1.0], [0.2, 0.9], SEX, "auc", "labels of one class only"),
        ([np.nan, np.nan], [0.2, 0.9], SEX, "auc", "no labels"),
        ([np.nan], [60.0], BMI, "mae", "no labels"),
        ([60.0], [61.0], BMI, "r2", "all labels are equal"),
        ([60.0, 70.0], [61.0, 61.0], BMI, "r", "all predictions are equal"),
    ],
)
def test_a_score_that_cannot_be_had_says_why(truth, predictions, target, metric, reason):
    value, n, why = score(predictions, truth, target)[metric]
    assert math.isnan(value)
    assert (n, why) == (np.isfinite(truth).sum(), reason)


def test_no_training_labels_leave_no_naive_predictor():
    table = labels.metrics(np.ones((2, 1)), np.array([[1.0], [2.0]]), [BMI], {"bmi": {"mean": 0, "sd": 1, "n": 0}})
    row = table.set_index("metric").loc["mae_naive"]
    assert math.isnan(row["value"])
    assert row["reason"] == "no training labels"
    assert math.isnan(table.set_index("metric").loc["mae_gain", "value"])
