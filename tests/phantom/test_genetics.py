import hashlib

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.phantom import genetics, pedigree, traits
from workflow_scripts.lib.phantom.annotations import PLANTED, in_peaks
from workflow_scripts.lib.study.errors import StudyError

LOCI = {
    "17": {"name": "MAPT", "position": 44_040_000, "share": 0.06},
    "11": {"name": "IRAG1", "position": 10_655_000, "share": 0.05},
}
SMALL = {
    "people": 300,
    "reference_people": 100,
    "minor_ancestry_share": 0.15,
    "split_generations": 300,
    "autosome_megabases": 1.5,
    "autosome_variants": 100,
    "x_variants": 150,
    "parent_child_pairs": 4,
    "sibling_pairs": 4,
    "half_sibling_pairs": 4,
    "cousin_pairs": 4,
    "duplicate_people": 2,
    "sex_errors": 3,
    "low_call_people": 3,
    "low_call_variants": 5,
    "hwe_variants": 4,
    "duplicate_variants": 3,
    "missing_rate": 0.0005,
    "loci": LOCI,
    "known": ["MAPT"],
    "traits": {"h2": {"one": 0.42, "two": 0.40, "three": 0.37}, "rg": [0.88, 0.74, 0.65], "re": [0.6, 0.5, 0.45]},
    "peak_variance": 0.43,
}


@pytest.fixture(scope="module")
def study():
    return genetics.simulate(SMALL, 1)


def digest(study):
    total = hashlib.sha256(study.genotypes.calls.tobytes() + study.reference.calls.tobytes())
    tables = [study.traits, study.catalogue, study.genotypes.variants, study.genotypes.samples, *study.truth.values()]
    for table in [*tables, study.annotations.genes, study.annotations.expression, study.annotations.peaks[PLANTED]]:
        total.update(table.to_csv().encode())
    return total.hexdigest()


def test_a_seed_gives_one_study_and_another_seed_another(study):
    assert digest(genetics.simulate(SMALL, 1)) == digest(study)
    people, _ = genetics.draw_people(SMALL, np.random.default_rng(2))
    assert people["participant_id"].tolist() != study.truth["people"]["participant_id"].tolist()


def calls_of(study, ids):
    rows = study.genotypes.variants.reset_index().drop_duplicates("id").set_index("id").loc[ids, "index"]
    return study.genotypes.calls[rows].astype(float)


def test_regression_on_the_planted_loci_gives_the_effects_of_the_truth(study):
    loci, values = study.truth["loci"], study.traits
    good = (study.truth["people"]["fault"] != "duplicate").to_numpy() & (values["sex"].notna()).to_numpy()
    dosage = calls_of(study, loci["id"])
    dosage[dosage < 0] = 1
    age = (values["age"] - values["age"].mean()) / values["age"].std()
    ancestry = (study.truth["people"]["ancestry"] == "B").to_numpy()
    batch = pd.get_dummies(values[["array", "centre"]], drop_first=True, dtype=float)
    columns = [np.ones(len(values)), age, age**2, values["sex"] == "M", values["icv"] / 1e6, ancestry, batch, dosage.T]
    design = np.column_stack(columns).astype(float)[good]
    for trait in SMALL["traits"]["h2"]:
        y = values[trait].to_numpy()[good]
        fit, rest, *_ = np.linalg.lstsq(design, y)
        error = np.sqrt(rest[0] / (len(y) - design.shape[1]) * np.diag(np.linalg.inv(design.T @ design)))
        assert np.abs((fit[-2:] - loci[f"beta_{trait}"]) / error[-2:]).max() < 3.5
        # years a decade of age, from the planted slope
        assert abs(fit[1] - traits.YEARS * traits.SLOPES["age"]) < 3.5 * error[1]


def test_realised_heritability_and_correlation_are_near_what_config_asks(study):
    found = study.truth["heritability"].set_index("trait")
    for trait, wanted in SMALL["traits"]["h2"].items():
        assert found.loc[trait, "h2"] == pytest.approx(wanted, abs=0.06)
        assert found.loc[trait, "h2_loci"] == pytest.approx(0.11, abs=0.03)
    assert (found.loc[["NOISE", "CONFOUNDED"], "h2"] == 0).all()
    assert study.truth["correlation"]["rg"].tolist() == pytest.approx(SMALL["traits"]["rg"], abs=0.06)
    assert study.truth["correlation"]["re"].tolist() == pytest.approx(SMALL["traits"]["re"], abs=0.01)


def test_the_planted_cell_type_carries_its_share_of_the_variance(study):
    marks = study.truth["annotations"].set_index("cell_type")
    assert marks.loc[PLANTED, "variance"] == pytest.approx(0.43, abs=0.08)
    assert marks.loc[PLANTED, "variants"] < 0.13
    assert (marks.drop(PLANTED)["variance"] < 0.2).all()
    assert in_peaks(study.truth["loci"], study.annotations.peaks[PLANTED]).all()


def test_traits_without_genes_follow_confounding_or_nothing(study):
    minor = (study.truth["people"]["ancestry"] == "B").to_numpy()
    values = study.traits
    assert abs(np.corrcoef(values["CONFOUNDED"], values["age"])[0, 1]) > 0.12
    noise = values["NOISE"]
    assert abs(noise[minor].mean() - noise[~minor].mean()) < 3.5 * noise.std() / np.sqrt(minor.sum())
    assert abs(np.corrcoef(noise, values["age"])[0, 1]) < 3.5 / np.sqrt(len(values))


def test_confounding_is_what_its_constants_say():
    values = pd.DataFrame({"sex": ["F", "M"] * 50, "age": np.linspace(45, 80, 100), "icv": 1.5e6 + np.arange(100.0)})
    values = values.assign(array="axiom", centre="north")
    none, minor = (traits.confound(values, np.repeat(kind, 100)) for kind in "AB")
    assert np.allclose(minor - none, traits.ANCESTRY)
    other = traits.confound(values.assign(array="bileve", centre="south"), np.repeat("A", 100))
    assert np.allclose(other - none, 0.22)


def test_relatives_share_what_relatives_share(study):
    people, calls = study.truth["people"], study.genotypes.calls
    autosomal = (study.genotypes.variants["chrom"] != "X").to_numpy()
    spoiled = study.genotypes.variants["id"].isin(study.truth["variants"]["id"]).to_numpy()
    calls = calls[autosomal & ~spoiled].astype(float)
    place = dict(zip(people["participant_id"], range(len(people)), strict=True))
    alike = {}
    for relation, pairs in people.groupby("relation"):
        shared = []
        for row in pairs.itertuples():
            a, b = calls[:, place[row.participant_id]], calls[:, place[row.relative_of]]
            both = (a >= 0) & (b >= 0)
            shared.append(((a[both] - b[both]) ** 2).mean())
            if relation == "parent_child":
                assert (np.abs(a[both] - b[both]) < 2).all()
            assert people["ancestry"][place[row.participant_id]] == people["ancestry"][place[row.relative_of]]
        alike[relation] = np.mean(shared)
    order = ["duplicate", "parent_child", "half_sibling", "cousin"]
    assert [alike[name] for name in order] == sorted(alike[name] for name in order)
    assert alike["duplicate"] == 0
    assert alike["sibling"] == pytest.approx(alike["parent_child"], rel=0.25)
    counts = people["fault"].value_counts()
    assert counts.drop("none").to_dict() == {"relative": 12, "sex_error": 3, "missingness": 3, "duplicate": 2}


def test_parents_are_a_generation_older_than_their_children(study):
    age = study.traits.set_index("participant_id")["age"]
    pairs = study.truth["people"].query("relation == 'parent_child'")
    assert (age[pairs["relative_of"]].to_numpy() - age[pairs["participant_id"]].to_numpy() > 21).all()


def test_sex_errors_are_in_the_records_and_x_follows_the_genes(study):
    people, recorded = study.truth["people"], study.genotypes.samples["sex"]
    assert ((people["genetic_sex"] != recorded) == (people["fault"] == "sex_error")).all()
    on_x = study.genotypes.calls[(study.genotypes.variants["chrom"] == "X").to_numpy()]
    heterozygous = (on_x == 1).mean(axis=0)
    men = (people["genetic_sex"] == "M").to_numpy()
    assert heterozygous[men].max() == 0
    assert heterozygous[~men].min() > 0.15
    assert study.traits["sex"].tolist() == recorded.tolist()


def test_the_panel_holds_other_people_with_the_same_variants_and_frequencies(study):
    assert not set(study.reference.samples["participant_id"]) & set(study.genotypes.samples["participant_id"])
    assert (study.reference.calls >= 0).all()
    calls = calls_of(study, study.reference.variants["id"])
    ours = (study.truth["people"]["ancestry"] == "A").to_numpy()
    clean = ~study.reference.variants["id"].isin(study.truth["variants"]["id"]).to_numpy()
    mine = np.nanmean(np.where(calls < 0, np.nan, calls)[:, ours], axis=1)[clean]
    assert np.corrcoef(mine, study.reference.calls.mean(axis=1)[clean])[0, 1] > 0.97
    assert not np.array_equal(calls[:, :100], study.reference.calls)


def test_the_catalogue_knows_one_locus_and_not_the_others(study):
    known, loci = study.catalogue, study.truth["loci"].set_index("locus")
    near = {
        name: ((known["chrom"] == row.chrom) & ((known["pos"] - row.pos).abs() < 50_000)).sum()
        for name, row in loci.iterrows()
    }
    assert near == {"MAPT": 1, "IRAG1": 0}
    assert len(known) > 5


def test_no_variant_away_from_the_loci_comes_near_significance(study):
    # measured here by ordinary least squares within ancestries, one variant at a time
    variants, people = study.genotypes.variants, study.truth["people"]
    ancestry = (people["ancestry"] == "B").to_numpy(float)
    rows = np.flatnonzero((variants["chrom"] == "3") & ~variants["id"].isin(study.truth["variants"]["id"]))[::7]
    values = traits.within(study.traits[["one"]].to_numpy(), ancestry)
    fast = traits.associate(np.maximum(study.genotypes.calls, 0), rows, values / np.sqrt((values**2).sum()), ancestry)
    slow = []
    for row in rows:
        design = np.column_stack([np.maximum(study.genotypes.calls[row], 0), np.ones(len(people)), ancestry]).astype(
            float
        )
        fit, rest, *_ = np.linalg.lstsq(design, study.traits["one"].to_numpy())
        slow.append(fit[0] / np.sqrt(rest[0] / (len(people) - 3) * np.linalg.inv(design.T @ design)[0, 0]))
    assert np.allclose(fast[:, 0], slow, rtol=0.01, atol=1e-3)
    assert np.abs(slow).max() < 5.45


def test_ld_scores_are_sums_of_squared_correlations():
    random = np.random.default_rng(0)
    shared = random.normal(size=(1, 400))
    calls = (0.8 * shared + random.normal(size=(12, 400)) > 0).astype(np.int8) + (random.random((12, 400)) < 0.3)
    squared = np.corrcoef(calls) ** 2
    assert np.allclose(traits.ld_scores(calls), (squared - (1 - squared) / 398).sum(axis=1), atol=1e-4)


def test_a_locus_has_an_average_amount_of_linkage(study):
    panel, table = study.reference.calls, study.reference.variants
    scores = np.concatenate(
        [traits.ld_scores(panel[(table["chrom"] == c).to_numpy()]) for c in table["chrom"].unique()]
    )
    mine = scores[table["id"].isin(study.truth["loci"]["id"]).to_numpy()] / scores.mean()
    assert (np.abs(mine - 1) < 0.3).all()


def test_a_child_has_one_allele_of_each_parent_everywhere():
    family, random = pedigree.Pedigree(), np.random.default_rng(0)
    mother, father = family.add("A"), family.add("A")
    family.add("A", mother, father)
    found = random.integers(0, 2, (500, 2, 2)).astype(np.int8)
    child = family.drop(found, np.arange(1, 501) * 1000, random)[:, 2]
    assert ((child[:, [0]] == found[:, 0]).any(axis=1) & (child[:, [1]] == found[:, 1]).any(axis=1)).all()
    on_x = family.drop(found, np.arange(1, 501) * 1000, random, is_x=True)[:, 2]
    assert (on_x[:, 1] == found[:, 1, 0]).all()


def test_recolouring_gives_the_covariance_within_ancestries():
    random = np.random.default_rng(1)
    ancestry = np.repeat(["A", "B"], [300, 60])
    values = random.normal(size=(360, 3)) + (ancestry == "B")[:, None]
    wanted = np.array([[0.4, 0.3, 0.1], [0.3, 0.5, 0.2], [0.1, 0.2, 0.3]])
    turned = values @ traits.recolour(values, wanted, ancestry)
    assert np.allclose(np.cov(traits.within(turned, ancestry), rowvar=False, bias=True), wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"people": 20}, "plants something in 42 people but the study has 20"),
        ({"traits": SMALL["traits"] | {"rg": [0.9, 0.9, -0.9]}}, r"no traits can have the correlations rg"),
        ({"loci": {"17": LOCI["17"] | {"share": 0.4}}}, "leave no room for a polygenic rest"),
    ],
)
def test_impossible_studies_are_refused(change, words):
    tiny = SMALL | {"people": 60, "autosome_variants": 30, "autosome_megabases": 0.3, "reference_people": 50}
    with pytest.raises(StudyError, match=words):
        genetics.simulate(tiny | change, 1)


def test_the_files_are_read_back(study, tmp_path):
    bed.write_bed(study.reference, tmp_path / "reference")
    again = bed.read_bed(tmp_path / "reference")
    assert np.array_equal(again.calls, study.reference.calls)
    assert again.samples["sex"].isna().all()
