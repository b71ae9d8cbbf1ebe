"""Brain-age gaps of a simulated study whose true gaps are known."""

import json

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.brainage import gaps, normative
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

OPTIONS = {"buckets": [44, 54, 64, 74, 84], "per_bucket": 20, "folds": 5, "alpha": "auto", "fit_on": "train"}


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
    cards = {name: card for name, (_, card) in found.items()}
    return {"scans": scans, "people": people, "representations": representations, "truth": truth} | {
        "gaps": table,
        "cards": cards,
    }


def test_only_healthy_normative_people_of_the_training_split_train(study):
    scans = study["scans"].drop_duplicates("participant_id").set_index("participant_id")
    trained = study["gaps"].loc[study["gaps"]["role"] == "train", "participant_id"].unique()
    assert len(trained) == study["people"].buckets["drawn"].sum() > 80
    assert (scans.loc[trained, "split"] == "train").all()
    assert not scans.loc[trained, "diagnosis"].isin(["MCI", "AD"]).any()
    assert max(int(person[1:]) for person in trained) < 300


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
    table = gaps.describe(study["gaps"], study["people"])
    check_table(table, "brainage_metrics", "metrics")
    table = table.set_index(["representation", "sample"])
    for name in ("features", "rnce"):
        train, test = table.loc[(name, "train_out_of_fold")], table.loc[(name, "test_normative")]
        assert abs(train["gap_age_r_debiased"]) < 1e-9
        assert abs(test["gap_age_r_debiased"]) < 0.25  # the line comes from other people
        assert test["gap_age_r"] < -0.25
        assert train["mae"] == pytest.approx(test["mae"], rel=0.3)  # as honest as the test


def test_the_published_reading_makes_test_gaps_orthogonal():
    scans, roles, representations, _ = simulate()
    options = OPTIONS | {"fit_on": "test"}
    people = gaps.choose_people(scans, roles, options, 1)
    part, _ = gaps.estimate("rnce", representations["rnce"], people, options)
    table = gaps.describe(part, people).set_index("sample")
    assert abs(table.loc["test_normative", "gap_age_r_debiased"]) < 1e-9


def test_labels_of_test_people_never_touch_the_model():
    scans, roles, representations, _ = simulate()
    people = gaps.choose_people(scans, roles, OPTIONS, 1)
    _, card = gaps.estimate("rnce", representations["rnce"], people, OPTIONS)
    people.table.loc[~people.table["train"], "age"] += 10
    _, again = gaps.estimate("rnce", representations["rnce"], people, OPTIONS)
    assert card == again


def test_a_card_gives_the_same_gaps_elsewhere(study):
    card = json.loads(json.dumps(study["cards"]["rnce"]))
    part = study["gaps"][lambda table: (table["representation"] == "rnce") & (table["role"] == "test")]
    table = study["representations"]["rnce"].set_index("scan_id").loc[part["scan_id"]]
    found = gaps.apply_card(card, table, part["age"].to_numpy())
    for column in ("predicted_age", "gap", "gap_debiased"):
        np.testing.assert_allclose(found[column], part[column], rtol=1e-9)


def test_correlations_are_those_of_the_shared_people(study):
    table = gaps.correlate(study["gaps"], study["people"], 0.95)
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
    seen = gaps.apply_card(study["cards"]["rnce"], x, age)["predicted_age"]
    assert np.abs(seen - age).mean() < np.abs(expected - age).mean()
