"""Probes from tables to comparisons, on simulated people with a known answer."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.evaluate import probe, summarise
from workflow_scripts.lib.evaluate.sensitivity import sensitivity
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

OPTIONS = probe.ProbeOptions(n_resamples=40, n_test=8, test_fraction=0.25, stratify=True, c=0.1, alpha=10.0)
KINDS = {"age": "continuous", "ill": "binary"}
TESTS = {"permutation": "paired", "n_permutations": 200, "level": 0.95, "continuous_metric": "r2_pool"}


@pytest.fixture(scope="module")
def study():
    """40 people, every fourth scanned twice; one good and one empty representation."""
    rng = np.random.default_rng(0)
    rows = [(f"p{i:02}", f"ses-{s}", i % 2, 60 + 0.5 * i + s) for i in range(40) for s in range(1 + (i % 4 == 0))]
    scans = pd.DataFrame(rows, columns=["participant_id", "session_id", "ill", "age"])
    scans["scan_id"] = scans["participant_id"] + "_" + scans["session_id"]
    ids = scans[["scan_id", "participant_id"]]
    tasks = [ids.assign(task=name, kind=KINDS[name], y=scans[name].astype(float)) for name in KINDS]
    signal = np.column_stack([scans["ill"] * 2.0, (scans["age"] - 70) / 5])
    noise = rng.normal(size=(len(scans), 12))
    good = signal @ rng.normal(size=(2, 12)) + noise

    def table(x):
        return pd.concat([ids, pd.DataFrame(x, columns=[f"c{j}" for j in range(12)])], axis=1)

    return pd.concat(tasks, ignore_index=True), {"good": table(good), "empty": table(rng.normal(size=noise.shape))}


def test_scores_fit_their_schema_and_leave_nobody_on_both_sides(study):
    tasks, representations = study
    scores = probe.run_tasks(representations["good"], tasks, OPTIONS, 1)
    check_table(scores.assign(representation="good"), "probe_scores", "scores")
    scans = tasks[tasks["task"] == "ill"].groupby("participant_id")["scan_id"].nunique()
    counted = scores[scores["task"] == "ill"].groupby(["resample", "participant_id"])["scan_id"].nunique()
    assert (counted == scans.reindex(counted.index.get_level_values(1)).to_numpy()).all()  # all scans or none
    assert (counted.groupby("resample").size() == 8).all()


def test_a_good_representation_beats_an_empty_one(study):
    tasks, representations = study
    scores = {name: probe.run_tasks(table, tasks, OPTIONS, 1) for name, table in representations.items()}
    values, pool = summarise.collect(scores.get, list(scores), KINDS)
    assert pool == {"age": 40, "ill": 40}
    summary = summarise.summarise(values, pool)
    comparisons = summarise.compare_representations(values, pool, TESTS, 1)
    for table, name in (
        (values.drop(columns="participants"), "probe_resamples"),
        (summary, "probe_summary"),
        (comparisons, "comparisons"),
    ):
        check_table(table, name, name)
    mean = summary.set_index(["task", "representation", "metric"])["mean"]
    assert mean["ill", "good", "auc"] > 0.85
    assert 0.25 < mean["ill", "empty", "auc"] < 0.75
    assert mean["age", "good", "r2_pool"] > 0.5
    assert mean["age", "good", "mae"] < mean["age", "empty", "mae"]
    assert len(comparisons) == 2
    assert (comparisons["difference"] > 0).all()
    assert (comparisons["p_corrected"] < 0.05).all()
    assert comparisons["difference"].to_numpy() == pytest.approx(comparisons["mean_a"] - comparisons["mean_b"])


def test_numbers_do_not_depend_on_chunks(study):
    tasks, representations = study
    for name, kind in KINDS.items():
        task = tasks[tasks["task"] == name].reset_index(drop=True)
        x, _ = probe.align(representations["good"], task)
        train, _ = probe._draw(task, OPTIONS, 1)
        whole, parts = (probe.fit_in_chunks(x, task["y"].to_numpy(), train, kind, OPTIONS, size) for size in (40, 7))
        np.testing.assert_allclose(whole, parts, rtol=1e-9, atol=1e-9)


def test_numbers_do_not_depend_on_the_order_of_rows(study):
    tasks, representations = study
    shuffled = representations["good"].sample(frac=1, random_state=1)
    first = probe.run_tasks(representations["good"], tasks, OPTIONS, 1)
    second = probe.run_tasks(shuffled, tasks.sample(frac=1, random_state=2), OPTIONS, 1)
    keys = ["task", "resample", "scan_id"]
    first, second = (table.sort_values(keys).reset_index(drop=True) for table in (first, second))
    pd.testing.assert_frame_equal(first, second, rtol=1e-9)


def test_a_missing_scan_leaves_the_resamples_as_they_were(study):
    tasks, representations = study
    lost = representations["good"]["scan_id"].iloc[3]
    fewer = representations["good"][lambda table: table["scan_id"] != lost]
    whole = probe.run_tasks(representations["good"], tasks, OPTIONS, 1)
    part = probe.run_tasks(fewer, tasks, OPTIONS, 1)
    keys = ["task", "resample", "scan_id"]
    kept = whole[whole["scan_id"] != lost]
    assert set(map(tuple, part[keys].to_numpy())) == set(map(tuple, kept[keys].to_numpy()))
    shared = summarise.shared_scans({"a": whole[["task", "scan_id"]], "b": part[["task", "scan_id"]]})
    assert lost not in set(shared["scan_id"])
    assert shared.groupby("task")["scan_id"].nunique().nunique() == 1


def test_unstratified_resamples_of_one_class_are_left_out(study):
    tasks, representations = study
    few = tasks[(tasks["task"] == "ill") & ((tasks["y"] == 0) | (tasks["participant_id"] == "p01"))]
    options = dataclasses.replace(OPTIONS, stratify=False)
    scores = probe.run_task(representations["good"], few, options, 1)
    assert "p01" not in set(scores["participant_id"])  # the only ill person must train
    assert 0 < scores["resample"].nunique() < OPTIONS.n_resamples
    values = summarise.metrics_by_resample(scores, KINDS, "good")
    assert values["value"].isna().all()


def test_wrong_representations_are_refused(study):
    tasks, representations = study
    good = representations["good"]
    task = tasks[tasks["task"] == "ill"]
    with pytest.raises(StudyError, match="twice"):
        probe.align(pd.concat([good, good.head(1)]), task)
    with pytest.raises(StudyError, match="nan in column 'c3'"):
        probe.align(good.assign(c3=np.nan), task)
    with pytest.raises(StudyError, match="belongs to participant somebody"):
        probe.align(good.assign(participant_id="somebody"), task)


def test_nothing_scored_is_said():
    empty = pd.DataFrame(columns=["task", "resample", "participant_id", "scan_id", "y", "score"])
    with pytest.raises(StudyError, match="task_counts"):
        summarise.collect(lambda name: empty, ["a", "b"], {})


def test_p_falls_with_resamples_only_where_it_should_not():
    """Two alike: the published p goes to its floor as resamples are added, the corrected one stays."""
    rng = np.random.default_rng(0)
    truth = {"a": 0.80, "b": 0.79}  # means over resamples of this pool, which always differ a little
    rows = [("ill", name, i, "auc", mean + rng.normal(0, 0.05), 20) for name, mean in truth.items() for i in range(640)]
    columns = ["task", "representation", "resample", "metric", "value", "participants"]
    table = sensitivity(pd.DataFrame(rows, columns=columns), {"ill": 100}, TESTS, 1)
    check_table(table, "probe_sensitivity", "sensitivity")
    assert table["n_resamples"].tolist() == [10, 20, 40, 80, 160, 320, 640]
    last = table.iloc[-1]
    assert last["p_permutation"] == pytest.approx(1 / 201)
    assert last["p_corrected"] > 0.5
