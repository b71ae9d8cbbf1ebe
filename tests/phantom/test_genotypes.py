import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed
from workflow_scripts.lib.phantom import genotypes
from workflow_scripts.lib.study.errors import StudyError

SMALL = {
    "offset_sd_years": 4.0,
    "loci": {
        "17": {"name": "MAPT", "position": 44_100_000, "share": 0.55},
        "11": {"name": "IRAG1", "position": 10_650_000, "share": 0.15},
    },
    "background_variants": 20,
    "minor_ancestry_share": 0.3,
    "split_generations": 500,
    "autosome_megabases": 0.6,
    "autosome_variants": 120,
    "x_megabases": 2.0,
    "x_variants": 200,
    "sibling_pairs": 2,
    "parent_child_pairs": 2,
    "duplicate_people": 1,
    "sex_errors": 2,
    "low_call_people": 1,
    "low_call_variants": 5,
    "hwe_variants": 4,
    "duplicate_variants": 3,
    "missing_rate": 0.0,
}
CLEAN = SMALL | {"low_call_people": 0, "low_call_variants": 0, "hwe_variants": 0, "duplicate_variants": 0}
CLEAN |= {"duplicate_people": 0, "sex_errors": 0}


def make_people(count=70):
    random = np.random.default_rng(3)
    ids = [f"p{index:02d}" for index in range(count)]
    sex = random.choice(["F", "M"], count)
    return pd.DataFrame({"participant_id": ids, "sex": sex, "age": random.uniform(45, 85, count)})


@pytest.fixture(scope="module")
def spoiled():
    return genotypes.simulate(make_people(), SMALL, 1)


@pytest.fixture(scope="module")
def clean():
    return genotypes.simulate(make_people(), CLEAN, 1)


def files(phantom, folder):
    folder.mkdir()
    bed.write_bed(phantom.genotypes, folder / "g")
    return [(folder / f"g.{suffix}").read_bytes() for suffix in ("bed", "bim", "fam")]


def test_equal_seeds_give_equal_bytes_whatever_the_order_of_people(spoiled, tmp_path):
    again = genotypes.simulate(make_people().sample(frac=1, random_state=0), SMALL, 1)
    assert files(again, tmp_path / "a") == files(spoiled, tmp_path / "b")
    for name in ("loci", "people", "variants"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(spoiled, name))


def test_another_seed_gives_other_genomes_and_offsets(spoiled):
    other = genotypes.simulate(make_people(), SMALL, 2)
    assert not np.array_equal(other.genotypes.calls[:100], spoiled.genotypes.calls[:100])
    assert not np.allclose(other.people["genetic_offset_years"], spoiled.people["genetic_offset_years"])


def test_the_offset_is_the_sum_of_the_truth_tables_effects(clean):
    rows = clean.genotypes.variants.reset_index().set_index("id").loc[clean.loci["id"], "index"]
    dosage = clean.genotypes.calls[rows].astype(float)
    score = clean.loci["effect_years"].to_numpy() @ (dosage - dosage.mean(axis=1, keepdims=True))
    assert np.allclose(score, clean.people["genetic_offset_years"])
    assert (clean.genotypes.variants["alt"].to_numpy()[rows] == clean.loci["effect_allele"]).all()


def test_the_offset_has_the_spread_and_the_loci_the_shares_of_the_config(clean):
    offset = clean.people["genetic_offset_years"]
    assert offset.mean() == pytest.approx(0, abs=1e-9)
    assert offset.std(ddof=0) == pytest.approx(4.0)
    assert clean.loci["share"].tolist()[:2] == pytest.approx([0.55, 0.15])
    assert clean.loci["locus"].tolist()[:3] == ["MAPT", "IRAG1", "background"]


def test_loci_are_common_and_where_config_puts_them(clean):
    rows = clean.genotypes.variants.reset_index().set_index("id").loc[clean.loci["id"][:2], "index"]
    frequency = clean.genotypes.calls[rows].mean(axis=1) / 2
    assert (np.minimum(frequency, 1 - frequency) >= 0.3).all()
    assert (np.abs(clean.loci["pos"][:2] - [44_100_000, 10_650_000]) < 200_000).all()


def autosomal(phantom):
    return phantom.genotypes.calls[(phantom.genotypes.variants["chrom"] != "X").to_numpy()]


def test_relatives_share_what_relatives_share(clean):
    calls = autosomal(clean)
    place = {name: index for index, name in enumerate(clean.people["participant_id"])}
    age = make_people().set_index("participant_id")["age"]
    related = clean.people[clean.people["fault"] == "relative"]
    opposite = {}
    for row in related.itertuples():
        a, b = calls[:, place[row.participant_id]], calls[:, place[row.relative_of]]
        opposite[(age[row.relative_of] - age[row.participant_id]) > 10] = (np.abs(a - b) == 2).mean()
        assert np.corrcoef(a, b)[0, 1] > 0.6
    assert len(related) == 4
    assert opposite[True] == 0  # a parent passes one allele on
    assert opposite[False] > 0


def test_men_have_one_x_and_women_two(spoiled):
    on_x = spoiled.genotypes.calls[(spoiled.genotypes.variants["chrom"] == "X").to_numpy()]
    men = (spoiled.people["genetic_sex"] == "M").to_numpy() & (spoiled.people["fault"] != "duplicate").to_numpy()
    women = (spoiled.people["genetic_sex"] == "F").to_numpy() & (spoiled.people["fault"] != "duplicate").to_numpy()
    assert not (on_x[:, men] == 1).any()
    # two megabases of two X of one woman may be alike by chance
    assert (on_x[:, women] == 1).any(axis=0).mean() > 0.9


def test_neighbours_are_linked_and_chromosomes_are_not(clean):
    calls, variants = autosomal(clean).astype(float), clean.genotypes.variants
    chrom = variants.loc[variants["chrom"] != "X", "chrom"].to_numpy()
    common = np.abs(calls.mean(axis=1) / 2 - 0.5) < 0.4
    squared = np.corrcoef(calls[common]) ** 2
    chrom = chrom[common]
    near = np.diag(squared, 1)[chrom[1:] == chrom[:-1]].mean()
    assert near > 4 * squared[chrom == "1"][:, chrom == "2"].mean()


def test_ancestries_differ_in_frequencies_more_than_chance(clean):
    calls = autosomal(clean).astype(float)
    minor = (clean.people["ancestry"] == "B").to_numpy()
    shuffled = np.random.default_rng(0).permutation(minor)

    def spread(group):
        return ((calls[:, group].mean(axis=1) - calls[:, ~group].mean(axis=1)) ** 2).mean()

    assert spread(minor) > 2 * spread(shuffled)


def test_faults_are_planted_as_often_as_config_says(spoiled):
    assert spoiled.people["fault"].value_counts().drop("none").to_dict() == {
        "relative": 4,
        "sex_error": 2,
        "duplicate": 1,
        "missingness": 1,
    }
    assert spoiled.variants["fault"].value_counts().to_dict() == {"missingness": 5, "hwe": 4, "duplicate": 3}
    recorded = spoiled.genotypes.samples.set_index("participant_id")["sex"]
    differ = spoiled.people["genetic_sex"].to_numpy() != recorded[spoiled.people["participant_id"]].to_numpy()
    assert (differ == (spoiled.people["fault"] == "sex_error")).all()


def test_planted_faults_are_in_the_calls(spoiled):
    calls, variants = spoiled.genotypes.calls, spoiled.genotypes.variants
    faults = spoiled.variants.set_index("id")["fault"]
    for name, fault in faults.items():
        rows = calls[(variants["id"] == name).to_numpy()]
        if fault == "missingness":
            assert (rows < 0).mean() > 0.1
        elif fault == "hwe":
            assert (rows == 1).mean() > 0.85
        else:
            assert len(rows) == 2
            assert np.array_equal(rows[0], rows[1])
    assert not set(faults.index) & set(spoiled.loci["id"])
    copy = spoiled.people[spoiled.people["fault"] == "duplicate"].iloc[0]
    place = {name: index for index, name in enumerate(spoiled.people["participant_id"])}
    a, b = calls[:, place[copy["participant_id"]]], calls[:, place[copy["relative_of"]]]
    spared = ((a >= 0) & (b >= 0)) & ~variants["id"].isin(faults.index[faults == "hwe"]).to_numpy()
    assert (a[spared] == b[spared]).all()


def test_more_faults_than_people_are_refused():
    with pytest.raises(StudyError, match="in 13 people but the study has 10"):
        genotypes.simulate(make_people(10), SMALL, 1)


def test_shares_of_one_or_more_are_refused():
    loci = {chrom: locus | {"share": 0.5} for chrom, locus in SMALL["loci"].items()}
    with pytest.raises(StudyError, match="the shares sum to 1"):
        genotypes.simulate(make_people(), CLEAN | {"loci": loci}, 1)


def test_no_background_leaves_the_whole_offset_to_the_loci():
    phantom = genotypes.simulate(make_people(), CLEAN | {"background_variants": 0}, 1)
    assert len(phantom.loci) == 2
    assert phantom.people["genetic_offset_years"].std(ddof=0) == pytest.approx(4.0)


def test_fewer_mutations_leave_the_frequencies_as_they_are():
    few, many = (
        genotypes.draw_haplotypes(["A"] * 60, 600_000, 500, np.random.default_rng(0), rate=rate)[0].mean(axis=(1, 2))
        for rate in (genotypes.MUTATION_RATE / 4, genotypes.MUTATION_RATE)
    )
    assert len(few) / len(many) == pytest.approx(0.25, rel=0.2)
    # of one history: the share of frequent variants is the same but for chance
    assert (few > 0.1).mean() == pytest.approx((many > 0.1).mean(), abs=0.08)


def test_a_gamete_recombines_as_often_as_its_morgans_say():
    random, places = np.random.default_rng(0), np.arange(1, 1001)
    pair = np.repeat(np.array([[0, 1]], np.int8), 1000, axis=0)
    switches = [np.abs(np.diff(genotypes.gamete(pair, places, random, morgans))).sum() for morgans in [3.0] * 300]
    assert np.mean(switches) == pytest.approx(3.0, abs=0.4)
