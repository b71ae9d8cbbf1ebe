"""Brain-age gaps of a simulated study whose true gaps are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from workflow_scripts.lib.brainage import describe, gaps, normative
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

OPTIONS = {"buckets": [44, 54, 64, 74, 84], "per_bucket": 20, "folds": 5, "alpha": "auto"} | {
    "debias": "orthogonal",
    "fit_on": "train",
}


def simulate(n=400, seed=0):
    """Simulate people, patients with older brains among them, and two representations that see brain age."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"p{i:03}" for i in range(n)])
    patient = np.arange(n) >= 320
    diagnosis = np.where(patient, "AD", np.where(np.arange(n) < 200, None, "CN"))
    scans = pd.DataFrame({"participant_id": ids, "session_id": "ses-1", "age": rng.uniform(45, 83, n)})
    scans = scans.assign(sex=rng.choice(["F", "M"], n), diagnosis=diagnosis, split=rng.choice(["train", "test"], n))
    true_gap = rng.normal(0, 4, n) + 6 * patient
    brain = scans["age"] + true_gap
    later = scans.head(30).assign(session_id="ses-2", age=scans["age"].head(30) + 2)
    scans = pd.concat([scans, later], ignore_index=True)
    scans["scan_id"] = scans["participant_id"] + "_" + scans["session_id"]
    roles = pd.DataFrame({"participant_id": ids, "role": np.where(np.arange(n) < 300, "normative", "evaluate")})
    representations = {}
    for name, noise in (("features", 20.0), ("rnce", 10.0)):
        x = np.outer(np.r_[brain, brain[:30] + 2], rng.normal(size=20)) + rng.normal(0, noise, (n + 30, 20))
        table = pd.DataFrame(x, columns=[f"c{j}" for j in range(20)])
        representations[name] = pd.concat([scans[["scan_id", "participant_id"]], table], axis=1)
    return scans, roles, representations, pd.Series(true_gap, index=scans["scan_id"].head(n))


@pytest.fixture(scope="module")
def study():
    scans, roles, representations, truth = simulate()
    people = gaps.choose_people(scans, roles, OPTIONS, 1)
    found = {name: gaps.estimate(name, table, people, OPTIONS) for name, table in representations.items()}
    table = pd.concat([part for part, _ in found.values()], ignore_index=True)
    fitted = {name: model for name, (_, model) in found.items()}
    return {"scans": scans, "people": people, "representations": representations, "truth": truth} | {
        "gaps": table,
        "fitted": fitted,
    }


def describe_of(table, people):
    return describe.describe(table, people.healthy_scans(), int(people.table["train"].sum()))


def test_only_healthy_normative_people_of_the_training_split_train(study):
    scans = study["scans"].drop_duplicates("participant_id").set_index("participant_id")
    trained = study["gaps"].loc[study["gaps"]["role"] == "train", "participant_id"].unique()
    assert len(trained) == study["people"].buckets["drawn"].sum() > 80
    assert (scans.loc[trained, "split"] == "train").all()
    assert not scans.loc[trained, "diagnosis"].isin(["MCI", "AD"]).any()
    assert max(int(person[1:]) for person in trained) < 300


def test_no_patient_of_any_diagnosis_is_normative():
    scans, roles, _, _ = simulate()
    ill = scans["participant_id"].isin(["p000", "p001", "p002"])
    scans.loc[ill, "diagnosis"] = scans.loc[ill, "participant_id"].map({"p000": "SCZ", "p001": "BD", "p002": "MCI"})
    people = gaps.choose_people(scans, roles, OPTIONS | {"per_bucket": 1000}, 1).table
    assert not people.loc[people["participant_id"].isin(["p000", "p001", "p002"]), ["train", "normative"]].any(
        axis=None
    )
    assert people.loc[people["participant_id"].isin(["p003", "p250"]), "normative"].all()  # unknown, CN


def test_everybody_is_predicted_once_at_the_first_session(study):
    check_table(study["gaps"], "gaps", "gaps")
    for _, part in study["gaps"].groupby("representation"):
        assert len(part) == 400
        assert part["scan_id"].str.endswith("_ses-1").all()
    assert study["gaps"]["gap"].to_numpy() == pytest.approx(study["gaps"]["predicted_age"] - study["gaps"]["age"])


def test_planted_gaps_are_recovered_and_patients_look_older(study):
    part = study["gaps"][lambda table: (table["representation"] == "rnce") & (table["role"] == "test")]
    truth = study["truth"][part["scan_id"]].to_numpy()
    assert np.corrcoef(part["gap_debiased"], truth)[0, 1] > 0.8
    patients = part["participant_id"].str[1:].astype(int) >= 320
    assert part.loc[patients, "gap_debiased"].mean() - part.loc[~patients, "gap_debiased"].mean() > 3


def test_training_gaps_are_out_of_fold_and_unbiased_by_age(study):
    table = describe_of(study["gaps"], study["people"])
    check_table(table, "brainage_metrics", "metrics")
    table = table.set_index(["representation", "sample"])
    for name in ("features", "rnce"):
        train, test = table.loc[(name, "train_out_of_fold")], table.loc[(name, "test_normative")]
        assert abs(train["gap_age_r_debiased"]) < 1e-9
        assert abs(test["gap_age_r_debiased"]) < 0.25  # the line comes from other people
        assert test["gap_age_r"] < -0.25
        assert train["mae"] == pytest.approx(test["mae"], rel=0.3)  # as honest as the test


def test_bias_by_age_group_falls_with_debiasing_and_equals_pandas(study):
    table = describe.age_bias(study["gaps"], study["people"].healthy_scans(), [54, 64, 74], 0.9)
    check_table(table, "age_bias", "bias")
    own = table[(table["representation"] == "rnce") & (table["sample"] == "test_normative")]
    before, after = (own[own["quantity"] == name].set_index("age_from") for name in ("gap", "gap_debiased"))
    assert len(before) == 4
    assert before["n"].sum() == (study["people"].table["normative"] & ~study["people"].table["train"]).sum()
    assert np.ptp(after["mean"]) < np.ptp(before["mean"])
    rows = study["gaps"][lambda rows: (rows["representation"] == "rnce") & (rows["role"] == "test")]
    rows = rows[rows["scan_id"].isin(study["people"].healthy_scans()) & rows["age"].between(54, 64, inclusive="left")]
    interval = stats.t.interval(0.9, len(rows) - 1, rows["gap"].mean(), stats.sem(rows["gap"]))
    assert before.loc[54, ["n", "mean", "sd"]].tolist() == pytest.approx([len(rows), *rows["gap"].agg(["mean", "std"])])
    assert (before.loc[54, "lower"], before.loc[54, "upper"]) == pytest.approx(interval)


def test_one_person_of_an_age_has_a_mean_and_no_interval():
    one = pd.DataFrame({"scan_id": ["a"], "representation": "rnce", "role": "test", "age": 90.0})
    table = describe.age_bias(one.assign(predicted_age=80.0, gap=-10.0, gap_debiased=-1.0), {"a"}, [54, 84], 0.95)
    check_table(table, "age_bias", "bias")
    assert table["age_from"].unique().tolist() == [84]
    assert table["age_to"].isna().all()
    assert table["lower"].isna().all()


def test_the_published_reading_makes_test_gaps_orthogonal():
    scans, roles, representations, _ = simulate()
    options = OPTIONS | {"fit_on": "test"}
    people = gaps.choose_people(scans, roles, options, 1)
    part, _ = gaps.estimate("rnce", representations["rnce"], people, options)
    table = describe_of(part, people).set_index("sample")
    assert abs(table.loc["test_normative", "gap_age_r_debiased"]) < 1e-9


def test_labels_of_test_people_never_touch_the_model():
    scans, roles, representations, _ = simulate()
    people = gaps.choose_people(scans, roles, OPTIONS, 1)
    _, first = gaps.estimate("rnce", representations["rnce"], people, OPTIONS)
    people.table.loc[~people.table["train"], "age"] += 10
    _, again = gaps.estimate("rnce", representations["rnce"], people, OPTIONS)
    assert first.model.card() == again.model.card()
    assert first.line == again.line


def test_correlations_are_those_of_the_shared_people(study):
    table = describe.correlate(study["gaps"], study["people"].healthy_scans(), 0.95)
    check_table(table, "gap_correlations", "correlations")
    row = table.set_index(["sample", "gap"]).loc[("test", "gap_debiased")]
    test = study["gaps"][study["gaps"]["role"] == "test"]
    wide = test.pivot(index="scan_id", columns="representation", values="gap_debiased")
    assert row["r"] == pytest.approx(wide.corr().iloc[0, 1])
    assert row["n"] == len(wide)
    assert row["lower"] < row["r"] < row["upper"]


def test_a_scan_that_one_representation_lacks_is_left_out_of_all():
    scans, _, representations, _ = simulate()
    fewer = {**representations, "rnce": representations["rnce"].iloc[5:]}
    assert len(gaps.shared_scans(scans, fewer)) == len(scans) - 5


def test_too_few_people_for_the_folds_are_refused():
    scans, roles, _, _ = simulate()
    with pytest.raises(StudyError, match="folds"):
        gaps.choose_people(scans, roles, OPTIONS | {"per_bucket": 1}, 1)


def test_training_people_are_not_predicted_by_the_model_they_trained(study):
    people, table = study["people"], study["representations"]["rnce"].set_index("scan_id")
    trained = people.table[people.table["train"]]
    part = study["gaps"][lambda rows: rows["representation"] == "rnce"].set_index("scan_id").loc[trained["scan_id"]]
    x = table.loc[trained["scan_id"]].drop(columns="participant_id")
    age = trained["age"].to_numpy()
    expected = np.empty(len(age))
    for fold in np.unique(people.folds):  # by hand: the other folds train, this one is predicted
        out = people.folds == fold
        expected[out] = normative.fit_age_model(x[~out], age[~out], "auto").predict(x[out])
    np.testing.assert_allclose(part["predicted_age"], expected)
    seen = study["fitted"]["rnce"].model.predict(x)
    assert np.abs(seen - age).mean() < np.abs(expected - age).mean()
