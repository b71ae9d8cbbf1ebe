"""Models of a grid: the seed's printed tables, least squares by statsmodels, and planted truth."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from tests.evaluate import image_grids, seed_runs
from workflow_scripts.lib.evaluate import grid_models as models
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

PRINTED = json.loads((seed_runs.DATA / "seed003_anchors.json").read_text())
TABLES = {"published_weights": "lmm_pretrain", "published_head": "lmm_clf"}


def significant(value, digits):
    return float(f"{value:.{digits}g}")


@pytest.mark.parametrize("name", TABLES)
def test_the_published_models_give_the_printed_tables_11_and_12(name):
    printed = PRINTED[TABLES[name]]
    model = models.fit_published(seed_runs.read_runs(), name)
    assert model.left_out == []
    assert round(model.fitted.reml, 1) == printed["reml"]
    effects = models.effects_table([model]).set_index("term")
    assert len(effects) == sum(isinstance(value, list) for value in printed.values())
    for term, row in effects.iterrows():
        theirs = term if term == "intercept" else {"weights": "pretrain", "head": "clf"}[term.split("=")[0]]
        estimate, se, df, t, p = printed[theirs + term.partition("=")[2]]
        assert (round(row["estimate"], 3), round(row["se"], 3), significant(row["df"], 3)) == (estimate, se, df)
        assert row["t"] == pytest.approx(t, abs=0.0015)
        assert p is None or row["p"] == pytest.approx(p, rel=0.03)
    variances = models.variances_table([model]).set_index("effect")["variance"]
    ours = {new: old for old, new in seed_runs.NAMES.items()} | {"residual": "Residual"}
    for effect, variance in variances.items():
        assert variance == pytest.approx(printed["var"][ours.get(effect, effect)], rel=6e-4)


def test_factors_with_one_level_are_left_out_and_named():
    runs = seed_runs.read_runs().query("dataset == 'acl' and backbone == 'ResNet50' and head == 'Conv'")
    model = models.fit_published(runs, "published_weights")
    assert model.formula == "test_auc ~ weights + (1|filters) + (1|lr_decay)"
    assert model.left_out == ["head", "backbone", "dataset"]
    alone = models.fit_published(runs, "published_head")
    assert alone.formula.startswith("test_auc ~ 1 + ")
    assert "head" in alone.left_out
    variances = models.variances_table([model, alone])
    assert variances["left_out"].iloc[0] == "head, backbone, dataset"
    tables.check_table(variances, "grid_variances", "variances")
    tables.check_table(models.effects_table([model, alone]), "grid_effects", "effects")


def recommended_by_statsmodels(runs):
    return smf.ols("test_auc ~ weights*dataset*backbone + head + lr_decay", runs).fit()


def test_the_recommended_model_of_one_split_and_seed_is_least_squares():
    runs = seed_runs.read_runs()
    model = models.fit_recommended(runs)
    assert model.random == [] and model.left_out == ["filters", "ratio"]  # not of every head
    found, expected = model.fitted.terms.set_index("term"), recommended_by_statsmodels(runs)
    assert len(found) == len(expected.params)
    for term, row in found.iterrows():
        name = ":".join(f"{part.split('=')[0]}[T.{part.split('=')[1]}]" for part in term.split(":") if "=" in part)
        name = name or "Intercept"
        assert row["estimate"] == pytest.approx(expected.params[name], rel=1e-9)
        assert row["p"] == pytest.approx(expected.pvalues[name], rel=1e-8)


def test_planned_contrasts_of_the_seed_are_its_paired_differences():
    """The grid is balanced, so that a contrast is a mean over settings (facts: -.059, +.047, +.007, +.071)."""
    runs = seed_runs.read_runs()
    model = models.fit_recommended(runs)
    names, rows = models.planned(model)
    assert names["kind"].value_counts().to_dict() == {"head": 6, "weights_by_backbone": 4, "weights": 2}
    estimates = models.fit_shares(model, rows) @ model.table["test_auc"].to_numpy()
    wide = runs.pivot_table(
        index=[key for key in seed_runs.KEYS if key != "weights"], columns="weights", values="test_auc"
    )
    gap = (wide["ImageNet"] - wide["RadImageNet"]).rename("gap").reset_index()
    for row, estimate in zip(names.itertuples(), estimates, strict=True):
        if row.kind == "head":
            continue
        own = gap[gap["dataset"] == row.dataset]
        own = own if row.kind == "weights" else own[own["backbone"] == row.backbone]
        assert estimate == pytest.approx(own["gap"].mean(), abs=1e-12)
    by = dict(zip(zip(names["dataset"], names["backbone"], strict=True), -estimates, strict=True))
    assert round(by["breast", "DenseNet121"], 3) == -0.059
    assert round(by["breast", "ResNet50"], 3) == 0.047
    assert round(by["acl", "DenseNet121"], 3) == 0.007
    assert round(by["acl", "ResNet50"], 3) == 0.071


def unbalanced(seed=0, **design):
    fits, _, _ = image_grids.simulate(np.random.default_rng(seed), splits=3, seeds=2, groups=30, **design)
    return fits.drop(index=fits.index[[1, 5, 17, 40]]).reset_index(drop=True)


def test_with_splits_and_seeds_both_are_random_and_shares_give_the_models_estimates():
    model = models.fit_recommended(unbalanced())
    assert model.random == ["split", "split:cell"]
    assert all(variance > 0 for variance in model.fitted.variances.values())
    _, rows = models.planned(model)
    estimates = models.fit_shares(model, rows) @ model.table["test_auc"].to_numpy()
    for row, estimate in zip(rows, estimates, strict=True):
        own = model.fitted.contrast(dict(zip(model.fitted.terms["term"], row, strict=True)))
        assert estimate == pytest.approx(own["estimate"], abs=1e-9)
    plain = models.fit_shares(dataclasses.replace(model, fitted=None), rows) @ model.table["test_auc"].to_numpy()
    assert np.abs(plain - estimates).max() > 1e-5  # least squares is something else here


@pytest.mark.parametrize(
    "splits, seeds, random", [(1, 1, []), (1, 3, ["split:cell"]), (3, 1, ["split"]), (2, 2, ["split", "split:cell"])]
)
def test_random_effects_are_those_that_the_design_has(splits, seeds, random):
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), splits=splits, seeds=seeds, groups=20)
    assert models.fit_recommended(fits).random == random


def test_splits_of_two_datasets_have_nothing_in_common():
    factors = {**image_grids.FACTORS, "dataset": ["knee", "breast"]}
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), factors, splits=2, groups=20)
    variances = models.variances_table([models.fit_recommended(fits)]).set_index("effect")
    assert variances.loc["split", "levels"] == 4


def test_a_combination_that_is_missing_takes_its_interaction_along():
    factors = {**image_grids.FACTORS, "dataset": ["knee", "breast"]}
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), factors, groups=20)
    part = fits[~((fits["weights"] == "xray") & (fits["dataset"] == "knee") & (fits["backbone"] == "small"))]
    model = models.fit_recommended(part)
    assert model.left_out == ["weights:dataset:backbone"]
    names, _ = models.planned(model)
    own = names[(names["dataset"] == "knee") & (names["kind"] == "weights_by_backbone")]
    assert own["backbone"].tolist() == ["deep"]


def test_further_factors_join_if_they_can_be_told():
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), groups=20)
    doubled = pd.concat([fits.assign(augment=True), fits.assign(augment=False, cell=fits["cell"] + ".plain")])
    doubled["test_auc"] += np.random.default_rng(1).normal(0, 0.01, len(doubled))
    doubled["epochs"] = np.where(doubled["head"] == "Conv", 5, 10)  # says nothing that the head does not
    model = models.fit_recommended(doubled)
    assert "augment" in model.fixed
    assert model.left_out == ["dataset", "epochs"]


def confounded(rows):
    """Return fits of weights and datasets as told, (dataset, weights), each with two backbones, heads and decays."""
    datasets, weights = (sorted(set(names)) for names in zip(*rows, strict=True))
    factors = {**image_grids.FACTORS, "dataset": datasets, "weights": weights}
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), factors, groups=20)
    kept = [pair in rows for pair in zip(fits["dataset"], fits["weights"], strict=True)]
    return fits[kept].reset_index(drop=True)


def test_weights_that_each_dataset_has_its_own_of_have_no_effect():
    fits = confounded([("knee", "xray"), ("breast", "nature"), ("lung", "nature")])
    model = models.fit_published(fits, "published_weights")
    assert model.fixed == [] and model.left_out == ["weights", "filters"]
    assert models.fit_published(fits, "published_head").fixed == ["head"]
    best = models.fit_recommended(fits)
    assert best.fixed[0] == "dataset" and best.left_out[0] == "weights"
    assert not any("weights" in term for term in models.effects_table([model, best])["term"])
    assert "weights" not in set(models.planned(best)[0]["kind"])


def test_weights_of_one_dataset_alone_do_not_hide_the_pairs_of_another():
    fits = confounded([("knee", "xray"), ("knee", "nature"), ("breast", "films")])
    best = models.fit_recommended(fits)
    assert "weights" in best.fixed and "dataset" in best.left_out
    names, rows = models.planned(best)
    row = names[names["kind"] == "weights"]
    assert row[["dataset", "a", "b"]].to_numpy().tolist() == [["knee", "nature", "xray"]]
    means = fits[fits["dataset"] == "knee"].groupby("weights")["test_auc"].mean()
    estimate = (models.fit_shares(best, rows) @ best.table["test_auc"].to_numpy())[row.index[0]]
    assert estimate == pytest.approx(means["nature"] - means["xray"], abs=1e-9)
    assert models.fit_published(fits, "published_weights").fixed == []


@pytest.mark.parametrize("setting", models.OWN)
def test_no_setting_that_varies_goes_unnamed(setting):
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), groups=20)
    both = pd.concat([fits.assign(**{setting: 1.0}), fits.assign(**{setting: 2.0})], ignore_index=True)
    both["test_auc"] += np.random.default_rng(1).normal(0, 0.01, len(both))
    model = models.fit_recommended(both)
    assert setting in model.fixed and setting not in model.left_out
    for fault in (both[setting].mask(both["head"] == "Linear"), both[setting].mask(both["head"] == "Linear", 1.0)):
        other = models.fit_recommended(both.assign(**{setting: fault}))
        assert setting in other.left_out and setting not in other.fixed


def test_too_few_fits_for_a_residual_still_have_contrasts():
    factors = {"dataset": ["knee"], "weights": ["nature", "xray"], "backbone": ["small"], "head": ["Linear"]}
    fits, _, _ = image_grids.simulate(np.random.default_rng(0), factors | {"lr_decay": ["cosine"]}, groups=20)
    model = models.fit_recommended(fits)
    assert model.fitted is None
    assert len(models.effects_table([model])) == len(models.variances_table([model])) == 0
    _, rows = models.planned(model)
    expected = fits.loc[0, "test_auc"] - fits.loc[1, "test_auc"]
    assert models.fit_shares(model, rows) @ fits["test_auc"] == pytest.approx([expected])


def test_levels_are_text_and_filters_that_a_head_has_not_are_the_least():
    fits = pd.DataFrame(
        {
            "dataset": ["a", "a", "a"],
            "split": [0, 0, 1],
            "filters": [16.0, np.nan, 4.0],
            "learning_rate": [1e-4, 1e-3, 1e-4],
            "augment": [True, False, True],
            "test_auc": [0.5, 0.6, np.nan],
        }
    )
    table = models.prepare(fits)
    assert len(table) == 2
    assert table["filters"].tolist() == ["16", "16"]
    assert table["learning_rate"].tolist() == ["0.0001", "0.001"]
    assert table["augment"].tolist() == ["True", "False"]
    assert table["split"].tolist() == ["a 0", "a 0"]
    with pytest.raises(StudyError, match="no fit of the grid has a test AUC"):
        models.prepare(fits.assign(test_auc=np.nan))
