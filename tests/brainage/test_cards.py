"""Cards of age models: the same numbers at another site, and refusals."""

import json
import logging

import numpy as np
import pandas as pd
import pytest

from tests.brainage.test_gaps import OPTIONS, simulate
from workflow_scripts.lib.brainage import cards, describe, gaps
from workflow_scripts.lib.study import files, ids, tables
from workflow_scripts.lib.study.errors import StudyError

ABOUT = {"columns_made_by": "regional features, ComBat", "seed": 1, "version": "0.1.0"}


@pytest.fixture(scope="module")
def study():
    scans, roles, representations, _ = simulate()
    people = gaps.choose_people(scans, roles, OPTIONS, 1)
    return scans, people, representations["rnce"]


def card_of(study, method="orthogonal"):
    _, people, representation = study
    part, fitted = gaps.estimate("rnce", representation, people, OPTIONS | {"debias": method})
    metrics = describe.describe(part, people.healthy_scans(), int(people.table["train"].sum()))
    return part, cards.make_card("rnce", fitted, people, metrics, ABOUT)


@pytest.mark.parametrize("method", ["orthogonal", "beheshti", "delange", "none"])
def test_a_card_gives_the_same_bits_at_another_site(study, tmp_path, method):
    part, card = card_of(study, method)
    files.write_json(tmp_path / "card.json", card)
    tables.write_table(study[2], tmp_path / "representation.tsv", "representation")
    # the other site has 40 of the people, in another order, and columns in another order
    test = part[part["role"] == "test"].sample(40, random_state=1)
    scans = study[0][study[0]["scan_id"].isin(test["scan_id"])]
    table = study[2].iloc[:, ::-1]
    found = cards.apply_card(cards.read_card(tmp_path / "card.json"), table, scans).set_index("scan_id")
    for column in ("predicted_age", "gap", "gap_debiased"):
        assert found.loc[test["scan_id"], column].tolist() == test[column].tolist()
    assert (found["role"] == "test").all()


def test_a_card_is_json_names_nobody_and_says_what_it_is(study):

    _, people, _ = study
    _, card = card_of(study)
    text = json.dumps(card, allow_nan=False)
    trained = people.table.loc[people.table["train"], "participant_id"]
    assert not [person for person in people.table["participant_id"] if f'"{person}' in text]
    assert card["participants"] == ids.participant_hashes(trained)
    assert card["n_train"] == len(trained) == len(card["participants"])
    assert card["debiasing"]["n"] == len(trained)
    assert card["buckets"] == people.buckets.to_dict("records")
    ages = people.table.loc[people.table["train"], "age"]
    assert card["age_range"] == [ages.min(), ages.max()]
    assert set(card["metrics"]) == set(describe.SAMPLES)
    assert {"model", "seed", "version", "columns_made_by"} <= set(card)
    cards.check_card(card, "card")


def test_people_who_trained_are_known_at_every_visit_and_others_are_not(study, caplog):
    scans, people, representation = study
    _, card = card_of(study)
    found = cards.apply_card(card, representation, scans).merge(people.table[["participant_id", "train"]])
    assert ((found["role"] == "train") == found["train"]).all()
    assert len(found) == len(scans)
    with caplog.at_level(logging.WARNING):
        cards.warn_of(card, found, "theirs.json")
    assert f"{people.table['train'].sum()} people have ids of people who trained" in caplog.text
    assert "regional features, ComBat" in caplog.text


def test_ages_outside_training_are_marked_and_said_and_unknown_ones_give_no_gap(study, caplog):
    scans, _, representation = study
    _, card = card_of(study)
    few = scans.head(3).assign(age=[30.0, 60.0, np.nan])
    found = cards.apply_card(card, representation, few)
    assert found["in_range"].tolist() == [False, True, None]
    assert found["gap"].isna().tolist() == [False, False, True]
    assert found["predicted_age"].notna().all()
    with caplog.at_level(logging.WARNING):
        cards.warn_of(card, found, "theirs.json")
    assert "1 of 3 scans" in caplog.text
    tables.check_table(found.assign(first=True), "applied_gaps", "applied")


def test_what_the_card_needs_is_refused_by_name(study):
    scans, _, representation = study
    _, card = card_of(study)
    with pytest.raises(StudyError, match="column 'c3' is missing"):
        cards.apply_card(card, representation.drop(columns="c3"), scans)
    broken = representation.copy()
    broken.loc[5, "c3"] = np.nan
    with pytest.raises(StudyError, match=f"number of scan {broken.loc[5, 'scan_id']} is missing"):
        cards.apply_card(card, broken, scans)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: [], "not a card"),
        (lambda card: {**card, "format": "brainrep age card 9"}, "format is 'brainrep age card 9', expected"),
        (lambda card: {key: value for key, value in card.items() if key != "debiasing"}, "key 'debiasing' is missing"),
        (lambda card: {**card, "model": {**card["model"], "mean": [0.0]}}, "20 columns, 1 mean"),
        (lambda card: {**card, "model": []}, "the card is damaged: expected numbers"),
        (lambda card: {**card, "age_range": None}, "the card is damaged: expected numbers"),
        (lambda card: {**card, "debiasing": {**card["debiasing"], "slope": None}}, "the card is damaged"),
        (lambda card: {**card, "debiasing": {"intercept": 0.0, "slope": 0.0, "n": 3}}, "the card is damaged"),
    ],
)
def test_what_is_no_card_is_refused(study, tmp_path, change, message):
    files.write_json(tmp_path / "card.json", change(card_of(study)[1]))
    with pytest.raises(StudyError, match=message):
        cards.read_card(tmp_path / "card.json")


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "card.json").write_text("a\tb\n")
    with pytest.raises(StudyError, match=r"card\.json: cannot be read"):
        cards.read_card(tmp_path / "card.json")


def test_the_card_says_how_columns_were_made():
    features = {"list": "volumes", "subsets": {"raw": {"list": None, "harmonised": False}, "ctx": {"list": ["a", "b"]}}}
    say = {
        name: cards.describe_columns(name, features, {"covariates": ["age", "sex"]}, ["rnce"])
        for name in ("features", "raw", "ctx", "rnce", "mine")
    }
    combat = "harmonised over this study's sites and to its mean by ComBat, effects of age, sex kept"
    assert say["features"] == f"regional features, list volumes, {combat}"
    assert say["raw"] == "regional features, list volumes, as measured, not harmonised"
    assert "list a, b, harmonised" in say["ctx"]
    assert "method rnce" in say["rnce"]
    assert "of the user's" in say["mine"]


def test_metrics_of_nobody_have_their_columns():
    none = pd.DataFrame(columns=["scan_id", "representation", "role", "age", "predicted_age", "gap_debiased"])
    tables.check_table(describe.describe(none, set(), 5), "brainage_metrics", "metrics")
