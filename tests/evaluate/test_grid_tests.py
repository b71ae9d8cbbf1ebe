"""Tests between selected models: the seed's printed Tables 13 and 14, other programs, and simulated truth."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from tests.evaluate import image_grids, seed_runs
from workflow_scripts.lib.evaluate import bootstrap, delong
from workflow_scripts.lib.evaluate import grid_ranks as ranks
from workflow_scripts.lib.evaluate import grid_tests as tests
from workflow_scripts.lib.evaluate import grid_units as units
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

PRINTED = json.loads((seed_runs.DATA / "seed003_anchors.json").read_text())


def make_units(name, score, y, group=None, split=0, which="test"):
    """Return units whose score is given."""
    n = len(y)
    table = pd.DataFrame({"set": which, "split": split, "unit": [f"u{k:04d}" for k in range(n)], "score": score})
    group = np.arange(n) if group is None else group
    return units.Units("knee", name, f"cell.{name}", "exam", table.assign(group=group.astype(str), positive=y == 1))


def join(*parts):
    first = parts[0]
    table = pd.concat([part.table for part in parts], ignore_index=True)
    return units.Units(first.dataset, first.weights, first.cell, first.kind, table)


def decided(name, y, right):
    """Return units decided so; validation has its threshold at 0.5."""
    validation = make_units(name, np.array([0.2, 0.8]), np.array([0, 1]), which="validation")
    return join(make_units(name, np.where(right == (y == 1), 0.9, 0.1), y), validation)


@pytest.mark.parametrize("dataset", ["acl", "breast"])
def test_mcnemar_gives_the_printed_values_of_table_13(dataset):
    printed, (positives, negatives) = PRINTED["mcnemar"][dataset], seed_runs.COUNTS[dataset]
    only_a, only_b = printed["implied_discordant"]
    y = np.repeat([1, 0], [positives, negatives])
    a, b = np.ones(len(y), dtype=bool), np.ones(len(y), dtype=bool)
    b[:only_a] = False
    a[only_a : only_a + only_b] = False
    row = tests.compare_units(decided("a", y, a), decided("b", y, b), 100, 1).iloc[0]
    assert (row["only_a"], row["only_b"]) == (only_a, only_b)
    assert row["chi2_mcnemar"] == pytest.approx(printed["chi2"], abs=5.1e-4)
    assert float(f"{row['p_mcnemar']:.4g}") == printed["p"]
    assert row["p_mcnemar_exact"] == pytest.approx(printed["exact_p"], rel=1e-12)
    assert row["threshold_a"] == row["threshold_b"] == 0.5
    plain = reference_mcnemar([[0, only_a], [only_b, 0]], exact=False, correction=False)
    assert row["p_mcnemar_clustered"] == pytest.approx(plain.pvalue, rel=1e-12)  # each unit its own group


def test_decisions_that_are_copied_are_no_new_evidence():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 60)) < [[0.9], [0.7]]
    once = tests.clustered_mcnemar(a, b, np.arange(60))
    thrice = tests.clustered_mcnemar(np.repeat(a, 3), np.repeat(b, 3), np.repeat(np.arange(60), 3))
    assert thrice == pytest.approx(once)
    assert tests.clustered_mcnemar(np.repeat(a, 3), np.repeat(b, 3), np.arange(180))["p"] < 0.1 * once["p"]
    assert tests.clustered_mcnemar(a, a, np.arange(60)) == {"chi2": 0.0, "p": 1.0}


@pytest.mark.parametrize("dataset, w, p", [("breast", 936.5, 0.7959), ("acl", 622.5, 0.003987)])
def test_rank_sums_are_those_of_table_14_with_ties_kept(dataset, w, p):
    runs = seed_runs.read_runs()
    noise = np.random.default_rng(0).normal(scale=3e-8, size=len(runs))
    table = ranks.ranks_table(
        runs.assign(test_auc=runs["test_auc"] + noise), seed_runs.class_counts(runs), seed_runs.KEYS
    )
    tables.check_table(table, "grid_ranks", "ranks")
    row = table.set_index("dataset").loc[dataset]
    assert (row["a"], row["cells_a"], row["cells_b"], row["pairs"]) == ("ImageNet", 44, 44, 44)
    assert row["w"] == w
    assert float(f"{row['p_rank_sum']:.4g}") == p
    assert row["p_rank_sum"] == pytest.approx(PRINTED["wilcoxon_rank_sum"][dataset]["p"], rel=0.02)


def test_the_signed_rank_test_is_that_of_matched_cells():
    runs = seed_runs.read_runs().query("dataset == 'acl'")
    row = ranks.ranks_table(runs, seed_runs.class_counts(runs), seed_runs.KEYS).iloc[0]
    wide = runs.pivot_table(
        index=[key for key in seed_runs.KEYS if key != "weights"], columns="weights", values="test_auc"
    )
    steps = np.round((wide["ImageNet"] - wide["RadImageNet"]) * 2 * 58 * 45)  # whole numbers: ties are ties
    expected = stats.wilcoxon(steps[steps != 0], correction=True, method="approx")
    assert row["p_signed_rank"] == pytest.approx(expected.pvalue, rel=1e-9)
    order = stats.rankdata(np.abs(steps[steps != 0]))
    assert row["v"] == order[(steps[steps != 0] > 0).to_numpy()].sum()
    assert row["mean_difference"] == pytest.approx((wide["ImageNet"] - wide["RadImageNet"]).mean())


def test_cells_are_means_over_splits_each_on_its_own_lattice():
    fits = pd.DataFrame({"cell": "c", "split": [1, 0], "seed": 0, "test_auc": [1 / 3 + 4e-7, 0.25 - 4e-7]})
    counts = pd.DataFrame({"cell": "c", "split": [0, 1], "seed": 0, "positives": [2, 3], "negatives": [2, 1]})
    assert ranks.cell_aucs(fits, counts)["c"] == pytest.approx((0.25 + 1 / 3) / 2, abs=1e-12)


def correlated(rng, groups=80, size=4, noise=0.4):
    """Return labels, two equally good scores and groups, whose images are alike."""
    sizes = rng.integers(1, size + 1, groups)
    group = np.repeat(np.arange(groups), sizes)
    y = group % 2
    own = rng.normal(size=(2, groups))[:, group] + noise * rng.normal(size=(2, len(group)))
    return y, 1.2 * y + own, group


def test_single_units_are_tested_as_by_delong_and_the_intervals_by_its_bounds():
    rng = np.random.default_rng(1)
    y, score, _ = correlated(rng, size=1)
    a, b = (make_units(name, row, y) for name, row in zip("ab", score, strict=True))
    row, expected = tests.compare_units(a, b, 200, 3).iloc[0], delong.compare_paired(y, *score)
    assert [row[name] for name in ("auc_a", "auc_b", "difference", "z", "p_independent")] == pytest.approx(
        [expected[name] for name in ("auc_a", "auc_b", "difference", "z", "p")], rel=0.02
    )
    assert row["auc_a"] == pytest.approx(roc_auc_score(y, score[0]), abs=1e-12)
    table = tests.intervals_table([a], 500, 3)
    tables.check_table(table, "grid_intervals", "intervals")
    assert table["split"].tolist() == ["0"] * 4 + ["all"] * 4
    bounds = table.set_index(["split", "method"])
    for method, scale in (("delong", "wald"), ("logit", "logit")):
        own = delong.auc_interval(y, score[0], 0.95, scale, clusters=np.arange(len(y)))
        assert bounds.loc[("0", method), ["lower", "upper"]].tolist() == pytest.approx([own["lower"], own["upper"]])
    assert bounds.loc[("0", "bootstrap"), "lower"] == pytest.approx(bounds.loc[("0", "delong"), "lower"], abs=0.03)


def test_newcombes_interval_holds_near_an_auc_of_1_where_delongs_does_not():
    rng, truth = np.random.default_rng(8), 0.96
    shift, covered = np.sqrt(2) * stats.norm.ppf(truth), np.zeros(2)
    for _ in range(400):
        score = rng.normal(size=45) + shift * (np.arange(45) < 15)
        own = delong.auc_interval((np.arange(45) < 15).astype(float), score)
        bounds = tests.newcombe_interval(own["auc"], 15, 30), (own["lower"], own["upper"])
        covered += [lower <= truth <= upper for lower, upper in bounds]
    assert covered[0] / 400 > 0.93 > covered[1] / 400
    lower, upper = tests.newcombe_interval(1.0, 15, 30)
    assert 0.8 < lower < 0.95 and upper == 1
    assert tests.newcombe_interval(0.0, 30, 15) == pytest.approx((1 - upper, 1 - lower), abs=1e-6)


def test_the_interval_of_a_perfect_model_has_a_width_by_newcombe_only():
    y = np.arange(40) % 2
    table = tests.intervals_table([make_units("a", y + 0.1 * np.arange(40) / 40, y)], 100, 3).query("split == '0'")
    tables.check_table(table, "grid_intervals", "intervals")
    lower = table.set_index("method")["lower"]
    assert lower[["delong", "bootstrap"]].tolist() == [1, 1] and np.isnan(lower["logit"])
    assert lower["newcombe"] == pytest.approx(tests.newcombe_interval(1.0, 20, 20)[0])


def test_clustered_delong_and_bootstrap_agree_with_the_truth_and_each_other_and_single_units_are_too_narrow():
    """400 data sets of equally good models: what each standard error should be is the spread of the differences."""
    found = []
    for seed in range(400):
        rng = np.random.default_rng([7, seed])
        y, score, group = correlated(rng)
        own, alone = (delong.compare_paired(y, *score, clusters=clusters) for clusters in (group, None))
        place = np.unique(group, return_inverse=True)[1]
        weights = bootstrap.draw_counts(200, place.max() + 1, rng)[:, place]
        drawn = bootstrap.weighted_auc(y, score[0], weights) - bootstrap.weighted_auc(y, score[1], weights)
        found.append([own["difference"], own["se"], drawn.std(ddof=1), alone["se"], own["p"], alone["p"]])
    difference, clustered, boot, single, p, p_single = np.array(found).T
    truth = difference.std(ddof=1)  # known to 1 / sqrt(800): 3.5%
    assert np.sqrt((clustered**2).mean()) == pytest.approx(truth, rel=0.1)
    assert np.sqrt((boot**2).mean()) == pytest.approx(truth, rel=0.1)
    # the sd of 200 draws is known to 5%, their mean ratio over 400 to far less
    assert np.median(boot / clustered) == pytest.approx(1, abs=0.05)
    assert np.sqrt((single**2).mean()) < 0.75 * truth
    assert (p < 0.05).mean() < 0.09 < 0.12 < (p_single < 0.05).mean()


def test_thresholds_are_youdens_and_come_from_validation():
    rng = np.random.default_rng(2)
    y = np.arange(81) % 2
    score = y + rng.normal(size=81)
    threshold = units.best_threshold(y == 1, score)
    fpr, tpr, _ = roc_curve(y, score)
    called = score >= threshold
    assert called[y == 1].mean() - called[y == 0].mean() == pytest.approx((tpr - fpr).max())
    assert not np.isin(threshold, score)
    assert np.isnan(units.best_threshold(np.ones(3, dtype=bool), np.arange(3.0)))
    assert units.best_threshold(np.array([True, False]), np.full(2, 0.3)) == 0.3
    one = join(
        make_units("a", score, y), make_units("a", np.array([5.0, 7.0, 1.0]), np.array([1, 1, 0]), which="validation")
    )
    right, used = units.decide(one, 0)
    assert used == 3
    assert right.to_numpy().tolist() == ((score >= 3) == (y == 1)).tolist()


def slices():
    images = pd.DataFrame({"image_id": list("abcd"), "group": list("ggkm"), "exam_id": ["x", "x", "y", None]})
    rows = [
        ("c", 0, seed, "test", name, y, bool(y))
        for seed in (0, 1)
        for name, y in zip("abcd", (0, 1, 1, 0), strict=True)
    ]
    scores = pd.DataFrame(rows, columns=["cell", "split", "seed", "set", "image_id", "y", "positive"])
    return images, scores.assign(score=[0.1, 0.5, 0.7, 0.2, 0.3, 0.9, 0.7, 0.4])


@pytest.mark.parametrize("how, expected", [("mean", 0.45), ("max", 0.7)])
def test_slices_become_exams_after_seeds_are_averaged(how, expected):
    images, scores = slices()
    found = units.score_units(scores, images, "knee", "nature", "c", how)
    assert found.kind == "exam"
    table = found.part("test", 0).set_index("unit")
    assert table.index.tolist() == ["image d", "x", "y"]  # d has no exam: its own
    assert table["score"].tolist() == pytest.approx([0.3, expected, 0.7])
    assert table["positive"].tolist() == [False, True, True]
    assert table["group"].tolist() == ["m", "g", "k"]


def test_an_image_without_exam_is_not_taken_for_the_exam_of_its_name():
    images, scores = slices()
    images["exam_id"] = images["exam_id"].replace("x", "d")
    table = units.score_units(scores, images, "knee", "nature", "c").part("test", 0).set_index("unit")
    assert table["score"].to_dict() == pytest.approx({"d": 0.45, "image d": 0.3, "y": 0.7})


def test_without_exams_units_are_images():
    images, scores = slices()
    found = units.score_units(scores, images.assign(exam_id=None), "knee", "nature", "c")
    assert found.kind == "image"
    assert len(found.part("test", 0)) == 4


def test_over_all_splits_a_unit_counts_once_with_its_mean_rank():
    first = make_units("a", np.array([0.1, 0.2, 0.3]), np.array([0, 1, 1]))
    second = make_units("a", np.array([9.0, 7.0]), np.array([0, 1]), split=1)
    found = units.over_splits(join(first, second)).set_index("unit")["score"]
    ranks_first, ranks_second = np.array([0.5, 1.5, 2.5]) / 3, np.array([1.5, 0.5]) / 2
    expected = [(ranks_first[0] + ranks_second[0]) / 2, (ranks_first[1] + ranks_second[1]) / 2, ranks_first[2]]
    assert found.tolist() == pytest.approx(expected)


def test_decisions_over_all_splits_are_those_of_the_first_that_tests_a_unit():
    y = np.array([1, 1, 0, 0])
    right = decided("a", y, np.array([True, True, True, False]))
    wrong = decided("a", y, np.array([False, False, False, False]))
    wrong.table["split"] = 1
    perfect = decided("b", y, np.ones(4, dtype=bool))
    other = decided("b", y, np.ones(4, dtype=bool))
    other.table["split"] = 1
    found = tests.compare_units(join(right, wrong), join(perfect, other), 50, 1).set_index("split")
    assert found["only_b"].tolist() == [1, 4, 1]
    assert found.loc["all", ["threshold_a", "threshold_b"]].isna().all()


def test_the_table_of_tests_adjusts_rows_over_all_splits():
    rng = np.random.default_rng(3)
    y, score, group = correlated(rng, groups=40)
    score = np.vstack([score, score[0] + rng.normal(size=len(y))])
    own = [make_units(name, row, y, group) for name, row in zip("abc", score, strict=True)]
    table = tests.tests_table(own, 100, 3)
    tables.check_table(table, "grid_tests", "tests")
    whole = table[table["split"] == "all"]
    assert whole[["a", "b"]].to_numpy().tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    expected = delong.compare_paired(y, *score[:2], clusters=group)
    first = table[(table["split"] == "0") & (table["b"] == "b")].iloc[0]
    assert first[["se_delong", "p_delong", "lower_delong"]].astype(float).tolist() == pytest.approx(
        [expected[name] for name in ("se", "p", "lower")]
    )
    assert first["se_independent"] < first["se_delong"]
    smallest = whole["p_delong"].idxmin()
    assert whole.loc[smallest, "p_delong_holm"] == pytest.approx(min(1, 3 * whole.loc[smallest, "p_delong"]))
    assert table.loc[table["split"] != "all", "p_delong_holm"].isna().all()
    assert table["p_mcnemar"].isna().all()  # no validation set, no threshold
    assert len(tests.tests_table(own[:1], 100, 3)) == 0


@pytest.mark.parametrize("size", [1, 2])
def test_mcnemars_p_is_adjusted_over_the_same_pairs(size):
    rng, y = np.random.default_rng(4), np.arange(60) // 2 % 2
    own = []
    for name, share in zip("abc", (0.95, 0.6, 0.7), strict=True):
        one = decided(name, y, np.repeat(rng.random(30) < share, 2))
        one.table.loc[one.table["set"] == "test", "group"] = (np.arange(60) // size).astype(str)
        own.append(one)
    table = tests.tests_table(own, 50, 3)
    tables.check_table(table, "grid_tests", "tests")
    whole = table[table["split"] == "all"]
    p = whole["p_mcnemar_exact" if size == 1 else "p_mcnemar_clustered"].to_numpy()
    order = np.argsort(p)
    expected = np.empty(3)
    expected[order] = np.minimum(1, np.maximum.accumulate(p[order] * [3, 2, 1]))
    np.testing.assert_allclose(whole["p_mcnemar_holm"], expected)
    assert table.loc[table["split"] != "all", "p_mcnemar_holm"].isna().all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("group", [np.zeros(12, dtype=int), np.arange(12) % 2], ids=["one group", "a group a class"])
def test_groups_that_bound_nothing_give_no_interval_and_no_warning(group):
    y, rng = np.arange(12) % 2, np.random.default_rng(0)
    own = [make_units(name, rng.normal(size=12), y, group) for name in "ab"]
    table = tests.tests_table(own, 50, 1)
    tables.check_table(table, "grid_tests", "tests")
    assert table[["p_delong", "lower_delong", "lower_bootstrap"]].isna().all(axis=None) == (group.max() == 0)
    assert table["difference"].notna().all()
    bounds = tests.intervals_table(own, 50, 1)
    tables.check_table(bounds, "grid_intervals", "intervals")
    if group.max() == 0:
        assert bounds.loc[bounds["method"].isin(["delong", "bootstrap"]), ["lower", "upper"]].isna().all(axis=None)


def test_a_test_set_of_one_class_has_a_row_without_numbers():
    y = np.ones(6, dtype=int)
    own = [make_units(name, np.arange(6.0), y) for name in "ab"]
    table = tests.tests_table(own, 50, 1)
    tables.check_table(table, "grid_tests", "tests")
    assert table["p_delong"].isna().all() and (table["n_bootstrap"] == 0).all()
    tables.check_table(tests.intervals_table(own, 50, 1), "grid_intervals", "intervals")


def test_faults_are_named():
    images, scores = slices()
    with pytest.raises(StudyError, match="cell z has no scores"):
        units.score_units(scores, images, "knee", "nature", "z")
    with pytest.raises(StudyError, match="knee: image 'c' has no group"):
        units.score_units(scores, images[images["image_id"] != "c"], "knee", "nature", "c")
    with pytest.raises(ValueError, match="median"):
        units.score_units(scores, images, "knee", "nature", "c", "median")


def test_selected_models_of_a_simulated_grid():
    fits, scores, images = image_grids.simulate(np.random.default_rng(5), splits=2, effect={("weights", "xray"): 1.0})
    cells = fits.groupby("weights")["cell"].first()
    own = [units.score_units(scores, images["knee"], "knee", name, cell) for name, cell in cells.items()]
    table = tests.tests_table(own, 200, 1)
    assert (table["difference"] < 0).all()
    assert (table["units"] == table["groups"]).all()  # exams are groups here
    assert (table["lower_bootstrap"] < table["difference"]).all()
