"""Probes from tables to comparisons, on simulated people with a known answer."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.lib.evaluate import probe, summarise
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.tables import check_table

OPTIONS = probe.ProbeOptions(n_resamples=40, n_test=8, test_fraction=0.25, stratify=True, c=0.1, alpha=10.0)
KINDS = {"age": "continuous", "ill": "binary"}


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


def test_the_probe_is_scikit_learns_resample_by_resample(study):
    """Scaler and logistic regression in one pipeline, fitted anew on the people who were not left out."""
    tasks, representations = study
    task, table = tasks[tasks["task"] == "ill"], representations["good"].set_index("scan_id")
    scores = probe.run_task(representations["good"], task, OPTIONS, 1)
    values = summarise.metrics_by_resample(scores, KINDS, "good")
    assert len(values) == OPTIONS.n_resamples
    for resample, out in scores.groupby("resample"):
        training = task[~task["participant_id"].isin(out["participant_id"])]
        assert len(training) + len(out) == len(task)
        model = LogisticRegression(C=OPTIONS.c, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        model = make_pipeline(StandardScaler(), model)
        x, new = (table.loc[rows["scan_id"]].drop(columns="participant_id").to_numpy() for rows in (training, out))
        reference = model.fit(x, training["y"]).decision_function(new)
        np.testing.assert_allclose(out["score"], reference, atol=1e-6)
        assert values["value"][resample] == pytest.approx(roc_auc_score(out["y"], reference), abs=1e-12)


def test_the_published_design_leaves_100_people_out_a_thousand_times():
    """410 people, every tenth scanned twice: 1,000 resamples as published, with neither stratification nor ties."""
    rng = np.random.default_rng(0)
    people = [f"p{i:03}" for i in range(410) for _ in range(1 + (i % 10 == 0))]
    ids = pd.DataFrame({"scan_id": [f"s{i:03}" for i in range(len(people))], "participant_id": people})
    task = ids.assign(task="ill", kind="binary", y=(rng.random(len(ids)) < 0.5).astype(float))
    table = ids.join(pd.DataFrame(rng.normal(size=(len(ids), 4)), columns=list("abcd")))
    published = probe.ProbeOptions(n_resamples=1000, n_test=100, test_fraction=0.25, stratify=False, c=1.0, alpha=1.0)
    scores = probe.run_task(table, task, published, 1)
    by_resample = scores.groupby("resample")["participant_id"]
    assert by_resample.nunique().tolist() == [100] * 1000
    assert scores.groupby(["resample", "participant_id"]).size().max() == 2
    times = scores.drop_duplicates(["resample", "participant_id"])["participant_id"].value_counts()
    assert len(times) == 410
    assert 180 < times.min() <= times.max() < 310  # binomial: 244 on average, sd 14


def test_a_second_session_on_the_other_side_is_refused(study, monkeypatch):
    tasks, representations = study
    task = tasks[tasks["task"] == "ill"]
    draw = probe._draw

    def leak(task, options, seed):
        train, test = draw(task, options, seed)
        twice = np.flatnonzero(task["participant_id"].duplicated().to_numpy())[0]
        train[3, twice], test[3, twice], test[3, twice - 1], train[3, twice - 1] = True, False, True, False
        return train, test

    monkeypatch.setattr(probe, "_draw", leak)
    with pytest.raises(LeakageError, match=r"resample 3: participant p00 is in training and in test"):
        probe.run_task(representations["good"], task, OPTIONS, 1)


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
