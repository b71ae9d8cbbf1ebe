import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.genetics import phenotypes
from workflow_scripts.lib.study.errors import StudyError


def inputs(count=60, seed=0):
    random = np.random.default_rng(seed)
    ids = [f"{row:03d}" for row in range(count)]
    rows = [
        {"scan_id": f"{name}_1", "participant_id": name, "representation": kind, "role": "test", "age": age}
        for name, age in zip(ids, random.uniform(50, 80, count), strict=True)
        for kind in ("rnce", "features")
    ]
    gaps = pd.DataFrame(rows).assign(gap=random.normal(size=2 * count), gap_debiased=random.normal(size=2 * count))
    sex = pd.Series(random.choice(["F", "M"], count), index=ids)
    icv = pd.Series(random.normal(1.5e6, 1e5, count), index=[f"{name}_1" for name in ids])
    scores = pd.DataFrame(random.normal(size=(count, 2)), columns=["PC1", "PC2"]).assign(participant_id=ids)
    return {"gaps": gaps, "sex": sex, "icv": icv, "components": scores, "participants": set(ids)}


@given(st.integers(0, 2**31))
def test_covariates_span_the_published_ones_and_are_far_from_collinear(seed):
    random = np.random.default_rng(seed)
    age, sex = random.uniform(45, 82, 200), random.choice(["F", "M"], 200)
    icv, scores = random.normal(1.5e6, 1.5e5, 200), random.normal(size=(200, 2))
    table = phenotypes.covariates(age, sex, icv, scores)
    man = sex == "M"
    raw = np.column_stack([age, age**2, man, age * man, age**2 * man, icv, scores, np.ones(200)])
    raw = raw / np.linalg.norm(raw, axis=0)
    left = (
        raw
        - np.column_stack([np.ones(200), table])
        @ np.linalg.lstsq(np.column_stack([np.ones(200), table]), raw, rcond=None)[0]
    )
    assert np.abs(left).max() < 1e-8  # the same model
    inflation = np.diag(np.linalg.inv(np.corrcoef(table.to_numpy().T)))
    assert inflation.max() < 5  # plink2 refuses 50
    assert np.allclose(table.mean(), 0)
    assert np.allclose(table.std(ddof=0), 1)


def test_only_test_people_with_role_genotypes_and_all_gaps_enter():
    given_tables = inputs()
    gaps = given_tables["gaps"]
    gaps.loc[gaps["participant_id"] == "000", "role"] = "train"
    gaps.loc[1 * 2, "gap_debiased"] = np.nan  # 001
    given_tables["participants"] -= {"002"}
    given_tables["components"] = given_tables["components"].query("participant_id != '003'")
    given_tables["icv"] = given_tables["icv"].drop("004_1")
    design = phenotypes.build(**given_tables)
    assert design.phenotypes.index.tolist() == [f"{row:03d}" for row in range(5, 60)]
    assert design.losses["people"].tolist() == [59, 58, 57, 56, 55]
    assert design.phenotypes.columns.tolist() == ["rnce", "features"]
    wanted = gaps.query("participant_id == '010' and representation == 'rnce'")["gap_debiased"].item()
    assert design.phenotypes.loc["010", "rnce"] == wanted
    assert design.covariates.columns.tolist() == [
        "age", "age2", "sex", "age_x_sex", "age2_x_sex", "icv", "PC1", "PC2",
    ]  # fmt: skip


def test_the_raw_gap_on_request():
    given_tables = inputs()
    design = phenotypes.build(**given_tables, phenotype="gap")
    gaps = given_tables["gaps"].query("representation == 'rnce'").set_index("participant_id")["gap"]
    assert (design.phenotypes["rnce"] == gaps).all()


def test_a_study_of_one_sex_drops_sex_and_its_products():
    given_tables = inputs()
    given_tables["sex"][:] = "F"
    assert phenotypes.build(**given_tables).covariates.columns.tolist() == ["age", "age2", "icv", "PC1", "PC2"]


def test_a_constant_phenotype_is_named():
    given_tables = inputs()
    gaps = given_tables["gaps"]
    gaps.loc[gaps["representation"] == "features", "gap_debiased"] = 1.25
    with pytest.raises(StudyError, match=r"'features' does not vary \(all 60 people have 1.25\)"):
        phenotypes.build(**given_tables)


def test_collinear_covariates_are_named():
    given_tables = inputs()
    given_tables["components"]["PC2"] = 2 * given_tables["components"]["PC1"] + 1
    with pytest.raises(StudyError, match="covariate 'PC2' is a combination"):
        phenotypes.build(**given_tables)


def test_too_few_people_are_counted():
    given_tables = inputs()
    given_tables["participants"] = {"001", "002"}
    with pytest.raises(StudyError, match=r"2 people are left .* \(brain age gap: 60; role gwas: 2;"):
        phenotypes.build(**given_tables)
