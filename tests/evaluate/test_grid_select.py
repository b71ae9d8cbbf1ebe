"""One table of a grid's fits, and what validation chooses."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluate import seed_runs
from workflow_scripts.lib.evaluate import grid_select as select
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError


def make_fits():
    rows = []
    for cell, weights, valid in (("a", "nature", (0.7, 0.9)), ("b", "xray", (0.85, 0.85)), ("c", "xray", (0.8, 0.8))):
        for split, auc in enumerate(valid):
            rows.append({"cell": cell, "split": split, "seed": 0, "weights": weights, "validation_auc": auc})
    same = {"dataset": "knee", "backbone": "deep", "head": "Conv", "grouping": "groups"}
    return pd.DataFrame(rows).assign(test_auc=[0.1, 0.2, 0.6, 0.7, 1.0, 1.0], **same)


def test_the_seeds_selection():
    """ACL: RadImageNet, ResNet50, ConvSkip, cosine, .954 and .978; breast: ImageNet, ... beta, .892 and .855."""
    table = select.select_cells(seed_runs.read_runs())
    tables.check_table(table, "grid_selection", "selection")
    best = table[table["choice"] == "dataset"].set_index("dataset")
    assert best.loc["acl", "cell"].startswith("acl.RadImageNet.ResNet50.ConvSkip.cosine")
    assert best.loc["breast", "cell"].startswith("breast.ImageNet.ResNet50.ConvSkip.beta")
    assert best.loc["acl", ["validation_auc", "test_auc"]].astype(float).round(3).tolist() == [0.954, 0.978]
    assert best.loc["breast", ["validation_auc", "test_auc"]].astype(float).round(3).tolist() == [0.892, 0.855]
    twin = table[(table["dataset"] == "breast") & (table["weights"] == "RadImageNet")].iloc[0]
    assert np.round([twin["validation_auc"], twin["test_auc"]], 3).tolist() == [0.888, 0.901]


def test_validation_alone_chooses():
    table = select.select_cells(make_fits()).set_index(["choice", "weights"])
    assert table.loc[("dataset", "xray"), "cell"] == "b"
    assert table.loc[("weights", "nature"), "test_auc"] == pytest.approx(0.15)
    assert table.loc[("weights", "nature"), "validation_sd"] == pytest.approx(np.sqrt(0.02))
    assert table.loc[("weights", "xray"), "cells"] == 2


def test_a_cell_with_a_failed_fit_is_not_chosen_unless_all_have_one(caplog):
    fits = make_fits()
    fits.loc[[2], ["validation_auc", "test_auc"]] = np.nan
    table = select.select_cells(fits).set_index(["choice", "weights"])
    assert table.loc[("weights", "xray"), ["cell", "missing"]].tolist() == ["c", 1]
    assert select.name_missing(fits) == ["b split 0 seed 0"]
    assert "1 of 6 fits have no AUC" in caplog.text and "b split 0 seed 0" in caplog.text
    fits.loc[[4], "validation_auc"] = np.nan
    assert select.select_cells(fits).set_index(["choice", "weights"]).loc[("weights", "xray"), "cell"] == "b"
    with pytest.raises(StudyError, match="dataset 'knee' with weights nature, xray"):
        select.select_cells(fits.assign(validation_auc=np.nan))


def test_weights_that_always_diverged_are_passed_over_with_a_warning(caplog):
    fits = make_fits()
    fits.loc[fits["weights"] == "nature", ["validation_auc", "test_auc"]] = np.nan
    table = select.select_cells(fits)
    tables.check_table(table, "grid_selection", "selection")
    assert table[["choice", "weights", "missing"]].to_numpy().tolist() == [
        ["dataset", "xray", 2],
        ["weights", "xray", 0],
    ]
    assert "no fit of dataset 'knee' with weights nature has a validation AUC (2 fits)" in caplog.text


def test_tests_are_between_cells_of_grouped_splits():
    fits = make_fits()
    leaky = fits.assign(cell=fits["cell"] + ".images", grouping="images", validation_auc=0.99)
    both = pd.concat([fits, leaky], ignore_index=True)
    selection = select.select_cells(both)
    assert len(selection) == 6
    assert select.selected_cells(selection) == {"knee": {"nature": "a", "xray": "b"}}
    assert len(select.honest(both)) == len(fits)
    assert len(select.honest(leaky)) == len(leaky)


def test_joined_rows_do_not_depend_on_jobs():
    fits = make_fits()
    whole = select.join_parts([fits], select.FIT)
    parts = select.join_parts([fits.iloc[3:], fits.iloc[:0], fits.iloc[:3]], select.FIT)
    pd.testing.assert_frame_equal(whole, parts)
    with pytest.raises(StudyError, match="'b 1 0' stands in two jobs"):
        select.join_parts([fits.iloc[3:], fits.iloc[:4]], select.FIT)
    with pytest.raises(StudyError, match="grid has no fit"):
        select.join_parts([fits.iloc[:0]], select.FIT)


def test_a_fit_that_is_absent_or_of_another_grid_is_named():
    fits = make_fits()
    select.refuse_absent(fits, ["a", "b", "c"], 2, 1)
    with pytest.raises(StudyError, match="cell b, split 0, seed 0 has no row"):
        select.refuse_absent(fits.drop(index=2), ["a", "b", "c"], 2, 1)
    with pytest.raises(StudyError, match="cell c, split 0, seed 0 is not of this grid, and 1 other"):
        select.refuse_absent(fits, ["a", "b"], 2, 1)
