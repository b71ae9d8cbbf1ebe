"""All tests between representations, from held-out scores with a known answer."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from workflow_scripts.lib.evaluate import compare, delong, participants
from workflow_scripts.lib.evaluate.adjust import holm
from workflow_scripts.lib.evaluate.collect import collect
from workflow_scripts.lib.evaluate.pairs import CLAIMED, CompareOptions, compare_representations
from workflow_scripts.lib.evaluate.sensitivity import sensitivity
from workflow_scripts.lib.evaluate.summarise import summarise
from workflow_scripts.lib.study.tables import check_table

KINDS = {"age": "continuous", "ill": "binary"}
OPTIONS = CompareOptions("paired", "add_one", 400, 400, 200, 0.95, "r2_pool")
QUALITY = {"good": 0.5, "fair": 2.0, "empty": 8.0}


def draw_scores(noise, seed, n_resamples=60, people=60, out=15, repeated=True):
    """Scores of a representation whose held-out scores are the truth, its own fixed noise, and a little fresh noise."""
    rng, ids = np.random.default_rng(seed), np.arange(people)
    own = noise * rng.normal(size=people)
    parts = []
    for resample in range(n_resamples):
        left_out = np.sort(np.random.default_rng([resample, people]).permutation(ids)[:out])
        for task, kind in KINDS.items():
            y = ids % 2 if kind == "binary" else 60 + 2.0 * (ids % 7)
            scans = [(i, session) for i in left_out for session in ((1, 2) if repeated and i % 5 == 0 else (1,))]
            who, session = np.array(scans).T
            score = y[who] + own[who] + 0.2 * rng.normal(size=len(who))
            frame = {"task": task, "resample": resample, "y": y[who].astype(float), "score": score}
            names = [f"p{i:02}" for i in who]
            scan_ids = [f"{name}_{i}" for name, i in zip(names, session, strict=True)]
            parts.append(pd.DataFrame({**frame, "participant_id": names, "scan_id": scan_ids}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def found():
    scores = {name: draw_scores(noise, seed) for seed, (name, noise) in enumerate(QUALITY.items())}
    return collect(scores.get, list(scores), KINDS, early=True)


@pytest.fixture(scope="module")
def comparisons(found):
    return compare_representations(found, OPTIONS, 1)


def test_every_test_sees_a_large_difference(comparisons):
    check_table(comparisons, "comparisons", "comparisons")
    assert len(comparisons) == 6
    large = comparisons[(comparisons["a"] == "good") & (comparisons["b"] == "empty")].set_index("task")
    for name in ("p_permutation", "p_corrected", "p_nadeau_bengio", "p_swap"):
        assert (large[name] < 0.01).all(), name
    assert large.loc["ill", "p_delong"] < 0.001
    for kind in ("percentile", "bca"):
        assert (large[f"lower_{kind}"] > 0).all()
    assert large.loc["ill", "lower_delong"] > 0
    assert np.isnan(large.loc["age", "p_delong"])


def test_the_numbers_are_those_of_the_held_out_means(found, comparisons):
    means = found.final[found.final["task"] == "ill"].pivot(index="scan_id", columns="representation", values="score")
    labels = found.final.drop_duplicates(["task", "scan_id"]).query("task == 'ill'").set_index("scan_id")
    row = comparisons.query("task == 'ill' and a == 'good' and b == 'fair'").iloc[0]
    y = labels["y"].reindex(means.index)
    assert row["heldout_a"] == pytest.approx(roc_auc_score(y, means["good"]))
    assert row["heldout_difference"] == pytest.approx(roc_auc_score(y, means["good"]) - roc_auc_score(y, means["fair"]))
    people = labels["participant_id"].reindex(means.index).to_numpy()
    expected = delong.compare_paired(y.to_numpy(), means["good"].to_numpy(), means["fair"].to_numpy(), 0.95, people)
    assert row["p_delong"] == pytest.approx(expected["p"])
    assert (row["n_scans"], row["n_participants"], row["n_test"]) == (72, 60, 15)
    age = found.final[(found.final["task"] == "age") & (found.final["representation"] == "fair")]
    aged = comparisons.query("task == 'age' and a == 'fair' and b == 'empty'").iloc[0]
    assert aged["heldout_a"] == pytest.approx(r2_score(age["y"], age["score"]))


def test_resampled_tests_are_those_of_compare(found, comparisons):
    row = comparisons.query("task == 'ill' and a == 'fair' and b == 'empty'").iloc[0]
    wide = found.values.query("task == 'ill'").pivot(index="resample", columns="representation", values="value")
    difference = (wide["fair"] - wide["empty"]).to_numpy()
    expected = compare.corrected_t(difference, 15, 60)
    assert row["difference"] == pytest.approx(row["mean_a"] - row["mean_b"])
    assert (row["lower"], row["upper"], row["p_corrected"]) == pytest.approx(
        (expected["lower"], expected["upper"], expected["p"])
    )
    # all others train, so both factors are one
    assert row["p_nadeau_bengio"] == pytest.approx(row["p_corrected"])


def test_p_is_adjusted_within_a_task(comparisons):
    for name in CLAIMED:
        for _, part in comparisons.groupby("task"):
            np.testing.assert_allclose(part[f"{name}_holm"], holm(part[name].to_numpy()))


def test_two_that_are_alike_are_not_told_apart_and_a_copy_has_p_1():
    scores = {"one": draw_scores(2.0, 1), "copy": draw_scores(2.0, 1), "twin": draw_scores(2.0, 4)}
    found = collect(scores.get, list(scores), KINDS)
    table = compare_representations(found, OPTIONS, 1).set_index(["task", "a", "b"])
    for task in KINDS:
        copy = table.loc[task, "one", "copy"]
        assert copy["difference"] == copy["heldout_difference"] == 0
        assert copy["p_permutation"] == copy["p_corrected"] == copy["p_swap"] == 1
    assert table.loc["ill", "one", "copy"]["p_delong"] == 1
    # equally noisy, so alike in the population, whatever the published test makes of this pool
    twins = table.loc["ill", "one", "twin"]
    assert min(twins[["p_corrected", "p_delong", "p_swap"]]) > 0.05
    assert twins["lower_bca"] < 0 < twins["upper_bca"]


def test_the_literal_rule_can_give_0(found):
    literal = compare_representations(found, dataclasses.replace(OPTIONS, p_rule="literal"), 1)
    added = compare_representations(found, OPTIONS, 1)
    assert literal["p_permutation"].min() == 0
    np.testing.assert_allclose((literal["p_permutation"] * 400 + 1) / 401, added["p_permutation"])
    pd.testing.assert_series_equal(literal["p_swap"], added["p_swap"])


def test_the_unpaired_reading_is_another_test():
    scores = {"one": draw_scores(2.0, 1, n_resamples=10), "twin": draw_scores(2.0, 3, n_resamples=10)}
    found = collect(scores.get, list(scores), KINDS)
    paired, unpaired = (
        compare_representations(found, dataclasses.replace(OPTIONS, permutation=reading), 1)
        for reading in ("paired", "unpaired")
    )
    assert (unpaired["p_permutation"] > 2 / 401).all()
    assert (unpaired["p_permutation"] != paired["p_permutation"]).all()
    pd.testing.assert_series_equal(unpaired["p_corrected"], paired["p_corrected"])


def test_numbers_do_not_depend_on_who_else_is_compared(found, comparisons):
    scores = {name: draw_scores(QUALITY[name], seed) for seed, name in ((0, "good"), (2, "empty"))}
    two = compare_representations(collect(scores.get, list(scores), KINDS), OPTIONS, 1)
    both = comparisons[(comparisons["a"] == "good") & (comparisons["b"] == "empty")].reset_index(drop=True)
    columns = [name for name in two if not name.endswith("_holm")]
    pd.testing.assert_frame_equal(two[columns], both[columns])


def test_too_few_people_have_no_test_over_participants():
    few = pd.DataFrame({"representation": "a", "participant_id": ["p1", "p1", "p2"], "scan_id": ["1", "2", "3"]})
    few = pd.concat([few.assign(y=[1.0, 1, 0], score=[0.5, 0.6, 0.1])] * 2).assign(representation=["a"] * 3 + ["b"] * 3)
    task = participants.TaskScores.of(few)
    generators = np.random.default_rng(0), np.random.default_rng(0)
    tested = participants.test_pair(task, ("a", "b"), "auc", 0.95, 100, 100, generators)
    assert tested.pop("n_scans") == 3
    assert np.isnan(list(tested.values())).all()
    bounds = participants.score_interval(few[few["representation"] == "a"], "auc", 0.95, 100, generators[0])
    assert np.isnan(list(bounds.values())).all()


def test_the_summary_bounds_scores_from_both_sides(found):
    table = summarise(found.values, found.final, 0.95, 300, 1)
    check_table(table, "probe_summary", "summary")
    rows = table.set_index(["task", "representation", "metric"])
    mean = rows["mean"]
    assert mean["ill", "good", "auc"] > 0.85
    assert 0.25 < mean["ill", "empty", "auc"] < 0.75
    assert mean["age", "good", "mae"] < mean["age", "empty", "mae"]
    auc = rows.loc["ill", "fair", "auc"]
    assert 0 <= auc["lower_heldout"] < auc["heldout"] < auc["upper_heldout"] <= 1
    r2, pool = rows.loc["age", "fair", "r2"], rows.loc["age", "fair", "r2_pool"]
    assert r2["heldout"] == pool["heldout"]
    assert r2["lower_heldout"] < r2["heldout"] < r2["upper_heldout"]
    assert np.isnan(rows.loc["age", "fair", "mae"]["heldout"])


def test_only_the_published_p_falls_as_resamples_are_added():
    """Two alike in the population: the published p goes to its floor with resamples, the valid ones stay."""
    scores = {name: draw_scores(2.0, seed, n_resamples=160, repeated=False) for seed, name in ((11, "a"), (14, "b"))}
    found = collect(scores.get, list(scores), KINDS, early=True)
    options = dataclasses.replace(OPTIONS, n_permutations=4000)
    comparisons = compare_representations(found, options, 1)
    table = sensitivity(found, comparisons, options, 1)
    check_table(table, "probe_sensitivity", "sensitivity")
    ill = table[table["task"] == "ill"]
    assert ill["first"].tolist() == ill["n_resamples"].tolist() == [10, 20, 40, 80, 160]
    assert ill["n_scans"].iloc[-1] == 60
    last = ill.iloc[-1]
    assert last["p_permutation"] == pytest.approx(1 / 4001)
    assert ill["p_permutation"].iloc[0] > 10 * last["p_permutation"]
    assert min(last[["p_corrected", "p_delong", "p_swap"]]) > 0.05
    row = comparisons[comparisons["task"] == "ill"].iloc[0]
    for name in ("p_permutation", "p_corrected", "p_delong", "p_swap"):
        assert last[name] == row[name]


def test_early_resamples_give_what_they_would_alone(found):
    scores = {name: draw_scores(noise, seed) for seed, (name, noise) in enumerate(QUALITY.items())}
    first = {name: table[table["resample"] < 40] for name, table in scores.items()}
    alone = compare_representations(collect(first.get, list(first), KINDS), OPTIONS, 1)
    early = compare_representations(found, OPTIONS, 1, first=40)
    pd.testing.assert_frame_equal(alone, early)
