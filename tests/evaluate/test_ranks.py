"""Wilcoxon's tests against R, and the seed's printed Table 14 after taking float noise out of its AUCs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.evaluate.ranks import rank_sum, signed_rank, snap_auc
from workflow_scripts.lib.study.errors import StudyError

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
CASES = json.loads((DATA / "wilcox_stats.json").read_text())
PRINTED = json.loads((DATA / "seed003_anchors.json").read_text())["wilcoxon_rank_sum"]
COUNTS = {"acl": (58, 45), "breast": (21, 57)}
METHOD = {True: "exact", False: "normal"}


def samples(case):
    table = pd.read_csv(DATA / "wilcox_inputs.csv")
    return (table.loc[(table["case"] == case) & (table["group"] == group), "v"].to_numpy() for group in "xy")


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case {case['case']}")
def test_equals_r(case):
    x, y = samples(case["case"])
    found = rank_sum(x, y)
    assert found["w"] == case["W"]
    assert found["p"] == pytest.approx(case["p_default"], rel=1e-12)
    assert found["method"] == METHOD["exact" in case["method"]]
    if "signed" in case:
        found = signed_rank(x, y)
        assert found["v"] == case["signed"]["V"]
        assert found["p"] == pytest.approx(case["signed"]["p_default"], rel=1e-12)
        assert found["method"] == METHOD["exact" in case["signed"]["method"]]


@pytest.mark.parametrize("task, w, p", [("breast", 936.5, 0.7959), ("acl", 622.5, 0.003987)])
def test_the_grid_of_seed_003(task, w, p):
    """Ties kept, W is not the printed one, which lies where some of the ties are broken."""
    runs = pd.read_csv(DATA / "seed003_grid_v4.csv").query("task == @task")
    noise = np.random.default_rng(0).normal(scale=3e-8, size=len(runs))
    auc = runs["test_auc"].to_numpy()
    snapped = snap_auc(auc + noise, *COUNTS[task])
    np.testing.assert_allclose(snapped, auc, atol=1e-15)
    first = (runs["pretrain"] == "ImageNet").to_numpy()
    found = rank_sum(snapped[first], snapped[~first])
    assert found["w"] == w
    assert float(f"{found['p']:.4g}") == p
    ties = (snapped[first][:, None] == snapped[~first]).sum()
    printed = PRINTED[task]["W"]
    gap = min(abs(printed - w), abs(first.sum() * (~first).sum() - printed - w))
    assert 0 < gap <= ties / 2
    assert found["p"] == pytest.approx(PRINTED[task]["p"], rel=0.02)
    assert rank_sum((auc + noise)[first], (auc + noise)[~first])["w"] != w  # what noise does


def test_snapping_refuses_what_no_such_people_can_give():
    assert snap_auc(np.array([0.5, 1.0]), 2, 2) == pytest.approx([0.5, 1.0])
    with pytest.raises(StudyError, match=r"0\.6 .*2 positives and 2 negatives.*0\.625"):
        snap_auc(np.array([0.5, 0.6]), 2, 2)


def test_without_any_difference_p_is_1():
    x = np.full(6, 0.7)
    assert rank_sum(x, x)["p"] == 1
    assert signed_rank(x, x) == {"v": 0.0, "p": 1.0, "method": "normal"}


def test_differences_that_differ_by_rounding_alone_are_ties_if_asked():
    x = np.array([0.1 + 0.2, 0.3, 0.2, 0.4])
    y = np.array([0.3, 0.2, 0.1, 0.6])
    assert x[0] != y[0] and x[1] - y[1] != x[2] - y[2]
    assert signed_rank(x, y, digits=12)["v"] == 1.5 + 1.5  # 0 is left out; 0.1 twice, then -0.2
    assert signed_rank(x, y)["v"] == 1 + 2 + 3  # all four seem to differ
