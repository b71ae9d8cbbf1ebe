"""Adjusted p-values against R and statsmodels."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from workflow_scripts.lib.evaluate import adjust

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
METHODS = {"holm": (adjust.holm, "holm"), "BH": (adjust.benjamini_hochberg, "fdr_bh")}


@pytest.mark.parametrize("name", METHODS)
def test_equals_r_with_a_missing_value(name):
    fixture = json.loads((DATA / "padjust_stats.json").read_text())
    p, expected = (np.array(values, dtype=float) for values in (fixture["p"], fixture["methods"][name]))
    assert np.isnan(p).sum() == 1
    np.testing.assert_allclose(METHODS[name][0](p), expected, rtol=1e-14)


@pytest.mark.parametrize("name", METHODS)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_equals_statsmodels(name, p):
    function, method = METHODS[name]
    np.testing.assert_allclose(function(np.array(p)), multipletests(p, method=method)[1], atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_missing_p_are_left_out(name):
    function = METHODS[name][0]
    found = function(np.array([0.01, np.nan, 0.04]))
    assert found[[0, 2]] == pytest.approx(function(np.array([0.01, 0.04])))
    assert np.isnan(found[1])
    assert np.isnan(function(np.full(3, np.nan))).all()
    assert len(function(np.zeros(0))) == 0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
@settings(max_examples=20, deadline=None)
def test_adjusted_p_are_no_smaller_and_keep_their_order(p):
    p = np.array(p)
    for function, _ in METHODS.values():
        found = function(p)
        assert (found >= p - 1e-15).all() and (found <= 1).all()
        assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()
    assert (adjust.benjamini_hochberg(p) <= adjust.holm(p) + 1e-15).all()
