"""Mixed models against lme4 and lmerTest, the seed's printed Tables 11 and 12, least squares and planted truth."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.evaluate import mixed
from workflow_scripts.lib.evaluate.design import make_design
from workflow_scripts.lib.study.errors import StudyError

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
FITS = json.loads((DATA / "lmm_lme4.json").read_text())
PRINTED = json.loads((DATA / "seed003_anchors.json").read_text())
GRID = "seed003_grid_v4.csv"


def parse(formula):
    """Take an R formula with random intercepts apart: response, fixed, random."""
    response, terms = formula.split("~")
    random = re.findall(r"\(1\s*\|\s*(\w+)\)", terms)
    return response.strip(), [term.strip() for term in terms.split("+") if "|" not in term], random


def fit(file, formula, response=None):
    left, fixed, random = parse(formula)
    return mixed.fit_mixed(pd.read_csv(DATA / file), response or left, fixed, random)


def r_name(term):
    return "(Intercept)" if term == "intercept" else term.replace("=", "")


@pytest.mark.parametrize("case", FITS, ids=lambda case: f"{case['label']} {case['formula'].split()[2]}")
def test_equals_lme4(case):
    """The limits are a few times what lme4's own optimiser leaves."""
    file, *response = case["label"].split()
    found = fit(file, case["formula"], response[0].removeprefix("y=") if response else None)
    assert found.reml == pytest.approx(case["reml_criterion"], abs=1e-9)
    assert found.reml <= case["reml_criterion"] + 1e-10
    assert found.singular == case["singular"]
    assert found.n == case["nobs"]
    expected = pd.DataFrame(case["fixed"])
    assert [r_name(term) for term in found.terms["term"]] == expected["term"].tolist()
    limits = {"estimate": ("est", 1e-6), "se": ("se", 6e-6), "df": ("df_satt", 3e-5), "p": ("p_satt", 1.5e-4)}
    for column, (theirs, limit) in limits.items():
        np.testing.assert_allclose(found.terms[column], expected[theirs], rtol=limit)
    for name, variance in case["var"].items():
        assert found.variances[name.lower() if name == "Residual" else name] == pytest.approx(variance, abs=3e-7)
    for name, effects in case["blup"].items():
        assert found.effects[name] == pytest.approx(effects, abs=1e-6)


def significant(value, digits):
    return float(f"{value:.{digits}g}")


@pytest.mark.parametrize("name", ["lmm_pretrain", "lmm_clf"])
def test_gives_the_printed_tables_of_seed_003(name):
    printed = dict(PRINTED[name])
    found = fit(GRID, printed["formula"])
    assert round(found.reml, 1) == printed["reml"]
    for term, row in found.terms.set_index("term").iterrows():
        estimate, se, df, t, p = printed[r_name(term).strip("()").replace("Intercept", "intercept")]
        assert (round(row["estimate"], 3), round(row["se"], 3)) == (estimate, se)
        assert significant(row["df"], 3) == df
        if term == "intercept":  # printed from lme4's default optimiser, which stops a little earlier
            assert (row["t"], row["p"]) == (pytest.approx(t, abs=0.0015), pytest.approx(p, rel=0.03))
        else:
            assert round(row["t"], 3) == t
            assert p is None or round(row["p"], 4) == p
    for term, variance in printed["var"].items():
        value = found.variances[term.lower() if term == "Residual" else term]
        if term in ("lrdecay", "pretrain"):  # the flattest directions, as above: ours .00006965 for .00006962
            assert value == pytest.approx(variance, rel=6e-4)
        else:
            assert significant(value, 4) == variance


def test_without_random_effects_it_is_least_squares():
    expected = pd.DataFrame(json.loads((DATA / "ols_lm.json").read_text()))
    table = pd.read_csv(DATA / GRID)
    table["numfilters"] = table["numfilters"].astype("category")
    fixed = ["pretrain*task", "clf", "backbone", "lrdecay", "numfilters"]
    found = mixed.fit_mixed(table, "test_auc", fixed, [])
    assert [r_name(term) for term in found.terms["term"]] == expected["term"].tolist()
    for column, theirs in {"estimate": "est", "se": "se", "t": "t", "p": "p"}.items():
        np.testing.assert_allclose(found.terms[column], expected[theirs], rtol=1e-9)
    np.testing.assert_allclose(found.terms["df"], len(table) - len(expected), rtol=1e-9)
    assert not found.singular


def simulate(seed, groups=30, size=6, spread=1.0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    table = pd.DataFrame({"split": [f"s{k}" for k in group], "x": rng.normal(size=group.size)})
    table["kind"] = np.where(np.arange(group.size) % 2, "b", "a")
    own = spread * rng.normal(size=groups)[group]
    return table.assign(y=100 + 2 * table["x"] + 0.5 * (table["kind"] == "b") + own + rng.normal(size=group.size))


def test_a_balanced_design_has_its_closed_form():
    """One factor, balanced: REML is analysis of variance, and the mean has groups - 1 degrees of freedom."""
    table = simulate(0)
    found = mixed.fit_mixed(table, "y", [], ["split"])
    means = table.groupby("split")["y"].mean()
    within = table["y"].groupby(table["split"]).var().mean()
    assert found.variances == pytest.approx({"split": means.var() - within / 6, "residual": within}, rel=1e-6)
    row = found.terms.iloc[0]
    assert (row["estimate"], row["se"]) == (pytest.approx(means.mean()), pytest.approx(means.sem(), rel=1e-6))
    assert row["df"] == pytest.approx(29, rel=1e-6)


def test_derivatives_are_those_of_the_criterion():
    table = pd.read_csv(DATA / GRID)
    design = make_design(table, "test_auc", ["pretrain"], ["clf", "task"])
    theta, step = np.array([0.7, 0.3]), 1e-4
    state = mixed.State(design, theta)
    eye = step * np.eye(2)
    slopes = [
        (mixed.State(design, theta + e).deviance - mixed.State(design, theta - e).deviance) / (2 * step) for e in eye
    ]
    np.testing.assert_allclose(2 * theta * state.slope, slopes, rtol=1e-5)
    gradients = [
        (
            2 * (theta + e) * mixed.State(design, theta + e).slope
            - 2 * (theta - e) * mixed.State(design, theta - e).slope
        )
        / (2 * step)
        for e in eye
    ]
    full = state.hessian
    profiled = full[:-1, :-1] - np.outer(full[:-1, -1], full[-1, :-1]) / full[-1, -1]
    np.testing.assert_allclose(profiled, gradients, rtol=1e-5)
    _, slope = state.covariance()
    for k, e in enumerate(eye):  # sigma held
        ahead, behind = (mixed.State(design, theta + sign * e) for sign in (1, -1))
        scaled = [s.covariance()[0] / s.sigma2 * state.sigma2 for s in (ahead, behind)]
        np.testing.assert_allclose(slope[k], (scaled[0] - scaled[1]) / (2 * step), rtol=1e-5, atol=1e-12)


def test_contrasts():
    table = pd.read_csv(DATA / GRID)
    found = mixed.fit_mixed(table, "test_auc", ["clf"], ["task", "backbone"])
    alone = found.contrast({"clf=Linear": 1})
    row = found.terms.set_index("term").loc["clf=Linear"]
    assert [alone[name] for name in ("estimate", "se", "df", "t", "p")] == pytest.approx(row.to_list())
    # the same question with another reference level
    table["clf"] = pd.Categorical(table["clf"], ["ConvSkip", "Linear", "Conv", "NonLinear"])
    other = mixed.fit_mixed(table, "test_auc", ["clf"], ["task", "backbone"]).terms.set_index("term").loc["clf=Linear"]
    pair = found.contrast({"clf=Linear": 1, "clf=ConvSkip": -1})
    expected = other[["estimate", "se", "df", "t", "p"]].to_list()
    assert [pair[name] for name in ("estimate", "se", "df", "t", "p")] == pytest.approx(expected, rel=1e-5)
    assert (pair["lower"] + pair["upper"]) / 2 == pytest.approx(pair["estimate"])


def test_units_and_places_of_the_response_do_not_matter():
    table = simulate(1)
    found = mixed.fit_mixed(table, "y", ["x", "kind"], ["split"])
    moved = mixed.fit_mixed(
        table.assign(y=1e4 * table["y"] + 1e7, x=table["x"] * 1e-5 + 3), "y", ["x", "kind"], ["split"]
    )
    np.testing.assert_allclose(moved.terms["t"][1:], found.terms["t"][1:], rtol=1e-5)
    np.testing.assert_allclose(moved.terms["df"][1:], found.terms["df"][1:], rtol=1e-5)
    assert found.contrast({"x": 1})["lower"] < 2 < found.contrast({"x": 1})["upper"]


def test_a_variance_of_0_is_flagged():
    table = simulate(2, spread=0.0)
    table["y"] -= table.groupby("split")["y"].transform("mean")  # groups as equal as can be
    found = mixed.fit_mixed(table, "y", ["kind"], ["split"])
    assert found.singular
    assert found.variances["split"] == 0
    plain = mixed.fit_mixed(table, "y", ["kind"], [])
    np.testing.assert_allclose(found.terms[["estimate", "se"]], plain.terms[["estimate", "se"]], rtol=1e-9)


def test_nested_effects_are_combinations():
    table = simulate(3)
    combined = table.assign(cell=table["split"] + table["kind"])
    found = mixed.fit_mixed(table, "y", ["x"], ["split", "split:kind"])
    expected = mixed.fit_mixed(combined, "y", ["x"], ["split", "cell"])
    assert found.reml == pytest.approx(expected.reml, abs=1e-8)


@pytest.mark.parametrize(
    "change, fixed, random, message",
    [
        ({}, ["z"], ["split"], r"no column 'z'"),
        ({"x": [np.nan] + [1.0] * 179}, ["x"], ["split"], r"'x' is empty in row 0"),
        ({"x": 1.0}, ["x"], ["split"], r"'x' cannot be told"),
        ({"kind": "a"}, ["x"], ["kind"], r"'kind' has 1 levels"),
        ({"y": 3.0}, ["x"], ["split"], r"explain 'y' without rest"),
        ({}, ["x:kind"], ["split"], r"'x:kind' needs .*'x'"),
    ],
)
def test_what_cannot_be_fitted_is_refused_by_name(change, fixed, random, message):
    with pytest.raises(StudyError, match=message):
        mixed.fit_mixed(simulate(0).assign(**change), "y", fixed, random)
