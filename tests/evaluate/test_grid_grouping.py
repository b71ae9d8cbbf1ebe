"""Scores before and after grouping: by hand and by scipy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.lib.evaluate.grid_grouping import compare_groupings, find_twins, welch_interval
from workflow_scripts.lib.study import tables

KEYS = ["dataset", "weights", "backbone", "head", "grouping", "filters"]


def make_fits(splits=4, seeds=2, inflation=0.1, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for head in ("Conv", "Linear"):
        for grouping in ("groups", "images"):
            for split in range(splits):
                for number in range(seeds):
                    leak = grouping == "images"
                    auc = 0.7 + inflation * leak + 0.02 * rng.normal()
                    own = {"dataset": "knee", "weights": "nature", "backbone": "deep", "head": head}
                    own |= {"grouping": grouping, "filters": 16 if head == "Conv" else np.nan}
                    own |= {"cell": f"knee.{head}.{grouping}", "split": split, "seed": number}
                    rows.append(own | {"test_auc": auc, "leaks": 0.3 + 0.1 * split if leak else 0.0})
    return pd.DataFrame(rows)


def test_pairs_differ_in_the_grouping_only():
    fits = make_fits()
    twins = find_twins(fits, KEYS)
    assert twins.to_numpy().tolist() == [[f"knee.{head}.groups", f"knee.{head}.images"] for head in ("Conv", "Linear")]
    other = fits.assign(filters=np.where(fits["grouping"] == "images", 4, fits["filters"]))
    assert len(find_twins(other, KEYS)) == 0


def test_rows_are_splits_and_their_mean_with_welchs_interval():
    fits = make_fits()
    table = compare_groupings(fits, KEYS, 0.9)
    tables.check_table(table, "grid_grouping", "grouping")
    assert table.groupby("cell").size().to_dict() == {"knee.Conv.groups": 5, "knee.Linear.groups": 5, "all": 5}
    conv = fits[fits["head"] == "Conv"].groupby(["grouping", "split"])["test_auc"].mean()
    own = table[table["cell"] == "knee.Conv.groups"].set_index("split")
    assert own["difference"].iloc[:4].tolist() == pytest.approx((conv["images"] - conv["groups"]).tolist())
    assert own["leaks"].iloc[:4].tolist() == pytest.approx([0.3, 0.4, 0.5, 0.6])
    whole = table[(table["cell"] == "knee.Conv.groups") & table["split"].isna()].iloc[0]
    bounds = stats.ttest_ind(conv["images"], conv["groups"], equal_var=False).confidence_interval(0.9)
    assert [whole["lower"], whole["upper"]] == pytest.approx([bounds.low, bounds.high])
    assert whole["leaks"] == pytest.approx(0.45)
    assert whole["difference"] == pytest.approx(whole["auc_images"] - whole["auc_groups"])
    assert whole["auc_images"] == pytest.approx(conv["images"].mean())
    assert whole["splits"] == 4
    every = table[(table["cell"] == "all") & table["split"].isna()].iloc[0]
    assert every["difference"] == pytest.approx(table[table["split"].isna()]["difference"].iloc[:2].mean())


def test_a_planted_inflation_is_found_and_covered():
    """The interval of 95% over 20 grids; 15 or fewer would come once in 400 times."""
    covered = 0
    for seed in range(20):
        last = compare_groupings(make_fits(inflation=0.1, seed=seed), KEYS).iloc[-1]
        assert last["lower"] > 0.03
        covered += last["lower"] < 0.1 < last["upper"]
    assert covered >= 16


def test_one_split_has_no_interval():
    table = compare_groupings(make_fits(splits=1), KEYS)
    assert table[["lower", "upper"]].isna().all(axis=None)
    assert welch_interval(np.full(3, 0.5), np.full(3, 0.25), 0.95) == (0.25, 0.25)


def test_failed_fits_and_grids_without_pairs_leave_rows_out():
    fits = make_fits()
    lost = fits.assign(test_auc=fits["test_auc"].where(fits["cell"] != "knee.Conv.images"))
    assert set(compare_groupings(lost, KEYS)["cell"]) == {"knee.Linear.groups", "all"}
    alone = compare_groupings(fits[fits["grouping"] == "groups"], KEYS)
    tables.check_table(alone, "grid_grouping", "grouping")
    assert len(alone) == 0
