"""The people of the phantom study and their visits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.phantom.people import FAULTS, SCANNERS, VISIT_GAP, draw_people, make_visits

PHANTOM = yaml.safe_load((Path(__file__).resolve().parents[2] / "config.yaml").read_text())["phantom"]


def study(seed=20, **changes):
    settings = {**PHANTOM, **changes}
    people = draw_people(settings, seed)
    return people, make_visits(people, pd.Series(0.0, index=people["participant_id"]), settings, seed)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**30), st.integers(12, 40), st.integers(0, 6))
def test_counts_are_those_of_the_config(seed, count, second):
    size = {"people": count, "second_visits": second, "age_range": [50, 80]}
    faults = {"truncated": 1, "zero": 2, "four_dimensional": 0}
    people, visits = study(seed, population=size, clinical=size, heads=3, faults=faults)
    assert people["cohort"].value_counts().to_dict() == {"population": count, "clinical": count}
    assert people["participant_id"].is_unique
    assert people["participant_id"].str.fullmatch("[A-Za-z0-9-]+").all()
    assert len(visits) == 2 * (count + second)
    assert (visits["image"] == "head").sum() == 3
    assert visits["fault"].value_counts().to_dict() == {"truncated": 1, "zero": 2}
    assert people["age"].between(50, 80).all()
    assert (
        people.groupby("cohort")["sex"].apply(lambda sex: (sex == "F").sum()).between(count // 2, count // 2 + 1).all()
    )
    sites = people.groupby("cohort")["site"].value_counts().unstack()
    assert set(sites.columns) == set(SCANNERS)
    assert (sites.max(axis=1) - sites.min(axis=1)).max() <= 1


def test_the_same_seed_gives_the_same_study_and_another_seed_another():
    one, same, other = (study(seed) for seed in (20, 20, 21))
    for left, right in zip(one, same, strict=True):
        pd.testing.assert_frame_equal(left, right)
    assert not one[0]["age"].equals(other[0]["age"])


def test_a_cohort_does_not_depend_on_the_size_of_the_other():
    small = {**PHANTOM["population"], "people": 30}
    people, _ = study(population=small)
    full, _ = study()
    clinical = [table[table["cohort"] == "clinical"].reset_index(drop=True) for table in (people, full)]
    pd.testing.assert_frame_equal(*clinical)


def test_the_population_is_healthy_and_the_clinic_is_not():
    people, visits = study()
    population = people[people["cohort"] == "population"]
    assert (population["severity"] == 0).all()
    assert (population["diagnosis"] == "CN").all()
    clinical = people[people["cohort"] == "clinical"]
    assert clinical["diagnosis"].value_counts().min() > 5
    severity = clinical.groupby("diagnosis")["severity"].mean()
    assert severity["CN"] < severity["MCI"] < severity["AD"]
    assert visits.loc[visits["cohort"] == "population", "amyloid"].isna().all()
    assert set(visits.loc[visits["cohort"] == "clinical", "amyloid"]) == {0, 1}


def test_hidden_change_follows_amyloid():
    people, _ = study()
    hidden = people.groupby("amyloid")["hidden"].mean()
    assert hidden[1] - hidden[0] == pytest.approx(0.7, abs=0.1)
    assert people["hidden"].min() >= 0


def test_second_visits_are_late_rows_of_the_same_people_two_years_on():
    people, visits = study()
    assert visits["session_id"].is_monotonic_increasing
    pair = visits[visits["participant_id"].duplicated(keep=False)]
    both = pair.pivot(
        index="participant_id", columns="session_id", values=["age", "site", "sex", "severity", "brain_age"]
    )
    assert set(both.index) == set(people.loc[people["second_visit"], "participant_id"])
    gap = (both["age"]["2"] - both["age"]["1"]).astype(float)
    assert gap.between(VISIT_GAP[0] - 0.01, VISIT_GAP[1] + 0.01).all()
    assert (both["site"]["1"] == both["site"]["2"]).all()
    assert (both["sex"]["1"] == both["sex"]["2"]).all()
    assert (both["severity"]["2"] >= both["severity"]["1"]).all()
    aged = (both["brain_age"]["2"] - both["brain_age"]["1"]).astype(float)
    pd.testing.assert_series_equal(aged, gap, atol=0.011, check_names=False)


def test_faults_fall_on_people_of_the_population_with_one_visit():
    for seed in range(8):
        _, visits = study(seed, faults={"truncated": 3, "zero": 3, "four_dimensional": 3})
        broken = visits[visits["fault"].notna()]
        assert broken["fault"].value_counts().to_dict() == dict.fromkeys(FAULTS, 3)
        assert set(broken["cohort"]) == {"population"}
        assert not broken["participant_id"].isin(visits.loc[visits["session_id"] == "2", "participant_id"]).any()


def test_genes_move_brain_age_and_nothing_else():
    people = draw_people(PHANTOM, 20)
    nothing = pd.Series(0.0, index=people["participant_id"])
    genes = nothing + np.arange(len(nothing))
    before, after = (make_visits(people, offset, PHANTOM, 20) for offset in (nothing, genes))
    moved = after["brain_age"] - before["brain_age"]
    pd.testing.assert_series_equal(moved, before["participant_id"].map(genes), check_names=False)
    pd.testing.assert_frame_equal(after.drop(columns="brain_age"), before.drop(columns="brain_age"))


def visits_of(**person):
    """Give the visits of one person with MCI among the drawn people."""
    people = draw_people(PHANTOM, 20)
    row = people.index[(people["cohort"] == "clinical") & (people["diagnosis"] == "MCI")][0]
    for column, value in person.items():
        people.at[row, column] = value
    offsets = pd.Series(0.0, index=people["participant_id"])
    visits = make_visits(people, offsets, PHANTOM, 20)
    return visits[visits["participant_id"] == people.at[row, "participant_id"]].reset_index(drop=True)


def test_someone_who_converts_between_the_visits_has_ad_at_the_second():
    visits = visits_of(second_visit=True, crossing_years=1.0, followup_years=5.0)
    assert visits["diagnosis"].tolist() == ["MCI", "AD"]
    assert visits["conversion_years"][0] == 1.0
    assert pd.isna(visits["conversion_years"][1])
    gap = visits["age"][1] - visits["age"][0]
    assert visits["followup_years"].tolist() == pytest.approx([5.0, 5.0 - gap], abs=0.02)


def test_someone_who_converts_later_counts_down():
    visits = visits_of(second_visit=True, crossing_years=4.0, followup_years=5.0)
    assert visits["diagnosis"].tolist() == ["MCI", "MCI"]
    gap = visits["age"][1] - visits["age"][0]
    assert visits["conversion_years"].tolist() == pytest.approx([4.0, 4.0 - gap], abs=0.02)


def test_a_conversion_after_the_last_visit_is_never_seen():
    visits = visits_of(second_visit=False, crossing_years=6.0, followup_years=5.0)
    assert visits["diagnosis"].tolist() == ["MCI"]
    assert visits["conversion_years"].isna().all()
    assert visits["followup_years"].tolist() == [5.0]


def test_a_second_visit_is_follow_up():
    # the clinic lost sight of this person after half a year, but the second scan shows dementia
    visits = visits_of(second_visit=True, crossing_years=1.0, followup_years=0.5)
    assert visits["diagnosis"].tolist() == ["MCI", "AD"]
    assert visits["conversion_years"][0] == 1.0
    gap = visits["age"][1] - visits["age"][0]
    assert visits["followup_years"].tolist() == pytest.approx([gap, 0.0], abs=0.02)


def test_a_label_is_never_contradicted_by_a_later_visit():
    for seed in range(10):
        _, visits = study(seed)
        first, second = (visits[visits["session_id"] == number].set_index("participant_id") for number in "12")
        turned = second.index[(second["diagnosis"] == "AD") & (first.loc[second.index, "diagnosis"] == "MCI")]
        assert first.loc[turned, "conversion_years"].notna().all()
        known = visits["conversion_years"].notna()
        assert (visits.loc[known, "conversion_years"] >= 0).all()
        assert (visits.loc[known, "conversion_years"] <= visits.loc[known, "followup_years"] + 0.02).all()
        assert set(visits.loc[known, "diagnosis"]) == {"MCI"}
