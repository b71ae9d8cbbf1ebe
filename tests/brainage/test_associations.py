"""Post-mortem findings and diagnoses: who enters, what is found, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from workflow_scripts.lib.brainage import groups, neuropathology
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table

GRADES = ["adnc", "lbd", "tdp43", "caa"]


def examined(n=120, seed=0):
    """Simulate people with three visits, of whom ADNC makes brains older and TDP-43 does not."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03}" for i in range(n)]
    first = pd.DataFrame(
        {"participant_id": ids, "age": rng.uniform(60, 80, n).round(1), "sex": rng.choice(["F", "M"], n)}
    )
    visits = [first.assign(session_id=str(visit), age=first["age"] + 2 * visit) for visit in (10, 9, 1)]
    scans = pd.concat(visits, ignore_index=True)
    scans["scan_id"] = scans["participant_id"] + "_" + scans["session_id"]
    findings = pd.DataFrame({"participant_id": ids, "age_at_death": first["age"] + 20 + rng.uniform(0.1, 6, n)})
    for name, top in zip(GRADES, (4, 2, 2, 4), strict=True):
        findings[name] = rng.integers(0, top, n)
    last = neuropathology.last_scans(scans, findings, "findings.tsv")
    parts = []
    for name, effect in (("features", 0.0), ("rnce", 2.0)):
        gap = effect * last["adnc"] + 0.3 * last["years_to_death"] + rng.normal(0, 3, n)
        part = last[["scan_id", "participant_id", "age"]].assign(representation=name, gap_debiased=gap, role="test")
        parts.append(part)
    return scans, findings, last, pd.concat(parts, ignore_index=True)


def test_the_last_scan_before_death_counts_whatever_its_name():
    scans, findings, last, _ = examined()
    assert (last["scan_id"] == last["participant_id"] + "_10").all()  # not "9", the last by the alphabet
    assert len(last) == len(findings)
    assert last["years_to_death"].between(0.1, 6).all()
    without = scans[~((scans["participant_id"] == "p003") & (scans["session_id"] != "1"))]
    again = neuropathology.last_scans(without, findings.assign(adnc=np.nan), "findings.tsv")
    assert again.set_index("participant_id").loc["p003", "scan_id"] == "p003_1"


def test_a_scan_after_death_is_refused_and_whole_years_are_not():
    scans, findings, _, _ = examined()
    rounded = findings.assign(age_at_death=np.floor(scans["age"].head(120)))
    last = neuropathology.last_scans(scans, rounded, "findings.tsv")
    assert (last["years_to_death"] == 0).all()
    findings.loc[6, "age_at_death"] = 50.0
    with pytest.raises(StudyError, match=r"findings\.tsv, line 8, column 'age_at_death': found 50, but scan p006_10"):
        neuropathology.last_scans(scans, findings, "findings.tsv")
    with pytest.raises(StudyError, match="none of the columns adnc, lbd, tdp43, caa"):
        neuropathology.last_scans(scans, findings[["participant_id", "age_at_death"]], "findings.tsv")


@pytest.mark.parametrize(("column", "value"), [("adnc", 4), ("lbd", -1), ("caa", "severe"), ("tdp43", 0.5)])
def test_unknown_grades_are_refused(column, value):
    _, findings, _, _ = examined(20)
    findings = findings.astype({column: object})
    findings.loc[3, column] = value
    with pytest.raises(StudyError, match=f"findings, line 5, column '{column}'"):
        check_table(findings, "neuropathology", "findings")


def test_each_pair_equals_statsmodels_and_the_planted_one_is_found():
    _, _, last, applied = examined()
    people = neuropathology.join_grades(last, applied)
    check_table(people, "neuropathology_people", "people")
    tests = neuropathology.associate(people, None, 0.95, 0.05)
    check_table(tests, "neuropathology_tests", "tests")
    assert list(zip(tests["representation"], tests["pathology"], strict=True)) == [
        (name, pathology) for name in ("features", "rnce") for pathology in GRADES
    ]
    for row in tests.itertuples():
        gaps = applied[applied["representation"] == row.representation][["scan_id", "gap_debiased"]]
        data = last.merge(gaps, on="scan_id")
        fit = smf.ols(f"gap_debiased ~ {row.pathology} + age + sex + years_to_death", data).fit()
        assert (row.beta, row.p, row.n) == pytest.approx((fit.params[row.pathology], fit.pvalues[row.pathology], 120))
        scaled = data[["gap_debiased", row.pathology]].transform(lambda column: (column - column.mean()) / column.std())
        standard = smf.ols(
            f"gap_debiased ~ {row.pathology} + age + sex + years_to_death",
            data.assign(**scaled),
        ).fit()
        assert row.standardised == pytest.approx(standard.params[row.pathology])
        expected = standard.conf_int().loc[row.pathology].tolist()
        assert [row.standardised_lower, row.standardised_upper] == pytest.approx(expected)
    found = tests.set_index(["representation", "pathology"])["significant"]
    assert found[("rnce", "adnc")]
    assert found.sum() == 1
    assert (tests["q"] >= tests["p"]).all()


def test_whoever_trained_is_left_out_and_so_is_an_unknown_grade():
    _, _, last, applied = examined()
    applied.loc[applied["participant_id"].isin(["p001", "p002"]), "role"] = "train"
    last = last.astype({"caa": float})
    last.loc[10:12, "caa"] = np.nan
    tests = neuropathology.associate(neuropathology.join_grades(last, applied), None, 0.95, 0.05)
    counts = tests.set_index(["representation", "pathology"])["n"]
    assert counts[("rnce", "adnc")] == 118
    assert counts[("rnce", "caa")] == 115


def test_head_size_enters_if_asked():
    _, _, last, applied = examined()
    people = neuropathology.join_grades(last, applied)
    icv = pd.Series(np.random.default_rng(1).normal(1.5e6, 1e5, 119), index=last["scan_id"].iloc[1:])
    tests = neuropathology.associate(people, icv, 0.95, 0.05)
    assert (tests["n"] == 119).all()
    assert (tests["covariates"] == "age, sex, years_to_death, icv").all()


def test_few_people_and_rare_grades_give_rows_with_notes():
    _, _, last, applied = examined(12)
    tests = neuropathology.associate(neuropathology.join_grades(last, applied), None, 0.95, 0.05)
    check_table(tests, "neuropathology_tests", "tests")
    assert len(tests) == 8
    assert tests["p"].isna().all()
    assert set(tests["note"]) == {"12 people, 15 are needed"}
    _, _, last, applied = examined(30)
    last["lbd"] = (np.arange(30) < 2).astype(int)
    tests = neuropathology.associate(neuropathology.join_grades(last, applied), None, 0.95, 0.05)
    rare = tests.set_index(["representation", "pathology"]).loc[("rnce", "lbd")]
    assert rare["note"] == "not two grades with 3 people"
    assert np.isnan(rare["q"])
    assert rare["significant"] is None
    assert rare["grades"] == "0: 28; 1: 2"


def test_nobody_examined_gives_empty_tables():
    none = pd.DataFrame(columns=[*neuropathology.PEOPLE, "sex"])
    tests = neuropathology.associate(none, None, 0.95, 0.05)
    assert len(tests) == 0
    check_table(tests, "neuropathology_tests", "tests")


def diagnosed(n=200, seed=0):
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03}" for i in range(n)]
    # a cohort of healthy people only, whose gaps are off by ten years, must not be the reference
    cohort = np.repeat(["clinic", "psychiatry", "volunteers"], [n // 2, n // 4, n // 4])
    diagnosis = np.where(cohort == "clinic", rng.choice(["CN", "MCI", "AD"], n), rng.choice(["CN", "SCZ"], n))
    diagnosis = np.where(cohort == "volunteers", "CN", diagnosis)
    scans = pd.DataFrame({"participant_id": ids, "scan_id": [f"{one}_1" for one in ids], "cohort": cohort})
    scans = scans.assign(diagnosis=diagnosis, age=rng.uniform(50, 80, n), sex=rng.choice(["F", "M"], n))
    shift = scans["diagnosis"].map({"CN": 0.0, "MCI": 1.5, "AD": 5.0, "SCZ": 3.0}) + 10 * (cohort == "volunteers")
    gaps = scans[["scan_id", "participant_id", "age"]].assign(representation="rnce", role="test")
    gaps["gap_debiased"] = shift + rng.normal(0, 3, n)
    return gaps, scans.drop(columns=["age", "participant_id"])


def test_each_diagnosis_against_healthy_people_of_its_own_cohorts():
    gaps, scans = diagnosed()
    people = groups.choose_people(gaps, scans)
    check_table(people, "group_people", "people")
    tests = groups.associate(people, None, 0.95, 0.05).set_index("diagnosis")
    check_table(tests.reset_index(), "group_gaps", "tests")
    assert tests.index.tolist() == ["MCI", "AD", "SCZ"]
    assert tests["cohorts"].tolist() == ["clinic", "clinic", "psychiatry"]
    for diagnosis, cohort in (("MCI", "clinic"), ("AD", "clinic"), ("SCZ", "psychiatry")):
        both = people[(people["cohort"] == cohort) & people["diagnosis"].isin(["CN", diagnosis])]
        data = both.assign(ill=(both["diagnosis"] == diagnosis).astype(int))
        fit = smf.ols("gap_debiased ~ ill + age + sex", data).fit()
        row = tests.loc[diagnosis]
        assert (row["difference"], row["p"]) == pytest.approx((fit.params["ill"], fit.pvalues["ill"]))
        assert [row["lower"], row["upper"]] == pytest.approx(fit.conf_int().loc["ill"].tolist())
        assert row["n"] + row["n_reference"] == len(both)
        ill, well = (data.loc[data["ill"] == value, "gap_debiased"] for value in (1, 0))
        pooled = np.sqrt(((len(ill) - 1) * ill.var() + (len(well) - 1) * well.var()) / (len(both) - 2))
        approximate = (1 - 3 / (4 * (len(both) - 2) - 1)) * (ill.mean() - well.mean()) / pooled
        assert row["hedges_g"] == pytest.approx(approximate, rel=1e-3)
    assert tests.loc["AD", "significant"]
    assert 3 < tests.loc["AD", "difference"] < 7


def test_cohorts_that_differ_are_no_disease():
    """Two cohorts, healthy people mostly of one and patients mostly of the other, offset by three years."""
    rng = np.random.default_rng(3)
    ill = np.concatenate([np.repeat([0, 1], [80, 20]), np.repeat([0, 1], [20, 80])])
    people = pd.DataFrame({"cohort": np.repeat(["a", "b"], 100), "diagnosis": np.where(ill, "AD", "CN")})
    people["scan_id"] = [f"p{row}_1" for row in range(200)]
    people = people.assign(representation="rnce", age=rng.uniform(50, 80, 200), sex=rng.choice(["F", "M"], 200))
    rejected, sizes = 0, []
    for _ in range(40):
        people["gap_debiased"] = 3.0 * (people["cohort"] == "b") + rng.normal(0, 3, 200)
        row = groups.associate(people, None, 0.95, 0.05).iloc[0]
        rejected += row["p"] < 0.05
        sizes.append(row["hedges_g"])
    assert rejected <= 7  # pooled, two thirds of them are
    assert abs(np.mean(sizes)) < 0.1
    lonely = people.assign(cohort=np.where((people["cohort"] == "b") & (ill == 1), "c", people["cohort"]))
    row = groups.associate(lonely, None, 0.95, 0.05).iloc[0]
    assert (row["cohorts"], row["n"], row["n_reference"]) == ("a", 20, 80)


def test_people_who_trained_or_have_no_diagnosis_are_in_no_group():
    gaps, scans = diagnosed()
    gaps.loc[:4, "role"] = "train"
    scans.loc[5:9, "diagnosis"] = None
    people = groups.choose_people(gaps, scans)
    assert set(people["scan_id"]) == set(gaps["scan_id"][10:])


def test_few_patients_or_no_reference_give_a_row_with_a_note():
    gaps, scans = diagnosed()
    people = groups.choose_people(gaps, scans)
    ill = people["diagnosis"] == "SCZ"
    few = groups.associate(people[~ill | (ill.cumsum() <= 2)], None, 0.95, 0.05).set_index("diagnosis")
    assert few.loc["SCZ", "note"].startswith("2 with the diagnosis")
    assert np.isnan(few.loc["SCZ", "q"])
    alone = groups.associate(people[ill], None, 0.95, 0.05)
    check_table(alone, "group_gaps", "tests")
    assert alone["n_reference"].tolist() == [0]
    assert alone["hedges_g"].isna().all()
    healthy = groups.associate(people[people["diagnosis"] == "CN"], None, 0.95, 0.05)
    assert len(healthy) == 0
    check_table(healthy, "group_gaps", "tests")


def test_one_person_with_another_grade_is_no_test_even_if_a_covariate_is_constant():
    _, _, last, applied = examined(30)
    last = last.assign(sex="M", adnc=[1] + [0] * 29)
    joined = neuropathology.join_grades(last, applied)
    tests = neuropathology.associate(joined, None, 0.95, 0.05).set_index(["representation", "pathology"])
    assert tests.loc[("rnce", "adnc"), "note"].startswith("not two grades")
    assert np.isnan(tests.loc[("rnce", "adnc"), "p"])
