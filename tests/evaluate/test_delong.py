"""DeLong's covariance against pROC, edge cases by hand, clusters against what they must come to."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.evaluate import delong
from workflow_scripts.lib.study.errors import StudyError

DATA = Path(__file__).resolve().parents[1] / "data" / "statistics"
CASES = json.loads((DATA / "delong_pROC.json").read_text())
PRINTED = json.loads((DATA / "seed003_anchors.json").read_text())["delong"]
TOLERANCE = 1e-12  # 15 digits are stored, and a difference of AUCs loses one or two


def inputs(case):
    table = pd.read_csv(DATA / "delong_inputs.csv").query("case == @case")
    return (table[name].to_numpy(dtype=float) for name in ("y", "a", "b"))


def draw(seed, n=60, ties=False):
    rng = np.random.default_rng(seed)
    y = (np.arange(n) % 3 == 0).astype(float)
    scores = y + rng.normal(size=(3, n)) + rng.normal(size=n)
    return y, np.round(scores) if ties else scores


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case {case['case']}")
def test_equals_proc(case):
    y, a, b = inputs(case["case"])
    curves, found = delong.delong(y, np.stack([a, b])), delong.compare_paired(y, a, b)
    names = ("auc_a", "auc_b", "z", "p")
    assert [found[name] for name in names] == pytest.approx([case[name] for name in names], rel=TOLERANCE)
    assert [found["lower"], found["upper"]] == pytest.approx(case["diff_ci"], rel=TOLERANCE)
    s = curves.covariance
    expected = [case[name] for name in ("var_a", "cov_ab", "var_b")]
    assert [s[0, 0], s[0, 1], s[1, 1]] == pytest.approx(expected, rel=TOLERANCE)
    for score, name in ((a, "ci_a"), (b, "ci_b")):
        found = delong.auc_interval(y, score)
        assert [found["lower"], found["auc"], found["upper"]] == pytest.approx(case[name], rel=TOLERANCE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"case {case['case']}")
def test_equals_proc_between_different_people(case):
    y, a, b = inputs(case["case"])
    half = case["unpaired"]["split"]
    found = delong.compare_unpaired(y[:half], a[:half], y[half:], b[half:])
    expected = [case["unpaired"][name] for name in ("D", "df", "p")]
    assert [found[name] for name in ("t", "df", "p")] == pytest.approx(expected, rel=TOLERANCE)


def check_consistency(difference, z, p, lower, upper, digits):
    """z, p and the interval of one difference imply each other, within half a unit of the last digit."""
    half, width = 0.5 * 10.0**-digits, stats.norm.ppf(0.975)
    assert (lower + upper) / 2 == pytest.approx(difference, abs=2.1 * half)
    se = (upper - lower) / 2 / width
    assert difference / se == pytest.approx(z, rel=(2.1 * half) / difference + half / se)
    assert p == pytest.approx(2 * stats.norm.sf(z), rel=1e-3)


@pytest.mark.parametrize("task", PRINTED)
def test_the_printed_values_of_seed_003_hang_together_as_ours_do(task):
    """Table 8's scores are not public: only what its numbers imply can be checked."""
    printed = PRINTED[task]
    first, second = printed["auc"]
    check_consistency(first - second, printed["z"], printed["p"], *printed["ci"], digits=4)
    steps = 2 * printed["n_pos"] * printed["n_neg"]
    for auc in printed["auc"]:
        assert abs(auc - round(auc * steps) / steps) <= 0.5e-4
    found = delong.compare_paired(*inputs(7))
    check_consistency(found["difference"], found["z"], found["p"], found["lower"], found["upper"], digits=12)


def test_two_perfect_curves_have_z_0_and_p_1():
    y = np.r_[np.zeros(5), np.ones(4)]
    found = delong.compare_paired(y, y + 1, 3 * y)
    assert [found[name] for name in ("difference", "se", "z", "p", "lower", "upper")] == [0, 0, 0, 1, 0, 0]
    assert delong.contrast_test(y, np.stack([y, 2 * y]), [[1, -1]]) == {"chi2": 0, "df": 0, "p": 1}
    assert delong.compare_unpaired(y, y, y, 2 * y)["p"] == 1
    # a difference without variance tells nothing of its chance
    found = delong.compare_paired(y, y, -y)
    assert found["difference"] == 1 and np.isnan(found["z"]) and np.isnan(found["p"])
    assert np.isnan(delong.contrast_test(y, np.stack([y, -y]), [[1, -1]])["p"])


def test_one_model_against_itself_has_p_1():
    y, scores = draw(3)
    found = delong.compare_paired(y, scores[0], 7 * scores[0] + 1)
    assert (found["difference"], found["z"], found["p"]) == (0, 0, 1)


def test_the_logit_interval_stays_inside():
    y = np.r_[np.zeros(20), np.ones(20)]
    score = np.arange(40.0)
    score[[19, 20]] = score[[20, 19]]  # one pair in the wrong order
    wald, logit = (delong.auc_interval(y, score, scale=scale) for scale in ("wald", "logit"))
    assert wald["upper"] == 1 > logit["upper"] > wald["auc"] > logit["lower"]
    odds, width = wald["auc"] / (1 - wald["auc"]), stats.norm.ppf(0.975) * wald["se"]
    lower = odds * np.exp(-width / (wald["auc"] * (1 - wald["auc"])))
    assert logit["lower"] == pytest.approx(lower / (1 + lower))
    assert np.isnan(delong.auc_interval(y, y, scale="logit")["lower"])
    assert delong.auc_interval(y, y)["lower"] == 1


@pytest.mark.parametrize("clusters", [None, np.arange(60) // 2])
def test_contrasts_of_three_models(clusters):
    y, scores = draw(1)
    paired = delong.compare_paired(y, scores[0], scores[1], clusters=clusters)
    found = delong.contrast_test(y, scores, [[1, -1, 0]], clusters)
    assert (found["chi2"], found["df"], found["p"]) == (pytest.approx(paired["z"] ** 2), 1, pytest.approx(paired["p"]))
    every = delong.contrast_test(y, scores, [[1, -1, 0], [0, 1, -1]], clusters)
    again = delong.contrast_test(y, scores, [[1, 0, -1], [1, -1, 0], [2, -1, -1]], clusters)  # the same two, and a sum
    assert every["df"] == again["df"] == 2
    assert every["chi2"] == pytest.approx(again["chi2"])


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_order_and_scale_do_not_matter(seed, ties):
    y, scores = draw(seed, ties=ties)
    curves = delong.delong(y, scores)
    order = np.random.default_rng(seed).permutation(len(y))
    other = delong.delong(y[order], np.exp(scores[:, order]))
    np.testing.assert_allclose(other.auc, curves.auc, rtol=1e-12)
    np.testing.assert_allclose(other.covariance, curves.covariance, atol=1e-15)
    flipped = delong.delong(1 - y, -scores)
    np.testing.assert_allclose(flipped.covariance, curves.covariance, atol=1e-15)
    assert np.linalg.eigvalsh(curves.covariance).min() >= -1e-15


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=20, deadline=None)
def test_clusters_of_one_are_no_clusters(seed, ties):
    y, scores = draw(seed, ties=ties)
    plain, clustered = delong.delong(y, scores), delong.delong(y, scores, np.random.default_rng(seed).permutation(60))
    np.testing.assert_allclose(clustered.auc, plain.auc, rtol=1e-13)
    np.testing.assert_allclose(clustered.covariance, plain.covariance, rtol=1e-10)


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_copies_of_a_persons_scans_tell_nothing_new(seed, copies):
    y, scores = draw(seed)
    people = np.arange(60)
    once = delong.delong(y, scores, people).covariance
    often = delong.delong(np.tile(y, copies), np.tile(scores, copies), np.tile(people, copies)).covariance
    np.testing.assert_allclose(often, once, rtol=1e-10)
    blind = delong.delong(np.tile(y, copies), np.tile(scores, copies)).covariance
    assert (np.diag(blind) < np.diag(once)).all()


def test_clusters_by_hand():
    """Obuchowski's sums written out for three people, one of whom has scans of both classes."""
    y, score, people = np.array([1.0, 1, 0, 0, 0]), np.array([3.0, 1, 2, 0, 1]), np.array(["a", "b", "b", "c", "c"])
    # of the positives: 3 beats 3 of 3; 1 beats 0, ties 1: 1/2; AUC 3/4. Of the negatives: 2: 1/2, 0: 1, 1: 3/4
    x = np.array([1 - 0.75, 0.5 - 0.75, 0])
    z = np.array([0, 0.5 - 0.75, (1 + 0.75) - 1.5])
    expected = 2 / 1 * (x @ x) / 4 + 2 / 1 * (z @ z) / 9 + 2 * 3 / 2 * (x @ z) / 6
    found = delong.delong(y, score, people)
    assert found.auc == pytest.approx([0.75])
    assert found.covariance == pytest.approx(np.array([[expected]]))


def simulate_people(rng, people=150, scans=3):
    """Draw people with scans of correlated scores; some change class between scans."""
    who = np.repeat(np.arange(people), scans)
    own = rng.normal(size=people)[who]
    y = (0.8 * rng.normal(size=people)[who] + 0.6 * rng.normal(size=who.size) > 0).astype(float)
    scores = [0.7 * y + 0.9 * own + 0.5 * rng.normal(size=who.size) for _ in range(2)]
    return y, *scores, who


def test_coverage_and_size_with_several_scans_a_person():
    """The clustered interval covers the true AUC about 95 times in 100; that which takes scans for people does not."""
    rng = np.random.default_rng(11)
    truth = stats.norm.cdf(0.7 / np.sqrt(2 * (0.9**2 + 0.5**2)))  # of two scans of different people
    covered, blind, p = [], [], []
    for _ in range(400):
        y, a, b, who = simulate_people(rng)
        for into, clusters in ((covered, who), (blind, None)):
            bounds = delong.auc_interval(y, a, clusters=clusters)
            into.append(bounds["lower"] <= truth <= bounds["upper"])
        p.append(delong.compare_paired(y, a, b, clusters=who)["p"])
    assert 0.92 <= np.mean(covered) <= 0.98
    assert np.mean(blind) < 0.88
    assert 0.025 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_what_has_no_auc_is_refused_by_name():
    with pytest.raises(StudyError, match="0 negatives"):
        delong.delong(np.ones(4), np.arange(4.0))
    with pytest.raises(StudyError, match="row 2, model 1"):
        delong.delong(np.array([0, 1, 1.0]), np.array([[1, 2, 3], [1, 2, np.nan]]))
    assert np.isnan(delong.delong(np.array([0, 0, 1.0]), np.arange(3.0)).covariance).all()
    assert np.isnan(delong.compare_paired(np.array([0, 0, 1.0]), np.arange(3.0), np.arange(3.0) % 2)["p"])
    with pytest.raises(ValueError, match="'odds'"):
        delong.auc_interval(np.array([0, 1.0]), np.arange(2.0), scale="odds")
