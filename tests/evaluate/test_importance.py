"""Importance of locations: planted truth, the probe's own numbers, and that nobody is on both sides."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.evaluate import importance, summarise
from workflow_scripts.lib.evaluate.compare import corrected_t
from workflow_scripts.lib.evaluate.probe import ProbeOptions, fit_in_chunks, run_task
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.pretrain import tokens
from workflow_scripts.lib.study.errors import LeakageError, StudyError

PROBE = ProbeOptions(n_resamples=40, n_test=10, test_fraction=0.25, stratify=True, c=0.1, alpha=10.0)
OPTIONS = importance.ImportanceOptions(PROBE, "fitted", "r2_pool", 0.95)
REFITTED = dataclasses.replace(OPTIONS, reading="refitted")
KINDS = {"ill": "binary", "age": "continuous"}
PLACES = ["a", "b", "c", "d"]
CARRIER = 2  # the location that knows the label


def aggregate(messages, places):
    """Add up the tokens of the given locations: a plain aggregator that takes any subset."""
    return messages[:, places].sum(axis=1)


def make_study(copies=(CARRIER,), seed=0, n=60):
    """People (every fourth scanned twice) with 4 locations x 8 numbers; the label stands in the given locations."""
    rng = np.random.default_rng(seed)
    rows = [(f"p{i:02}", f"p{i:02}_{s}", i % 2, 60 + i / 2 + s) for i in range(n) for s in range(1 + (i % 4 == 0))]
    scans = pd.DataFrame(rows, columns=["participant_id", "scan_id", "ill", "age"])
    messages = rng.normal(size=(len(scans), 4, 8)) * np.r_[0.2, 0.2, np.ones(6)]
    for place in copies:
        messages[:, place, 0] += scans["ill"]
        messages[:, place, 1] += (scans["age"] - 75) / 3
    ids = scans[["scan_id", "participant_id"]]
    tasks = pd.concat([ids.assign(task=name, kind=kind, y=scans[name] * 1.0) for name, kind in KINDS.items()])

    def table(places):
        return pd.DataFrame(aggregate(messages, places), index=scans["scan_id"]).rename(columns=str)

    without = {name: table([other for other in range(4) if other != place]) for place, name in enumerate(PLACES)}
    full = table(range(4))
    representation = full.reset_index().merge(ids, on="scan_id")
    scores = pd.concat([run_task(representation, part, PROBE, 1) for _, part in tasks.groupby("task", sort=False)])
    return full, without, tasks, scores


@pytest.fixture(scope="module")
def study():
    return make_study()


@pytest.mark.parametrize("options", [OPTIONS, REFITTED])
def test_the_location_that_carries_the_label_is_found(study, options):
    table = importance.rank_tasks(*study, options)
    assert table["location"].tolist() == PLACES * 2
    for task in KINDS:
        rows = table[table["task"] == task].set_index("location")
        assert rows["drop"].idxmax() == "c"
        assert rows.loc["c", "drop"] > 0.3
        assert rows.loc["c", "low"] > 0
        others = rows.drop(index="c")
        assert (others["drop"].abs() < 0.1).all()
        assert (others["low"] < 0).all()
        assert ((rows["score_full"] - rows["score_without"]) - rows["drop"]).abs().max() < 1e-12
    assert (table["reading"] == options.reading).all()


def test_refitting_finds_a_stand_in_where_the_fitted_probe_misses_one():
    """The label stands in two locations: neither is needed, and yet the fitted probe relies on both."""
    fitted, refitted = (importance.rank_tasks(*make_study((1, 2)), options) for options in (OPTIONS, REFITTED))
    for task in KINDS:
        stand_ins = [
            table[(table["task"] == task) & table["location"].isin(["b", "c"])]["drop"].to_numpy()
            for table in (fitted, refitted)
        ]
        assert (np.abs(stand_ins[1]) < 0.1).all()
    # half of the message moves ages half as far from their mean: an R2 of 3/4 at best
    assert (stand_ins[0] > 0.15).all()


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("columns", [6, 40])
def test_linear_maps_are_the_probes(kind, columns):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(50, columns)) * 10 ** rng.uniform(-2, 2, columns) + 3
    x[:, 4] = 7.0  # tells nothing
    y = (x[:, 0] / x[:, 0].std() + rng.normal(size=50) > x[:, 0].mean() / x[:, 0].std()) * 1.0
    y = y if kind == "binary" else 70 + 5 * y + rng.normal(size=50)
    train = rng.random((5, 50)) < 0.8
    slope, intercept = importance.linear_maps(x, y, train, kind, PROBE)
    np.testing.assert_allclose(
        slope @ x.T + intercept[:, None], fit_in_chunks(x, y, train, kind, PROBE), rtol=1e-5, atol=1e-6
    )
    new = rng.normal(size=(9, columns)) * x.std(0) + x.mean(0)
    for row, fit in enumerate(train):
        estimator = LogisticRegression(C=0.1, tol=1e-10, solver="newton-cholesky") if kind == "binary" else Ridge(10.0)
        model = make_pipeline(StandardScaler(), estimator).fit(x[fit], y[fit])
        expected = model.decision_function(new) if kind == "binary" else model.predict(new)
        np.testing.assert_allclose(new @ slope[row] + intercept[row], expected, rtol=1e-5, atol=1e-5)


def test_the_score_with_all_locations_is_the_probe_stage_s_own(study):
    _, _, _, scores = study
    table = importance.rank_tasks(*study, OPTIONS)
    values = summarise.metrics_by_resample(scores, KINDS, "m")
    expected = values.groupby(["task", "metric"])["value"].mean()
    for row in table.itertuples():
        assert row.score_full == pytest.approx(expected[row.task, row.metric], abs=1e-6)


def test_the_refitted_drop_is_the_difference_of_two_probes_and_their_interval(study):
    """As compare_representations would find it between the representation and one without the location."""
    _, without, tasks, scores = study
    ids = tasks[["scan_id", "participant_id"]].drop_duplicates()
    less = without["c"].reset_index().merge(ids, on="scan_id")
    table = importance.rank_tasks(*study, REFITTED).set_index(["task", "location"])
    for task, part in tasks.groupby("task", sort=False):
        known = [scores[scores["task"] == task], run_task(less, part, PROBE, 1)]
        before, after = (summarise.metrics_by_resample(some, KINDS, "m") for some in known)
        row = table.loc[(task, "c")]
        pick = [some[some["metric"] == row["metric"]]["value"].to_numpy() for some in (before, after)]
        expected = corrected_t(pick[0] - pick[1], row["n_test"], 60)
        found = row[["drop", "low", "high"]].to_numpy(dtype=float)
        np.testing.assert_allclose(found, [expected["mean"], expected["lower"], expected["upper"]], atol=1e-6)
        assert (row["n_people"], row["n_test"], row["n_resamples"]) == (60, 10, 40)


def test_a_location_that_changes_nothing_loses_nothing(study):
    full, _, tasks, scores = study
    table = importance.rank_tasks(full, {"same": full}, tasks, scores, OPTIONS)
    assert (table[["drop", "low", "high"]].abs() < 1e-12).all(axis=None)


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_held_out_people_are_held_out_with_all_their_scans(study, seed, n_resamples):
    _, _, tasks, scores = study
    task = tasks[tasks["task"] == "ill"].sample(frac=1, random_state=seed)
    test = importance.held_out_scans(task, scores[scores["task"] == "ill"], n_resamples)
    assert test.shape == (n_resamples, len(task))
    people = task["participant_id"].to_numpy()
    for out in test:
        assert not set(people[out]) & set(people[~out])
        assert len(set(people[out])) == 10


def test_somebody_on_both_sides_is_refused(study):
    _, _, tasks, scores = study
    task, known = tasks[tasks["task"] == "ill"], scores[scores["task"] == "ill"]
    lost = known[(known["scan_id"] != "p00_1")]
    with pytest.raises(LeakageError, match="participant p00"):
        importance.held_out_scans(task, lost, 40)


def test_a_scan_without_tokens_is_refused(study):
    _, _, tasks, scores = study
    task = tasks[(tasks["task"] == "ill") & (tasks["participant_id"] != "p03")]
    with pytest.raises(StudyError, match="scan p03_0 was scored"):
        importance.held_out_scans(task, scores[scores["task"] == "ill"], 40)


def test_order_of_rows_does_not_matter(study):
    full, without, tasks, scores = study
    shuffled = full.sample(frac=1, random_state=1), tasks.sample(frac=1, random_state=2), scores.sample(frac=1)
    mixed = {name: table.loc[shuffled[0].index] for name, table in without.items()}
    again = importance.rank_tasks(shuffled[0], mixed, *shuffled[1:], OPTIONS)
    again = again.set_index(["task", "location"]).loc[list(KINDS)].reset_index()
    expected = importance.rank_tasks(*study, OPTIONS)
    pd.testing.assert_frame_equal(again[expected.columns], expected, rtol=1e-6, atol=1e-9)


def test_tasks_that_were_not_scored_are_passed_over_unless_none_was(study):
    full, without, tasks, scores = study
    some = scores[scores["task"] == "age"]
    assert set(importance.rank_tasks(full, without, tasks, some, OPTIONS)["task"]) == {"age"}
    with pytest.raises(StudyError, match="ill, age was scored"):
        importance.rank_tasks(full, without, tasks, scores.iloc[:0], OPTIONS)


@pytest.mark.parametrize("options", [OPTIONS, REFITTED])
def test_the_carrier_is_found_through_a_real_aggregator(options):
    """Untrained, so that nothing has taught it which location to read."""
    torch.manual_seed(4)
    aggregator, rng = Aggregator(6, 16), np.random.default_rng(4)
    ids, ill = [f"p{i:03}" for i in range(120)], np.arange(120) % 2
    values = rng.normal(size=(120, 6, 16)).astype(np.float32)
    values[:, 4] = 0.3 * values[:, 4] + (2 * ill[:, None] - 1) * rng.choice([-1, 1], 16)
    aggregator.set_statistics(torch.from_numpy(values))
    full, *parts = (
        tokens.embed(aggregator, values, torch.device("cpu"), "m", place).set_axis(ids) for place in (None, *range(6))
    )
    task = pd.DataFrame({"task": "ill", "kind": "binary", "scan_id": ids, "participant_id": ids, "y": ill * 1.0})
    scores = run_task(full.rename_axis("scan_id").reset_index().assign(participant_id=ids), task, PROBE, 1)
    table = importance.rank_tasks(full, dict(enumerate(parts)), task, scores, options).set_index("location")
    assert table["drop"].idxmax() == 4
    assert table.loc[4, "low"] > 0.1
    # without a location of noise the carrier is heard a little better
    assert table["drop"].drop(index=4).between(-0.15, 0.05).all()
    assert (table["low"].drop(index=4) < 0).all()
