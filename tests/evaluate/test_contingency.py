"""McNemar's test against R, the seed's printed Table 13, and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.evaluate.contingency import mcnemar, mcnemar_counts

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
TABLES = json.loads((DATA / "mcnemar_stats.json").read_text())
PRINTED = json.loads((DATA / "seed003_anchors.json").read_text())["mcnemar"]


def decisions(both, only_a, only_b, neither):
    """Write a 2 x 2 table out as one row a unit."""
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    return a, np.repeat([True, False, True, False], [both, only_a, only_b, neither])


@pytest.mark.parametrize("case", TABLES, ids=lambda case: str(case["table"]))
def test_equals_r(case):
    found = mcnemar(*decisions(*case["table"]))
    assert (found["b"], found["c"]) == tuple(case["table"][1:3])
    assert found["p_exact"] == pytest.approx(case["p_exact_binom"], rel=1e-13)
    if case["chi2"] is None:  # R gives NA without discordant units
        assert [found[name] for name in ("p", "p_plain", "p_mid")] == [1, 1, 1]
        return
    expected = [case[name] for name in ("chi2_cc", "p_cc", "chi2", "p")]
    assert [found[name] for name in ("chi2", "p", "chi2_plain", "p_plain")] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("task", PRINTED)
def test_gives_the_printed_values_of_seed_003(task):
    """Table 13 prints chi square and p; only one pair of discordant counts fits each with the accuracies."""
    printed = PRINTED[task]
    found = mcnemar_counts(*printed["implied_discordant"])
    assert found["chi2"] == pytest.approx(
        printed["chi2"], abs=5.1e-4
    )  # printed 10.562, which R's rounding has for .5625
    assert float(f"{found['p']:.4g}") == printed["p"]
    assert found["p_exact"] == pytest.approx(printed["exact_p"], rel=1e-12)


def test_the_correction_stops_at_0():
    assert mcnemar_counts(5, 5)["chi2"] == 0
    assert [mcnemar_counts(5, 5)[name] for name in ("p", "p_exact")] == [1, 1]
    assert mcnemar_counts(5, 5)["p_mid"] == pytest.approx(1 - stats.binom.pmf(5, 10, 0.5) / 2)


def test_mid_p_by_hand():
    # 1 of 4: the tables 0:4, 4:0 are further out (2/16), 1:3 and 3:1 as far (8/16)
    assert mcnemar_counts(1, 3)["p_mid"] == pytest.approx(2 / 16 + 8 / 32)


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=40, deadline=None)
def test_sides_do_not_matter_and_mid_p_is_the_smaller(b, c):
    found, other = mcnemar_counts(b, c), mcnemar_counts(c, b)
    assert all(found[name] == pytest.approx(other[name]) for name in found if name.startswith(("p", "chi2")))
    assert 0 < found["p_mid"] <= found["p_exact"] <= 1
    assert found["p_exact"] == pytest.approx(stats.binomtest(b, b + c).pvalue if b + c else 1)
