"""Post-mortem findings of the phantom study follow what was planted."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.brainage import neuropathology
from workflow_scripts.lib.phantom.neuropathology import draw_findings
from workflow_scripts.lib.phantom.people import draw_people, make_visits
from workflow_scripts.lib.study.tables import check_table

SETTINGS = {
    "population": {"people": 30, "second_visits": 5, "age_range": [44, 84]},
    "clinical": {"people": 400, "second_visits": 200, "age_range": [56, 84]},
    "own_offset_sd_years": 2.0,
    "heads": 0,
    "faults": {"truncated": 0, "zero": 0, "four_dimensional": 0},
}


@pytest.fixture(scope="module")
def drawn():
    people = draw_people(SETTINGS, 3)
    return people, *draw_findings(people, {"died": 0.75}, 3)


def test_a_share_of_the_clinical_cohort_died_after_every_visit(drawn):
    people, findings, truth = drawn
    check_table(findings, "neuropathology", "findings")
    check_table(truth, "planted_neuropathology", "truth")
    assert len(findings) == 300
    assert findings["participant_id"].str.startswith("sub-cli").all()
    visits = make_visits(people, pd.Series(0.0, index=people["participant_id"]), SETTINGS, 3)
    visits["scan_id"] = visits["participant_id"] + "_" + visits["session_id"]
    last = neuropathology.last_scans(visits, findings, "findings")
    assert len(last) == 300
    assert (last["age"] < last["participant_id"].map(findings.set_index("participant_id")["age_at_death"])).all()
    assert (last["session_id"] if "session_id" in last else last["scan_id"].str[-1]).eq("2").sum() > 100


def test_findings_follow_their_factors_and_tdp43_follows_none(drawn):
    _, findings, truth = drawn
    both = findings.merge(truth, on="participant_id")
    r = both.drop(columns="participant_id").corr(method="spearman")
    assert r.loc["adnc", "severity_at_death"] > 0.85
    assert 0.4 < r.loc["lbd", "severity_at_death"] < 0.8
    assert r.loc["caa", "hidden"] > 0.8
    assert r.loc["tdp43", ["severity_at_death", "hidden", "adnc", "caa"]].abs().max() < 3 / np.sqrt(300)
    assert (findings["adnc"].value_counts(normalize=True) > 0.05).all()
    assert sorted(findings["adnc"].unique()) == sorted(findings["caa"].unique()) == [0, 1, 2, 3]
    healthy = both[(both["severity_at_death"] == 0) & (both["amyloid"] == 0)]
    assert (healthy["adnc"] == 0).mean() > 0.9


def test_the_same_seed_gives_the_same_findings_and_another_does_not(drawn):
    people, findings, _ = drawn
    pd.testing.assert_frame_equal(draw_findings(people, {"died": 0.75}, 3)[0], findings)
    assert not draw_findings(people, {"died": 0.75}, 4)[0].equals(findings)
