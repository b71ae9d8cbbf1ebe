"""The genetics study finds its truth, from genotypes with faults to loci, heritability, correlation and cell types."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics import bed, bivariate, grm, reml
from workflow_scripts.lib.phantom import traits
from workflow_scripts.lib.phantom.annotations import CELL_TYPES, PLANTED, in_peaks
from workflow_scripts.lib.study.seeds import generator

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
HERITABLE, NULL = ["RNCE", "FS", "SIMCLR"], ["NOISE", "CONFOUNDED"]
REPLICATES, TRUE_H2, TRUE_RG = 12, 0.40, 0.80


def read(path, **options):
    return pd.read_csv(path, sep="\t", na_values=["n/a"], **options)


@pytest.fixture(scope="module")
def results(tmp_path_factory, run_snakemake):
    folder = tmp_path_factory.mktemp("genes")
    run_snakemake(folder, "--configfile", ROOT / "envs" / "genes.yaml")
    return folder / "results"


@pytest.fixture(scope="module")
def phantom(results):
    return results / "phantom" / "genetics"


@pytest.fixture(scope="module")
def removed(results):
    """Step by id of what quality control removed, people and variants."""
    table = read(results / "genetics/genotype_qc/removed.tsv.gz", dtype={"id": str})
    return {kind: rows.set_index("id")["step"] for kind, rows in table.groupby("kind")}


@pytest.fixture(scope="module")
def kept(results):
    return set(read(results / "genetics/genotype_qc/people.txt", dtype=str)["IID"])


def planted(phantom, name):
    return read(phantom / "truth" / f"{name}.tsv", dtype={"chrom": str, "participant_id": str})


def lost(removed, kind, step):
    return set(removed[kind].index[removed[kind] == step])


# --- quality control -----------------------------------------------------------------------------------------------
def test_people_with_another_sex_or_missing_calls_are_removed_and_others_are_not(phantom, removed):
    faults = planted(phantom, "people").set_index("participant_id")["fault"]
    swapped, poor = (set(faults.index[faults == fault]) for fault in ("sex_error", "missingness"))
    assert lost(removed, "person", "sex") >= swapped
    assert len(lost(removed, "person", "sex") - swapped) <= 1
    assert lost(removed, "person", "person_missingness") >= poor - lost(removed, "person", "relatives")
    assert lost(removed, "person", "person_missingness") <= poor


def test_no_close_relatives_are_kept_together(phantom, kept, removed):
    people = planted(phantom, "people").dropna(subset=["relation"])
    both = people["participant_id"].isin(kept) & people["relative_of"].isin(kept)
    left = both.groupby(people["relation"]).sum()
    assert (left[["duplicate", "parent_child", "sibling"]] == 0).all()
    # kinship of half-siblings is 0.125 +- 0.02 here, as that of whole genomes is, and the border 0.0884
    assert left["half_sibling"] <= 0.1 * (people["relation"] == "half_sibling").sum()
    close = people[people["relation"] != "cousin"]
    unrelated = lost(removed, "person", "relatives") - set(close["participant_id"]) - set(close["relative_of"])
    assert len(unrelated) <= 0.01 * len(kept)


def test_planted_variant_faults_are_removed_and_nothing_else_by_these_steps(phantom, removed):
    faults = planted(phantom, "variants").set_index("id")["fault"]
    low, odd, twice = (set(faults.index[faults == fault]) for fault in ("missingness", "hwe", "duplicate"))
    assert lost(removed, "variant", "variant_missingness") == low
    assert lost(removed, "variant", "hwe") >= odd
    # a variant that differs much between ancestries departs from Hardy-Weinberg in a sample of both
    assert len(lost(removed, "variant", "hwe") - odd) <= 10
    assert lost(removed, "variant", "duplicates") == twice


def test_what_is_left_has_no_planted_fault(phantom, results):
    left = read(results / "genetics/merge_gwas/NOISE.tsv.gz", dtype={"id": str})["id"]
    faults = planted(phantom, "variants").set_index("id")["fault"]
    assert left.is_unique
    assert not set(left) & set(faults.index[faults != "duplicate"])
    assert len(left) > 20_000


# --- association ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def loci(results):
    return read(results / "genetics/find_loci/loci.tsv", dtype={"chrom": str})


@pytest.mark.parametrize("trait", HERITABLE)
def test_all_planted_loci_are_found_near_their_causal_variant_and_no_other(phantom, loci, trait):
    truth = planted(phantom, "loci").set_index("chrom")
    mine = loci[loci["trait"] == trait]
    assert sorted(mine["chrom"]) == sorted(truth.index)
    assert (mine["lead_p"] < 5e-8).all()
    for row in mine.itertuples():
        assert abs(row.lead_pos - truth.loc[row.chrom, "pos"]) < 50_000
        assert row.start <= truth.loc[row.chrom, "pos"] <= row.end


@pytest.mark.parametrize("trait", NULL)
def test_traits_without_genes_show_none(results, loci, trait):
    summary = read(results / "genetics/merge_gwas/summary.tsv").set_index("trait").loc[trait]
    assert summary["significant"] == 0
    assert trait not in set(loci["trait"])
    assert summary["lambda_gc"] == pytest.approx(1, abs=0.08)


def test_effects_are_those_of_the_truth(phantom, results):
    truth = planted(phantom, "loci").set_index("id")
    for trait in HERITABLE:
        table = (
            read(results / f"genetics/merge_gwas/{trait}.tsv.gz", dtype={"id": str}).set_index("id").loc[truth.index]
        )
        sign = np.where(table["a1"] == truth["effect_allele"], 1, -1)
        assert (np.abs(sign * table["beta"] - truth[f"beta_{trait}"]) < 3.5 * table["se"]).all()


def test_genes_and_novelty(loci):
    for trait in HERITABLE:
        mine = loci[loci["trait"] == trait].set_index("chrom")
        assert mine["novel"].astype(str).str.lower().to_dict() == {"6": "true", "11": "true", "17": "false"}
        assert mine.loc["17", "known_traits"] == "Brain volume"
        for chrom, gene in {"17": "MAPT", "11": "IRAG1", "6": "SUPT3H"}.items():
            assert gene in mine.loc[chrom, "genes"].split(";")


def test_covariates_that_entered_are_those_asked_for(results):
    table = read(results / "genetics/merge_gwas/entered.tsv")
    assert table["entered"].all()
    names = set(table.loc[table["trait"] == "FS", "covariate"])
    assert {"age", "age2", "sex", "age_x_sex", "age2_x_sex", "icv", "PC1", "PC20"} <= names
    assert sum(name.startswith(("array", "centre")) for name in names) == 3


# --- heritability and correlation ----------------------------------------------------------------------------------
def test_greml_intervals_hold_the_truth(phantom, results):
    truth = planted(phantom, "heritability").set_index("trait")["h2"]
    found = read(results / "genetics/run_greml/heritability.tsv").set_index("trait")
    inside = (found["lower"] - 0.02 <= truth[found.index]) & (truth[found.index] <= found["upper"] + 0.02)
    assert inside.all()
    assert (found.loc[HERITABLE, "p"] < 1e-10).all()
    assert (found.loc[NULL, "p"] > 0.001).all()


def test_greml_correlations_are_near_the_truth_and_in_its_order(phantom, results):
    truth = planted(phantom, "correlation").set_index(["trait_a", "trait_b"])
    found = read(results / "genetics/run_greml/correlation.tsv").set_index(["trait_a", "trait_b"]).loc[truth.index]
    assert (np.abs(found["rg"] - truth["rg"]) < 2.5 * found["se"] + 0.02).all()
    assert found["rg"].idxmax() == truth["rg"].idxmax()
    assert (found["p_zero"] < 1e-6).all()


def test_greml_is_unbiased_over_replicates_with_honest_errors(phantom, results):
    found = replicate(phantom, results)
    h2, rg = found[found["truth"] == TRUE_H2], found[found["truth"] == TRUE_RG]
    for table in (h2, rg):
        assert abs((table["value"] - table["truth"]).mean()) < 0.03
        covered = ((table["lower"] <= table["truth"]) & (table["truth"] <= table["upper"])).sum()
        # of intervals that cover 95%, fewer than this come up once in a thousand times
        assert covered >= {2 * REPLICATES: 18, REPLICATES: 8}[len(table)]


def replicate(phantom, results):
    """Estimate h2 and rg of new phenotypes with known ones on the study's own genotypes and relatedness."""
    parts = sorted(path.with_suffix("").with_suffix("") for path in (results / "genetics/make_grm").glob("*.grm.bin"))
    relatedness = grm.read(parts)
    ids = relatedness.samples["participant_id"]
    given = read(results / "genetics/make_phenotypes/covariates.tsv", dtype={"participant_id": str})
    given = given.set_index("participant_id").loc[ids].to_numpy(float)
    calls, inside = genotypes_of(phantom, results, ids)
    random = generator(0, "replicates")
    effects = random.normal(size=(len(calls), 2 * REPLICATES)) * np.sqrt(traits.spread_variance(inside, 0.43))[:, None]
    genetic = traits.genetic_values(calls, effects)
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(ids)), given]))
    wanted = TRUE_H2 * np.array([[1, TRUE_RG], [TRUE_RG, 1]])
    columns = []
    for pair in np.split(genetic, REPLICATES, axis=1):
        # the realised values are the truth, among what covariates leave
        rest = pair - basis @ (basis.T @ pair)
        pair = rest @ traits.recolour(rest, wanted, np.repeat("A", len(ids)))
        columns.append(pair + random.normal(0, np.sqrt(1 - TRUE_H2), size=pair.shape))
    turned = reml.rotate(relatedness.matrix, np.column_stack(columns), given)
    rows = []
    for pair in np.split(turned.traits, REPLICATES, axis=1):
        for trait in pair.T:
            one = reml.univariate(turned.values, trait)
            rows.append((TRUE_H2, one.h2, one.lower, one.upper))
        both = bivariate.bivariate(turned.values, pair)
        rows.append((TRUE_RG, both.rg, both.lower, both.upper))
    return pd.DataFrame(rows, columns=["truth", "value", "lower", "upper"])


def genotypes_of(phantom, results, ids):
    """Read the calls of people and variants that were tested, and which variants are in peaks."""
    given = bed.read_bed(phantom / "genotypes")
    tested = set(read(results / "genetics/merge_gwas/NOISE.tsv.gz", usecols=["id"], dtype=str)["id"])
    rows = (given.variants["id"].isin(tested) & ~given.variants["id"].duplicated()).to_numpy()
    order = pd.Index(given.samples["participant_id"]).get_indexer(ids)
    calls = given.calls[rows][:, order]
    calls = np.where(calls < 0, np.rint(calls.mean(axis=1, keepdims=True)), calls).astype(np.int8)
    peaks = read(phantom / "peaks" / f"{PLANTED}.bed", header=None, names=["chrom", "start", "end"])
    return calls, in_peaks(given.variants[rows], peaks.assign(chrom=peaks["chrom"].str.removeprefix("chr")))


def test_ldsc_tells_heritable_traits_from_others(results):
    found = read(results / "genetics/run_ldsc/heritability.tsv").set_index("trait")
    assert found.loc[HERITABLE, "h2"].min() > found.loc[NULL, "h2"].max()
    assert (found.loc[HERITABLE, "h2"] / found.loc[HERITABLE, "se"]).mean() > 2.5
    assert (np.abs(found.loc[NULL, "h2"] / found.loc[NULL, "se"]) < 3).all()
    # ours is a genome of 66 megabases, where traits are polygenic and not confounded
    assert (found["intercept"] < 1.2).all()


def test_ldsc_correlations_are_positive_and_the_closest_pair_is_the_first(phantom, results):
    truth = planted(phantom, "correlation").set_index(["trait_a", "trait_b"])["rg"]
    found = read(results / "genetics/run_ldsc/correlation.tsv").set_index(["trait_a", "trait_b"])["rg"]
    mine = found[truth.index]
    assert (mine > 0.3).all()
    assert mine[truth.idxmax()] > mine[truth.idxmin()]


# --- cell types ----------------------------------------------------------------------------------------------------
def test_open_chromatin_ranks_the_planted_cell_type_first(results):
    found = read(results / "genetics/partition_heritability/cell_types.tsv")
    assert set(found["cell_type"]) == set(CELL_TYPES)
    first = found.loc[found[found["trait"].isin(HERITABLE)].groupby("trait")["p"].idxmin(), "cell_type"]
    assert (first == PLANTED).all()
    assert found.loc[found["significant"], "cell_type"].eq(PLANTED).all()


def test_expression_ranks_the_planted_cell_type_first(results):
    found = read(results / "genetics/enrich_cell_types/cell_types.tsv")
    joined = found[found["trait"].isin(HERITABLE)].groupby("cell_type")["t"].mean()
    assert joined.idxmax() == PLANTED
    assert joined[PLANTED] > 1.5


def test_variants_of_loci_lie_in_planted_peaks(phantom, results):
    overlaps = read(results / "genetics/annotate_peaks/overlaps.tsv.gz", dtype={"id": str})
    truth = planted(phantom, "loci")
    mine = overlaps[overlaps["id"].isin(truth["id"]) & (overlaps["cell_type"] == PLANTED)]
    assert set(mine["id"]) == set(truth["id"])
