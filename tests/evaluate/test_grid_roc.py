"""ROC curves and calibration of selected models: scikit-learn, repeated images and closed forms."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from tests.evaluate import image_grids
from workflow_scripts.lib.evaluate import delong, grid_roc, grid_units
from workflow_scripts.lib.study import tables


def draw(seed=0, n=70, digits=None):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    score = y + rng.normal(size=n)
    return y, score if digits is None else np.round(score, digits)


def make_units(splits=2, seed=0, **design):
    fits, scores, images = image_grids.simulate(np.random.default_rng(seed), splits=splits, **design)
    cells = fits.groupby("weights")["cell"].first()
    return [grid_units.score_units(scores, images["knee"], "knee", name, cell) for name, cell in cells.items()]


@pytest.mark.parametrize("digits", [None, 0])
def test_curves_are_those_of_scikit_learn(digits):
    y, score = draw(digits=digits)
    found = grid_roc.roc_curves(y == 1, score, np.ones((1, len(y))))[0]
    fpr, tpr, _ = roc_curve(y, score, drop_intermediate=False)
    between = ~np.isin(np.round(grid_roc.RATES, 9), np.round(fpr, 9))
    np.testing.assert_allclose(found[between], np.interp(grid_roc.RATES, fpr, tpr)[between], atol=1e-12)
    at_steps = [tpr[np.round(fpr, 9) == rate].max() for rate in np.round(fpr, 9)]
    np.testing.assert_allclose(grid_roc.roc_curves(y == 1, score, np.ones((1, len(y))), fpr)[0], at_steps)
    fine = np.linspace(0, 1, 200_001)
    area = np.trapezoid(grid_roc.roc_curves(y == 1, score, np.ones((1, len(y))), fine)[0], fine)
    assert area == pytest.approx(roc_auc_score(y, score), abs=1e-4)


def test_a_weight_is_a_repeated_image_and_a_class_without_weight_has_no_curve():
    y, score = draw(1, digits=1)
    weights = np.random.default_rng(2).integers(0, 4, (2, len(y)))
    weights[1, y == 1] = 0
    found = grid_roc.roc_curves(y == 1, score, weights.astype(float))
    again = np.repeat(np.arange(len(y)), weights[0])
    expected = grid_roc.roc_curves(y[again] == 1, score[again], np.ones((1, len(again))))[0]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)
    assert np.isnan(found[1]).all()


def test_the_table_of_curves():
    units = make_units(groups=120)
    table = grid_roc.roc_table(units, 300, 3)
    tables.check_table(table, "grid_roc", "roc")
    assert table.groupby("weights").size().to_dict() == {"nature": 101, "xray": 101}
    for one in units:
        own = table[table["weights"] == one.weights]
        aucs = [roc_auc_score(one.part("test", k)["positive"], one.part("test", k)["score"]) for k in (0, 1)]
        assert own["auc"].iloc[0] == pytest.approx(np.mean(aucs))
        assert (np.diff(own["tpr"]) >= -1e-12).all()
        assert own["tpr"].iloc[-1] == own["lower"].iloc[-1] == 1
        inside = (own["lower"] <= own["tpr"] + 1e-9) & (own["tpr"] <= own["upper"] + 1e-9)
        assert inside.mean() > 0.95
        assert own["auc_lower"].iloc[0] < own["auc"].iloc[0] < own["auc_upper"].iloc[0]
    assert len(grid_roc.roc_table([], 10, 1)) == len(grid_roc.calibration_table([], 10, 1)) == 0


def test_bands_and_bounds_are_those_of_the_mean_over_splits():
    """The second split is perfect: its curves are 1 in every draw, so that deviations of the mean are halved."""
    rng, n = np.random.default_rng(0), 60
    table = pd.DataFrame({"set": "test", "unit": [f"u{k:02d}" for k in range(n)], "group": [f"g{k}" for k in range(n)]})
    table["positive"] = np.arange(n) % 2 == 1
    first = table.assign(split=0, score=table["positive"] + rng.normal(size=n))
    second = table.assign(split=1, score=table["positive"] + 0.0)
    both = grid_units.Units("knee", "nature", "c", "image", pd.concat([first, second], ignore_index=True))
    alone = grid_roc.roc_table([grid_units.Units("knee", "nature", "c", "image", first)], 200, 1)
    found = grid_roc.roc_table([both], 200, 1)
    for column in ("tpr", "lower", "upper", "auc", "auc_lower", "auc_upper"):
        np.testing.assert_allclose(found[column], (1 + alone[column]) / 2, atol=1e-12)


def test_a_single_group_bounds_no_curve():
    one = make_units(1)[0]
    one.table["group"] = "g"
    assert grid_roc.roc_table([one], 20, 1)[["lower", "upper", "auc_lower", "auc_upper"]].isna().all(axis=None)


def test_the_bounds_of_the_auc_are_delongs():
    units = make_units(1, groups=400, auc=0.7)[0]
    table, test = grid_roc.roc_table([units], 1000, 3), units.part("test", 0)
    own = delong.auc_interval(test["positive"].to_numpy(float), test["score"].to_numpy())
    width = (table["auc_upper"] - table["auc_lower"]).iloc[0]
    assert width == pytest.approx(own["upper"] - own["lower"], rel=0.12)


def test_calibration_is_that_of_scikit_learn_with_bounds_over_groups():
    units = make_units(1, groups=400)[0]
    table = grid_roc.calibration_table([units], 400, 3)
    tables.check_table(table, "grid_calibration", "calibration")
    test = units.part("test", 0)
    positive, mean = calibration_curve(test["positive"], test["score"], n_bins=10, strategy="quantile")
    assert len(table) == 10
    assert table["positive"].tolist() == pytest.approx(positive.tolist())
    assert table["score"].tolist() == pytest.approx(mean.tolist())
    assert table["n"].sum() == len(test)
    assert table["brier"].iloc[0] == pytest.approx(brier_score_loss(test["positive"], test["score"]))
    # units are exams, one a group: bounds are about the binomial's
    middle = table[table["positive"].between(0.25, 0.75)]
    width = 2 * 1.96 * np.sqrt(middle["positive"] * (1 - middle["positive"]) / middle["n"])
    assert len(middle) and ((middle["upper"] - middle["lower"]) / width).between(0.7, 1.3).all()


def test_a_bin_of_one_class_has_the_exact_bound():
    table = pd.DataFrame({"set": "test", "split": 0, "unit": [f"u{k:02d}" for k in range(40)], "group": "g"})
    table["group"] = [f"g{k // 2}" for k in range(40)]
    table["positive"], table["score"] = np.arange(40) >= 20, np.linspace(0, 1, 40)
    units = grid_units.Units("knee", "nature", "c", "image", table)
    found = grid_roc.calibration_table([units], 100, 1)
    assert found["positive"].tolist() == [0, 0, 1, 1]
    exact = stats.binomtest(0, 5).proportion_ci(0.95, "exact").high  # 10 images of 5 groups
    assert found["upper"].tolist() == pytest.approx([exact, exact, 1, 1])
    assert found["lower"].tolist() == pytest.approx([0, 0, 1 - exact, 1 - exact])


def test_equal_scores_stay_in_one_bin():
    score = np.repeat([0.1, 0.2, 0.9], [50, 10, 40])
    bins = grid_roc.bin_scores(score)
    assert all(len(set(bins[score == value])) == 1 for value in set(score))
    assert (np.diff(bins) >= 0).all()
