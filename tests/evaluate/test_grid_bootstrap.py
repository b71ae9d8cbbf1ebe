"""Contrasts of a grid under draws of test groups: against scikit-learn, DeLong's closed form and simulated truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from tests.evaluate import image_grids
from workflow_scripts.lib.evaluate import bootstrap, delong
from workflow_scripts.lib.evaluate import grid_bootstrap as grid
from workflow_scripts.lib.evaluate import grid_models as models
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

TWO = {"dataset": ["knee", "breast"], "weights": ["nature", "xray"], "backbone": ["deep"], "head": ["Conv", "Linear"]}
TWO |= {"lr_decay": ["cosine"]}
PAIR = {**TWO, "dataset": ["knee"], "head": ["Linear"]}


def make(seed=0, factors=None, **design):
    return image_grids.simulate(np.random.default_rng(seed), factors or TWO, **design)


def test_draws_are_those_of_every_fit_recomputed_on_the_drawn_images():
    """Each draw is written out as a list of images and scored by scikit-learn."""
    fits, scores, images = make(splits=2, groups=24)
    groups = image_grids.groups_of(images)
    sets, sizes = grid.gather(fits, scores, groups)
    shares = np.random.default_rng(1).normal(size=(2, len(fits)))
    found = grid.draw_contrasts(sets, sizes, shares, 3, 11)
    test = scores[scores["set"] == "test"]
    for draw in range(3):
        total = np.zeros(2)
        for number, fit in enumerate(fits.itertuples()):
            own = test[(test["cell"] == fit.cell) & (test["split"] == fit.split)]
            tested = test[test["image_id"].str.startswith(fit.dataset)]["image_id"].map(groups[fit.dataset])
            names = np.unique(tested)
            counts = bootstrap.draw_counts(3, len(names), generator(11, "grid bootstrap", fit.dataset))[draw]
            times = own["image_id"].map(groups[fit.dataset]).map(dict(zip(names, counts, strict=True))).astype(int)
            drawn = own.loc[own.index.repeat(times)]
            total += shares[:, number] * roc_auc_score(drawn["y"], drawn["score"])
        assert found[draw] == pytest.approx(total, abs=1e-12)


def test_equal_weights_give_the_aucs_themselves_with_ties_too():
    fits, scores, images = make()
    scores["score"] = scores["score"].round(1)
    sets, _ = grid.gather(fits, scores, image_grids.groups_of(images))
    for one in sets:
        kernels = grid.summed_kernels(one, np.eye(len(fits)))
        for fit, row in zip(one.fits, one.scores, strict=True):
            y = one.positive.astype(float)
            assert kernels[fit].mean() == pytest.approx(roc_auc_score(y, row), abs=1e-12)
            weights = np.random.default_rng(2).integers(0, 3, (1, len(y))).astype(float)
            w1, w0 = weights[0, one.positive], weights[0, ~one.positive]
            weighted = w1 @ kernels[fit] @ w0 / (w1.sum() * w0.sum())
            assert weighted == pytest.approx(bootstrap.weighted_auc(y, row, weights)[0], abs=1e-12)


def test_the_spread_over_draws_is_the_clustered_closed_form():
    """Two fits: the contrast is a difference of two AUCs, for which Obuchowski's variance is known."""
    fits, scores, images = make(3, PAIR, groups=300, size=3)
    table = grid.contrasts_table(models.fit_recommended(fits), scores, image_grids.groups_of(images), 2000, 5)
    test = scores[scores["set"] == "test"].pivot(index="image_id", columns="cell", values="score")
    known = images["knee"].set_index("image_id").loc[test.index]
    own = delong.compare_paired(
        known["y"].to_numpy(), *test.to_numpy().T, clusters=known["group"].to_numpy().astype(str)
    )
    alone = delong.compare_paired(known["y"].to_numpy(), *test.to_numpy().T)
    row = table.iloc[0]
    assert row["estimate"] == pytest.approx(own["difference"], abs=1e-12)
    assert row["se_groups"] == pytest.approx(own["se"], rel=0.08)
    assert alone["se"] < 0.85 * row["se_groups"]  # images of a group are no new evidence


def test_the_table():
    fits, scores, images = make(1, splits=2, seeds=2)
    table = grid.contrasts_table(models.fit_recommended(fits), scores, image_grids.groups_of(images), 200, 5, 0.9)
    tables.check_table(table, "grid_contrasts", "contrasts")
    assert table["kind"].tolist() == ["weights", "weights", "head"]
    assert (table["se_both"] ** 2).tolist() == pytest.approx(
        (table["se_settings"] ** 2 + table["se_groups"] ** 2).tolist()
    )
    assert (table["upper_both"] - table["lower_both"] > table["upper_settings"] - table["lower_settings"]).all()
    tested = {name: 0 for name in images}
    for name, own in images.items():
        used = scores.loc[(scores["set"] == "test") & scores["image_id"].isin(own["image_id"]), "image_id"]
        tested[name] = own.set_index("image_id").loc[used.unique(), "group"].nunique()
    assert table["groups"].tolist() == [tested["breast"], tested["knee"], sum(tested.values())]
    for row in table.itertuples():
        own, drawn = row.se_settings**2, row.se_groups**2
        free = (own + drawn) ** 2 / (own**2 / row.df_settings + drawn**2 / (row.groups - 1))
        assert row.df_both == pytest.approx(free)
        bounds = stats.t.interval(0.9, free, row.estimate, row.se_both)
        assert (row.lower_both, row.upper_both) == pytest.approx(bounds)
        assert row.p_both == pytest.approx(2 * stats.t.sf(abs(row.estimate / row.se_both), free))
    assert (table["p_both_holm"] >= table["p_both"]).all()
    again = grid.contrasts_table(models.fit_recommended(fits), scores, image_grids.groups_of(images), 200, 5, 0.9)
    pd.testing.assert_frame_equal(table, again)


def test_without_a_residual_only_the_interval_over_groups_is_there():
    fits, scores, images = make(1, PAIR)
    row = grid.contrasts_table(models.fit_recommended(fits), scores, image_grids.groups_of(images), 200, 5).iloc[0]
    assert np.isnan([row["se_settings"], row["p_settings"], row["se_both"], row["p_both_holm"]]).all()
    assert row["lower_groups"] < row["estimate"] < row["upper_groups"]


def test_draws_without_a_class_are_left_out_and_counted():
    fits, scores, images = make(1, TWO, groups=8, size=1)
    table = grid.contrasts_table(models.fit_recommended(fits), scores, image_grids.groups_of(images), 400, 5)
    # two of four groups are positive: a draw of four has one class only with chance 2 / 16
    assert table["n_bootstrap"].iloc[0] == pytest.approx(350, abs=35)
    assert table["n_bootstrap"].iloc[2] < table["n_bootstrap"].iloc[0]  # heads need both datasets
    assert table[["se_groups", "lower_groups"]].notna().all(axis=None)


def test_a_planted_effect_is_found_and_covered():
    """Distance d between the classes gives AUC Phi(d / sqrt(2) / total sd)."""
    total, auc = np.sqrt(np.square(image_grids.SPREAD).sum()), 0.75
    first = np.sqrt(2) * stats.norm.ppf(auc) * total
    truth = auc - stats.norm.cdf((first + 0.8) / np.sqrt(2) / total)
    found = make(4, groups=400, auc=auc, effect={("weights", "xray"): 0.8}, size=1)
    table = grid.contrasts_table(models.fit_recommended(found[0]), *found[1:2], image_grids.groups_of(found[2]), 500, 5)
    for row in table[table["kind"] == "weights"].itertuples():
        assert row.lower_both < truth < row.upper_both < 0


def change_scores(scores, cell):
    first = scores.index[(scores["cell"] == cell) & (scores["set"] == "test")][0]
    return scores.drop(index=first)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda f, s, g: (f, s[s["cell"] != f["cell"][0]], g), "has a test AUC and no test scores"),
        (lambda f, s, g: (f, s, {**g, "knee": g["knee"].iloc[:3]}), r"knee: test image 'knee-\d+' has no group"),
        (lambda f, s, g: (f, change_scores(s, f["cell"][0]), g), r"split 0 has no score by cell breast\.nature"),
    ],
)
def test_faults_are_named(spoil, message):
    fits, scores, images = make()
    with pytest.raises(StudyError, match=message):
        grid.gather(*spoil(fits, scores, image_grids.groups_of(images)))


@pytest.mark.slow  # half a minute: the claim itself, which analysis of a grid can be believed
def test_equal_weights_are_told_apart_in_5_percent_of_grids_by_groups_and_far_more_by_settings():
    found = pd.DataFrame([image_grids.analyse(np.random.default_rng([20, 1, k]), k) for k in range(100)])
    shares = found[["published", "settings", "groups", "both"]].mean()
    assert shares["published"] > 0.4 and shares["settings"] > 0.4, shares.to_dict()
    assert shares["groups"] <= 0.11 and shares["both"] <= 0.1, shares.to_dict()
    spread = found["estimate"].std()
    assert np.sqrt((found["se_groups"] ** 2).mean()) == pytest.approx(spread, rel=0.2)
    assert np.sqrt((found["se_settings"] ** 2).mean()) < 0.5 * spread


def test_a_single_group_bounds_no_contrast():
    fits, scores, images = image_grids.simulate(np.random.default_rng(0), groups=20)
    groups = {name: pd.Series("g", index=one.index) for name, one in image_grids.groups_of(images).items()}
    table = grid.contrasts_table(models.fit_recommended(fits), scores, groups, 20, 1)
    assert table["estimate"].notna().all()
    assert table[["se_groups", "lower_groups", "se_both", "p_both"]].isna().all(axis=None)
