"""Held-out scores of several representations: what they share, and what a missing scan costs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.evaluate import collect
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

KINDS = {"age": "continuous", "ill": "binary"}


def draw_scores(seed=0, n_resamples=30, people=12, tasks=tuple(KINDS)):
    """Scores of 4 people left out each time, the first person with two scans; both classes in every resample."""
    rng, rows = np.random.default_rng(seed), []
    for task in tasks:
        for resample in range(n_resamples):
            left_out = np.r_[np.random.default_rng(resample).permutation(people // 2)[:2]]
            for person in np.r_[left_out, left_out + people // 2]:
                y = float(person >= people // 2) if task == "ill" else 60.0 + person
                sessions = (1, 2) if person == 0 else (1,)
                rows += [(task, resample, f"p{person:02}", f"p{person:02}_{i}", y, y + rng.normal()) for i in sessions]
    return pd.DataFrame(rows, columns=["task", "resample", "participant_id", "scan_id", "y", "score"])


def lacking(scores, *scans, task=None):
    return scores[~(scores["scan_id"].isin(scans) & (scores["task"].eq(task) if task else True))]


def test_resamples_are_looked_at_in_doubling_steps():
    assert collect.resample_counts(1000) == [10, 20, 40, 80, 160, 320, 640, 1000]
    assert collect.resample_counts(20) == [10, 20]
    assert collect.resample_counts(7) == [7]


def test_missing_scans_are_left_out_for_all_and_counted():
    whole = draw_scores()
    scores = {
        "features": whole,
        "mine": lacking(whole, "p01_1", "p02_1", task="ill"),
        "other": lacking(whole, "p02_1", "p00_2", task="ill"),
        "ageless": whole[whole["task"] == "ill"],
    }
    found = collect.collect(scores.get, list(scores), KINDS)
    check_table(found.coverage, "probe_coverage", "coverage")
    check_table(found.final, "probe_heldout", "heldout")
    table = found.coverage.set_index(["task", "representation"])
    ill = table.loc["ill"]
    assert ill["scans"].to_dict() == {"features": 13, "mine": 11, "other": 11, "ageless": 13}
    assert ill["participants"].to_dict() == {"features": 12, "mine": 10, "other": 11, "ageless": 12}
    assert set(ill["shared_scans"]) == {10}
    assert set(ill["shared_participants"]) == {10}
    # p02_1 comes back only without both
    assert ill["gained_without"].to_dict() == {"features": 0, "mine": 1, "other": 1, "ageless": 0}
    assert ill["costs_most"].to_dict() == {"features": False, "mine": True, "other": True, "ageless": False}
    # what nobody asks of a representation costs nothing
    assert table.loc["age", "scans"].to_dict() == {"features": 13, "mine": 13, "other": 13, "ageless": 0}
    assert set(table.loc["age", "shared_scans"]) == {13}
    assert not table.loc["age", "costs_most"].any()
    compared = found.final[found.final["task"] == "ill"].groupby("representation")["scan_id"].agg(set)
    assert all(scans == compared["features"] for scans in compared)
    assert not {"p01_1", "p02_1", "p00_2"} & compared["features"]
    assert "ageless" not in set(found.final.loc[found.final["task"] == "age", "representation"])


def test_the_log_says_how_many_scans_are_lost(caplog):
    whole = draw_scores()
    scores = {"features": whole, "mine": lacking(whole, "p01_1", task="ill")}
    collect.collect(scores.get, list(scores), KINDS)
    assert "ill: 12 of 13 scans in all representations" in caplog.text
    assert "age" not in caplog.text


@given(st.lists(st.sets(st.integers(0, 12)), min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_gained_without_one_is_what_the_others_share(missing):
    everyone = [f"s{i:02}" for i in range(13)]
    have = {f"r{i}": sorted(set(everyone) - {f"s{j:02}" for j in lost}) for i, lost in enumerate(missing)}
    scans = {
        name: pd.DataFrame({"task": "ill", "scan_id": own, "participant_id": own}, dtype=str)
        for name, own in have.items()
    }
    asked = {name: set(own) for name, own in have.items() if own}
    if len(asked) < 2:
        return
    table = collect.cover(scans, collect.shared_scans(scans)).set_index("representation")
    assert set(table["shared_scans"]) == {len(set.intersection(*asked.values()))}
    for name in asked:
        rest = set.intersection(*(own for other, own in asked.items() if other != name))
        assert table["gained_without"][name] == len(rest) - table["shared_scans"][name]
    if set.union(*asked.values()) == set.intersection(*asked.values()):
        assert not table["costs_most"].any()


def test_early_means_use_the_first_resamples_only():
    whole = draw_scores()
    found = collect.collect({"features": whole}.get, ["features"], KINDS, early=True)
    assert list(found.heldout) == [10, 20, 30]
    for count, table in found.heldout.items():
        age = table[table["task"] == "age"].set_index("scan_id")
        part = whole[(whole["task"] == "age") & (whole["resample"] < count)].groupby("scan_id")["score"]
        np.testing.assert_allclose(age["score"], part.mean().reindex(age.index))
        assert (age["n_resamples"] == part.size().reindex(age.index)).all()
        # of 4 or 5 scans left out, ranks lie at 1/10 to 9/10
        assert table.loc[table["task"] == "ill", "score"].between(0.1, 0.9).all()
    assert found.final is found.heldout[30]


def test_training_people_are_those_scored_and_not_left_out():
    found = collect.collect({"features": draw_scores()}.get, ["features"], KINDS)
    assert found.coverage["n_train"].tolist() == [8, 8]


def test_nothing_scored_is_said():
    empty = pd.DataFrame(columns=["task", "resample", "participant_id", "scan_id", "y", "score"])
    with pytest.raises(StudyError, match="task_counts"):
        collect.collect(lambda name: empty, ["a", "b"], {})
