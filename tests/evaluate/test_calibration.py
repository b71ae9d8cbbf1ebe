"""Simulated studies whose truth is known, and how often each test rejects."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.evaluate.grids import mean_grid
from workflow_scripts.lib.evaluate import calibration as cal
from workflow_scripts.lib.evaluate import calibration_designs as designs
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.probe import calibrate_tests, collect_calibration

LEAVE_OUT = designs.Design.of("leave_out", 60, 12, [5, 20])
SMALL = designs.Design.of("small_samples", 80, 30, [5, 20])
FEW = cal.Draws(permutations=99, swaps=99, bootstraps=99)
PUBLISHED = ["unpaired", "sign_flip"]
VALID = ["pool_corrected_t", "delong", "swap", "bootstrap_percentile", "bootstrap_bca"]


@pytest.mark.parametrize("effect", [0.0, 0.08])
def test_planted_columns_have_the_planted_population_auc(effect):
    planted = designs.Planted(auc=0.7, columns=3, shared=0.4)
    y, a, b = designs.draw_people(200_000, planted, effect, np.random.default_rng(0))
    best = np.stack([a.sum(1), b.sum(1)])
    assert roc_auc_score(y, best[0]) == pytest.approx(0.7, abs=0.005)
    assert roc_auc_score(y, best[1]) == pytest.approx(0.7 + effect, abs=0.005)
    # the noise has variance 1 and the planted share in common, in each class
    for side in (0, 1):
        found = np.cov(a[y == side, 0], b[y == side, 0])
        assert found == pytest.approx(np.array([[1, 0.4], [0.4, 1]]), abs=0.02)


@pytest.mark.parametrize("design", [LEAVE_OUT, SMALL])
def test_without_an_effect_the_sets_can_change_places(design):
    class Exchanged(np.random.Generator):
        """A generator whose second and third block of noise change places."""

        def standard_normal(self, size):
            return super().standard_normal(size)[[0, 2, 1]]

    y, a, b = designs.draw_people(50, designs.Planted(), 0.0, np.random.default_rng(3))
    _, c, d = designs.draw_people(50, designs.Planted(), 0.0, Exchanged(np.random.PCG64(np.random.SeedSequence(3))))
    assert np.array_equal(a, d)
    assert np.array_equal(b, c)
    assert y.mean() == 0.5


@settings(deadline=None, max_examples=20)
@given(kind=st.sampled_from(designs.KINDS), size=st.integers(10, 30), count=st.integers(2, 9), number=st.integers(0, 9))
def test_nobody_trains_and_is_tested_and_more_resamples_keep_the_first(kind, size, count, number):
    design = designs.Design.of(kind, 60, size, [count])
    train, people = designs.draw_splits(design, 1, number)
    assert train.shape == (count, 60)
    assert people.shape == (count, design.n_test)
    assert (train.sum(1) == design.n_train).all()
    assert not np.take_along_axis(train, people, 1).any()
    assert all(len(set(row)) == design.n_test for row in people)
    more, others = designs.draw_splits(designs.Design.of(kind, 60, size, [count, 12]), 1, number)
    assert np.array_equal(more[:count], train)
    assert np.array_equal(others[:count], people)


@pytest.mark.parametrize("design", [LEAVE_OUT, SMALL])
def test_scores_and_aucs_are_those_of_scikit_learn(design):
    planted = designs.Planted(columns=3, c=0.5)
    found = designs.run_design(design, planted, 0.0, 7, 2)
    rng = designs.generator(7, "calibration people", design.name, 2)
    y, a, _ = designs.draw_people(design.participants, planted, 0.0, rng)
    train, people = designs.draw_splits(design, 7, 2)
    reference, grid = [], np.zeros(train.shape)
    for fit, rows, tested in zip(train, range(len(train)), people, strict=True):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-10))
        score = model.fit(a[fit], y[fit]).decision_function(a[tested])
        grid[rows, tested] = score
        reference.append(roc_auc_score(y[tested], score) if 0 < y[tested].sum() < len(tested) else np.nan)
    assert found.auc_a == pytest.approx(np.array(reference), abs=1e-12, nan_ok=True)
    held_out = np.zeros(train.shape, dtype=bool)
    np.put_along_axis(held_out, people, True, 1)
    for row, count in enumerate(design.resamples):
        means = mean_grid(grid[:count], held_out[:count], "rank")
        assert found.mean_a[row] == pytest.approx(means, abs=1e-12, nan_ok=True)


def test_those_never_tested_have_no_mean():
    means = designs.running_means(np.array([[1.0, 2.0], [4.0, 8.0]]), np.array([[0, 1], [1, 2]]), 4, (1, 2))
    assert means[0] == pytest.approx([1, 2, np.nan, np.nan], nan_ok=True)
    assert means[1] == pytest.approx([1, 3, 8, np.nan], nan_ok=True)


@pytest.mark.parametrize("design", [LEAVE_OUT, SMALL])
def test_cutting_simulations_into_jobs_changes_no_number(design):
    def run(numbers):
        return cal.count_rejections(design, designs.Planted(columns=2), 0.1, FEW, 5, numbers)

    whole = cal.collect(run(range(4)))
    parts = cal.collect(pd.concat([run(range(3, 4)), run(range(3))]))
    keys = ["test", "n_resamples"]
    pd.testing.assert_frame_equal(
        whole.sort_values(keys, ignore_index=True), parts.sort_values(keys, ignore_index=True), check_dtype=False
    )
    assert set(whole["test"]) == {*PUBLISHED, "nadeau_bengio_t", *VALID}
    assert set(whole["n_resamples"]) == {5, 20}


def test_tests_after_few_resamples_do_not_depend_on_further_ones():
    fewer = designs.Design.of("leave_out", 60, 12, [5])
    one, two = (cal.count_rejections(d, designs.Planted(), 0.1, FEW, 5, range(3)) for d in (fewer, LEAVE_OUT))
    two = two[two["n_resamples"] == 5].reset_index(drop=True)
    pd.testing.assert_frame_equal(one, two)


def test_every_test_finds_a_large_difference():
    design = designs.Design.of("leave_out", 120, 24, [40])
    found = cal.count_rejections(design, designs.Planted(auc=0.55, shared=0.1), 0.4, FEW, 1, range(4))
    assert (found["rejected"] == 4).all()


def test_an_interval_rejects_where_it_leaves_0_out():
    y = np.arange(40) % 2.0
    rng = np.random.default_rng(2)
    noise = rng.normal(size=40)
    equal = cal.test_people(y, noise, noise, FEW, rng)
    clear = cal.test_people(y, noise, y + 0.1 * noise, FEW, rng)
    assert equal["bootstrap_percentile"] == equal["bootstrap_bca"] == equal["delong"] == equal["swap"] == 1
    assert clear["bootstrap_percentile"] == clear["bootstrap_bca"] == 0
    assert max(clear["delong"], clear["swap"]) < 0.05


def test_collected_shares_have_exact_bounds():
    keys = {"design": "leave_out", "participants": 60, "n": pd.NA, "effect": 0.0, "n_resamples": 5}
    counts = pd.DataFrame(
        [
            {**keys, "test": "delong", "n_simulations": 20, "rejected": 0},
            {**keys, "test": "swap", "n_simulations": 20, "rejected": 20},
            {**keys, "test": "unpaired", "n_simulations": 300, "rejected": 21},
            {**keys, "test": "unpaired", "n_simulations": 700, "rejected": 31},
        ]
    )
    found = cal.collect(counts).set_index("test")
    for test, count, total in (("delong", 0, 20), ("swap", 20, 20), ("unpaired", 52, 1000)):
        exact = stats.binomtest(count, total).proportion_ci(0.95, "exact")
        assert found.loc[test, ["rejected", "lower", "upper"]].tolist() == pytest.approx([count / total, *exact])
    low, high = found.loc["unpaired", ["chance_lower", "chance_upper"]] * 1000
    assert stats.binom.cdf(high, 1000, 0.05) - stats.binom.cdf(low - 1, 1000, 0.05) >= 0.95
    assert stats.binom.cdf(high - 1, 1000, 0.05) - stats.binom.cdf(low, 1000, 0.05) < 0.95


def test_faults_are_named():
    with pytest.raises(StudyError, match="'leave_out_60_99'; known: leave_out_60_12"):
        designs.Design.named(
            "leave_out_60_99", [{"kind": "leave_out", "participants": 60, "size": 12, "resamples": [5]}]
        )
    with pytest.raises(StudyError, match="100 training and 20 test people are more than the pool's 110"):
        designs.Design.of("small_samples", 110, 100, [5])
    with pytest.raises(StudyError, match="30 people who train, 0 who are tested"):
        designs.Design.of("leave_out", 30, 0, [5])
    with pytest.raises(StudyError, match="kind 'bootstrap'"):
        designs.Design.of("bootstrap", 110, 10, [5])
    with pytest.raises(StudyError, match=r"auc 0\.75 plus effect 0\.3"):
        designs.Planted().distance(0.3)
    with pytest.raises(StudyError, match="no simulation"):
        cal.collect(pd.DataFrame(columns=[*cal.KEYS, "n_simulations", "rejected"]))


CONFIG = {
    "designs": [
        {"kind": "leave_out", "participants": 60, "size": 12, "resamples": [5, 10]},
        {"kind": "small_samples", "participants": 80, "size": 30, "resamples": [5, 10]},
    ],
    "simulations": 5,
    "power_simulations": 2,
    "simulations_per_job": 3,
    "effects": [0.1],
    "auc": 0.75,
    "columns": 2,
    "shared": 0.5,
    "c": 1.0,
    "n_permutations": 99,
    "n_swaps": 99,
    "n_bootstrap": 99,
}


def test_scripts_from_simulation_to_table(tmp_path):
    paths = []
    for cell in ("leave_out_60_12", "small_samples_80_30"):
        for chunk in ("00", "01"):
            paths.append(tmp_path / cell / f"{chunk}.tsv")
            snakemake = SimpleNamespace(
                wildcards=SimpleNamespace(cell=cell, chunk=chunk),
                params=SimpleNamespace(calibration=CONFIG, seed=3),
                output=SimpleNamespace(counts=paths[-1]),
            )
            calibrate_tests.main(snakemake)
    out = tmp_path / "calibration.tsv"
    collect_calibration.main(
        SimpleNamespace(input=SimpleNamespace(counts=paths), output=SimpleNamespace(calibration=out))
    )
    table = tables.read_table(out, "calibration")
    assert len(table) == 2 * 2 * 2 * 8  # designs, effects, counts of resamples, tests
    assert set(table.loc[table["effect"] == 0, "n_simulations"]) == {5}
    assert set(table.loc[table["effect"] > 0, "n_simulations"]) == {2}
    assert table.loc[table["design"] == "leave_out", "n"].isna().all()
    assert set(table.loc[table["design"] == "small_samples", "n"]) == {30}


@pytest.mark.slow  # half a minute: the claim itself, that tests can be believed
def test_valid_tests_reject_5_percent_of_1000_true_nulls_and_published_ones_far_more():
    design = designs.Design.of("leave_out", 300, 60, [50])
    draws = cal.Draws(permutations=499, swaps=499, bootstraps=499)
    counts = cal.count_rejections(design, designs.Planted(columns=4), 0.0, draws, 20, range(1000))
    shares = cal.collect(counts).set_index("test")["rejected"]
    assert shares[[*VALID, "nadeau_bengio_t"]].between(0.035, 0.065).all(), shares.to_dict()
    assert (shares[PUBLISHED] > 0.3).all(), shares.to_dict()
