import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.genetics import covariates, phenotypes, trait_names
from workflow_scripts.lib.study import tables
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
    scans = pd.DataFrame({"scan_id": [f"{name}_1" for name in ids], "participant_id": ids})
    scans = scans.assign(sex=random.choice(["F", "M"], count), age=1.0, site=random.choice(["a", "b"], count))
    icv = pd.Series(random.normal(1.5e6, 1e5, count), index=scans["scan_id"])
    scores = pd.DataFrame(random.normal(size=(count, 2)), columns=["PC1", "PC2"]).assign(participant_id=ids)
    return {"gaps": gaps, "scans": scans, "icv": icv}, {"components": scores, "genotyped": set(ids), "roles": set(ids)}


def own_table(count=120, seed=0):
    """A table of traits with covariates of its own, in the columns of the user's."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame({"participant_id": [f"{row:03d}" for row in range(count)]})
    table = table.assign(sex=random.choice(["F", "M"], count), age=random.uniform(45, 80, count))
    table = table.assign(icv=random.normal(1.5e6, 1e5, count), array=random.choice(["bileve", "axiom"], count))
    table["centre"] = random.choice([11001.0, 11002.0, 11003.0], count, p=[0.2, 0.5, 0.3])
    return table.assign(height=random.normal(170, 9, count), bag=random.normal(0, 4, count))


def own(table, traits=("height", "bag"), pcs=2, **options):
    people = phenotypes.from_table(table, list(traits), "traits.tsv")
    random = np.random.default_rng(9)
    scores = pd.DataFrame(random.normal(size=(len(table), pcs)), columns=[f"PC{number + 1}" for number in range(pcs)])
    scores["participant_id"] = table["participant_id"]
    return phenotypes.build(people, scores, set(table["participant_id"]), **options)


@given(st.integers(0, 2**31))
def test_covariates_span_the_published_ones_and_are_far_from_collinear(seed):
    random = np.random.default_rng(seed)
    age, sex = random.uniform(45, 82, 200), random.choice(["F", "M"], 200)
    icv, scores = random.normal(1.5e6, 1.5e5, 200), random.normal(size=(200, 2))
    table = covariates.published(age, sex, icv, scores)
    man = sex == "M"
    raw = np.column_stack([age, age**2, man, age * man, age**2 * man, icv, scores, np.ones(200)])
    raw = raw / np.linalg.norm(raw, axis=0)
    model = np.column_stack([np.ones(200), table])
    assert np.abs(raw - model @ np.linalg.lstsq(model, raw, rcond=None)[0]).max() < 1e-8  # the same model
    inflation = np.diag(np.linalg.inv(np.corrcoef(table.to_numpy().T)))
    assert inflation.max() < 5  # plink2 refuses 50
    assert np.allclose(table.mean(), 0)
    assert np.allclose(table.std(ddof=0), 1)


def test_only_test_people_with_role_genotypes_and_all_gaps_enter():
    first, second = inputs()
    gaps = first["gaps"]
    gaps.loc[gaps["participant_id"] == "000", "role"] = "train"
    gaps.loc[1 * 2, "gap_debiased"] = np.nan  # 001
    second["roles"] -= {"002"}
    second["genotyped"] -= {"003"}
    first["icv"] = first["icv"].drop("004_1")
    second["components"].loc[5, "PC1"] = np.nan
    design = phenotypes.build(phenotypes.from_gaps(**first), **second)
    assert design.phenotypes.index.tolist() == [f"{row:03d}" for row in range(6, 60)]
    assert design.phenotypes.columns.tolist() == ["rnce", "features"]
    tables.check_table(design.losses, "losses", "losses")
    losses = design.losses.set_index("reason")
    assert losses["people"].iloc[[0, -1]].tolist() == [59, 54]
    assert losses.loc["role gwas", "lost"] == losses.loc["genetic components", "alone"] == 1
    wanted = gaps.query("participant_id == '010' and representation == 'rnce'")["gap_debiased"].iloc[0]
    assert design.phenotypes.loc["010", "rnce"] == wanted
    assert design.covariates.columns.tolist() == [
        "age", "age2", "sex", "age_x_sex", "age2_x_sex", "icv", "PC1", "PC2",
    ]  # fmt: skip


def test_the_raw_gap_and_the_site_of_scans_on_request():
    first, second = inputs()
    people = phenotypes.from_gaps(**first, phenotype="gap")
    design = phenotypes.build(people, **second, settings={"categorical": ["site"]})
    gaps = first["gaps"].query("representation == 'rnce'").set_index("participant_id")["gap"]
    assert (design.phenotypes["rnce"] == gaps).all()
    assert [name for name in design.covariates if name.startswith("site_")] in (["site_a"], ["site_b"])


def test_a_study_of_one_sex_drops_sex_and_its_products():
    first, second = inputs()
    first["scans"]["sex"] = "F"
    design = phenotypes.build(phenotypes.from_gaps(**first), **second)
    assert design.covariates.columns.tolist() == ["age", "age2", "icv", "PC1", "PC2"]


def test_a_trait_says_what_it_costs_the_others_alone_and_loudly(caplog):
    table = own_table()
    table.loc[:39, "bag"] = np.nan
    table.loc[30:44, "height"] = np.nan
    with caplog.at_level(logging.WARNING):
        design = own(table)
    traits = design.losses[design.losses["reason"] == "trait"].set_index("column")
    assert traits["people"].tolist() == [105, 75]
    assert traits["lost"].tolist() == [15, 30]
    assert traits["alone"].tolist() == [5, 30]
    assert "trait 'bag' alone costs 30 people" in caplog.text


@pytest.mark.parametrize("ties", [False, True])
def test_rank_normal_is_blom_of_scipys_ranks(ties):
    values = pd.Series(np.random.default_rng(0).exponential(size=101))
    values = values.round(1) if ties else values
    done = phenotypes.rank_normal(values)
    assert np.allclose(done, stats.norm.ppf((stats.rankdata(values) - 3 / 8) / (101 + 1 / 4)))
    assert stats.spearmanr(done, values)[0] == pytest.approx(1)
    if not ties:
        assert done.mean() == pytest.approx(0, abs=1e-12)
        assert done[values.rank() == 51].item() == 0  # the median of an odd number
        assert stats.shapiro(done)[1] > 0.99


def test_a_transformed_trait_is_ranked_among_those_who_enter():
    table = own_table()
    table.loc[:9, "age"] = np.nan
    plain, normal = own(table), own(table, transform="rint")
    assert np.allclose(normal.phenotypes["bag"], phenotypes.rank_normal(plain.phenotypes["bag"]))
    pd.testing.assert_frame_equal(plain.covariates, normal.covariates)


def test_array_and_centre_enter_as_columns_against_their_commonest_level():
    table = own_table()
    table.loc[3, "centre"] = np.nan
    design = own(table, settings={"categorical": ["array", "centre"]})
    own_columns = [name for name in design.covariates if name.startswith(("array", "centre"))]
    common = table["array"].drop(3).value_counts().idxmin()
    assert own_columns == [f"array_{common}", "centre_11001", "centre_11003"]
    assert "003" not in design.covariates.index
    assert design.losses.set_index("column").loc["centre", "alone"] == 1
    raw = (table.set_index("participant_id").loc[design.covariates.index, "centre"] == 11003).astype(float)
    assert np.allclose(design.covariates["centre_11003"], (raw - raw.mean()) / raw.std(ddof=0))


def test_rare_levels_are_joined_and_a_level_of_everybody_is_refused():
    levels = pd.Series(["a"] * 50 + ["b"] * 30 + ["c"] * 6 + ["d"] * 6 + ["e x"] * 12, name="centre")
    shown = covariates.dummies(levels, least=10)
    assert shown.sum().to_dict() == {"centre_b": 30, "centre_e_x": 12, "centre_other": 12}
    alone = covariates.dummies(levels.replace("d", "a"), least=10)
    assert alone.columns.tolist() == ["centre_b", "centre_e_x"]  # six people are no column; they count to a
    with pytest.raises(StudyError, match=r"'centre' has one level of at least 10 people \('a'\)"):
        covariates.dummies(levels[levels.isin(["a", "c"])], least=10)


def test_a_table_of_covariates_of_the_users():
    table = own_table()
    extra = table[["participant_id"]].assign(motion=np.random.default_rng(1).normal(size=len(table)), word="x")
    people = phenotypes.from_table(table, ["bag"], "traits.tsv")
    scores = table[["participant_id"]]
    joined = phenotypes.add_columns(people, extra.iloc[:100], "covariates.tsv")
    design = phenotypes.build(joined, scores, set(scores["participant_id"]), {"numeric": ["motion"]})
    assert len(design.covariates) == 100
    motion = extra["motion"][:100].to_numpy()
    assert np.allclose(design.covariates["motion"], (motion - motion.mean()) / motion.std())
    with pytest.raises(StudyError, match="column 'age' stands in another table"):
        phenotypes.add_columns(people, extra.assign(age=1), "covariates.tsv")
    with pytest.raises(StudyError, match=r"none of its 120 people .* \(e.g. 'x000' there, '000' here\)"):
        phenotypes.add_columns(people, extra.assign(participant_id="x" + extra["participant_id"]), "covariates.tsv")
    with pytest.raises(StudyError, match=r"'word'.*found 'x' \(participant 000\), expected a number"):
        phenotypes.build(joined, scores, set(scores["participant_id"]), {"numeric": ["word"]})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("centr", r"'centr' is in no table .* can be covariates: array, centre"),
        ("age", "'age' is in the model already"),
    ],
)
def test_an_unknown_covariate_is_refused_with_the_known_ones(name, words):
    with pytest.raises(StudyError, match=words):
        own(own_table(), settings={"numeric": [name]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 1.25}, r"'height' does not vary \(all 120 people have 1.25\)"),
        ({"height": "age"}, r"'height' is a combination of the covariates"),
        ({"copy": "icv"}, "covariate 'copy' is a combination"),
        ({"copy": 3.0}, "covariate 'copy' has the same value in all 120 people"),
        ({"height": "tall"}, r"column 'height': found 'tall' \(participant 000\), expected a number"),
    ],
)
def test_columns_that_cannot_be_tested_are_named(change, words):
    table = own_table()
    name, value = next(iter(change.items()))
    table[name] = table[value] * 2 + 1 if value in table else value
    with pytest.raises(StudyError, match=words):
        own(table, settings={"numeric": ["copy"] if name == "copy" else []})


def test_nearly_collinear_covariates_are_refused_before_plink2_would():
    table = own_table()
    table["near"] = table["icv"] + np.random.default_rng(3).normal(0, 1e4, len(table))  # r = 0.995, factor about 100
    with pytest.raises(StudyError, match=r"variance inflation factor \d+, limit 50; nearest is '(icv|near)'"):
        own(table, settings={"numeric": ["near"]})
    assert "near" in own(table, settings={"numeric": ["near"]}, max_vif=1000).covariates


def test_too_few_people_are_counted():
    first, second = inputs()
    second["roles"] = {"001", "002"}
    with pytest.raises(StudyError, match=r"2 people are left .* \(brain age gap: 60; role gwas: 2;"):
        phenotypes.build(phenotypes.from_gaps(**first), **second)


def test_traits_are_the_columns_that_nothing_else_claims(tmp_path):
    path, other = tmp_path / "traits.tsv", ["array", "centre"]
    tables.write_table(own_table(), path)
    assert trait_names.read_traits(path, None, other) == ["height", "bag"]
    assert trait_names.read_traits(path, ["bag"], other) == ["bag"]
    with pytest.raises(StudyError, match=r"no column 'bags'.*height, bag"):
        trait_names.read_traits(path, ["bags"], other)
    with pytest.raises(StudyError, match="trait 'a b' cannot be used as a name"):
        trait_names.trait_columns(["participant_id", "a b"], None, [], "traits.tsv")
    with pytest.raises(StudyError, match="no column that could be a trait"):
        trait_names.trait_columns(["participant_id", "age", "array"], None, other, "traits.tsv")
    assert trait_names.read_traits(tmp_path / "later.tsv", ["bag"], other) == ["bag"]
    with pytest.raises(StudyError, match=r"no such file .* list the columns"):
        trait_names.read_traits(tmp_path / "later.tsv", None, other)


def test_without_intracranial_volumes_the_model_has_none():
    design = own(own_table().drop(columns="icv"), pcs=0)
    assert design.covariates.columns.tolist() == ["age", "age2", "sex", "age_x_sex", "age2_x_sex"]
