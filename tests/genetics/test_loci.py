"""Loci against hand-computed cases, invariants of the rules, and plink 1.9's own clumping."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.genetics import bed, loci, locus_tables, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

RULES = {
    "p": 5e-8,
    "candidate_p": 0.05,
    "r2": 0.6,
    "lead_r2": 0.1,
    "merge_kb": 250,
    "window_kb": 1000,
    "mhc": False,
}


def make_results(rows, chrom="1"):
    """Results from (id, position in kb, p)."""
    table = pd.DataFrame(rows, columns=["id", "kb", "p"])
    table = table.assign(chrom=chrom, pos=(table["kb"] * 1000).astype(int), ref="A", alt="G", a1="G", a1_freq=0.3)
    return table.assign(n=1000, se=0.1, beta=-np.log10(table["p"].clip(lower=1e-300)) / 10).drop(columns="kb")


def panel_of(results, pairs):
    """r2 as ld.Panel.r2 gives it, from {(id, id): r2}, all other pairs being unlinked, or from a matrix."""
    rows = dict(zip(results["id"], range(len(results)), strict=True))
    place, chrom, names = (results[name].to_numpy() for name in ("pos", "chrom", "id"))
    matrix = np.eye(len(results)) if isinstance(pairs, dict) else pairs.copy()
    for (one, other), value in pairs.items() if isinstance(pairs, dict) else ():
        matrix[rows[one], rows[other]] = matrix[rows[other], rows[one]] = value
    far = np.abs(place[:, None] - place) > RULES["window_kb"] * 1000
    matrix[far | (chrom[:, None] != chrom)] = -1

    def r2(ids, least):
        at = np.array([rows[name] for name in ids], int)
        firsts, others = np.nonzero(matrix[at] >= least)
        found = {"first": names[at[firsts]], "id": names[others], "r2": matrix[at[firsts], others]}
        return pd.DataFrame(found).astype({"first": str, "id": str})

    return r2


def find(results, pairs, known=None, **changes):
    known = pd.Index(results["id"] if known is None else known)
    return loci.find(results, panel_of(results, pairs), known, RULES | changes)


def test_hand_computed_locus():
    # a tags b (r2 .8) and c (.61); d is independent of a but linked (.3): same lead; e is a lead of its own 200 kb
    # on; f, 250 kb after e's block, is another locus
    rows = [("a", 1000, 1e-20), ("b", 1010, 1e-9), ("c", 990, 0.04), ("d", 1050, 1e-10), ("e", 1250, 1e-12)]
    rows += [("f", 1500, 1e-9), ("g", 1005, 0.06), ("h", 1240, 0.01)]
    pairs = {("a", "b"): 0.8, ("a", "c"): 0.61, ("a", "d"): 0.3, ("a", "g"): 0.9, ("d", "h"): 0.59}
    found = find(make_results(rows), pairs)
    table = found.loci
    assert table[["locus", "start", "end"]].to_numpy().tolist() == [[1, 990_000, 1_250_000], [2, 1_500_000, 1_500_000]]
    assert table["lead_id"].tolist() == ["a", "f"]
    assert table[["n_independent", "n_leads", "n_candidates"]].to_numpy().tolist() == [[3, 2, 5], [1, 1, 1]]
    assert found.leads["id"].tolist() == ["a", "e", "f"]
    assert found.leads["n_independent"].tolist() == [2, 1, 1]
    assert dict(zip(found.independent["id"], found.independent["lead_id"], strict=True)) == {
        "a": "a",
        "d": "a",
        "e": "e",
        "f": "f",
    }
    assert set(found.candidates["id"]) == set("abcdef")  # g is not nominal, h not linked enough
    first = table.iloc[0]
    assert (first["lead_p"], first["lead_beta"], first["lead_a1"]) == (1e-20, 2.0, "G")


@pytest.mark.parametrize(("gap_bp", "count"), [(249_999, 1), (250_000, 2)])
def test_blocks_merge_when_closer_than_the_limit(gap_bp, count):
    results = make_results([("a", 1000, 1e-20), ("b", 2000, 1e-10)])
    results.loc[1, "pos"] = 1_000_000 + gap_bp
    assert len(find(results, {}).loci) == count


def test_independent_variants_of_one_lead_are_one_locus_however_far_apart():
    results = make_results([("a", 1000, 1e-20), ("b", 1900, 1e-10)])
    assert len(find(results, {("a", "b"): 0.1}).loci) == 1  # the border belongs to it
    assert len(find(results, {("a", "b"): 0.099}).loci) == 2


def test_locus_between_the_blocks_of_another_joins_it():
    results = make_results([("a", 1000, 1e-20), ("b", 1900, 1e-10), ("between", 1450, 1e-9)])
    table = find(results, {("a", "b"): 0.2}).loci
    assert table[["start", "end", "n_leads"]].to_numpy().tolist() == [[1_000_000, 1_900_000, 2]]


def test_chain_of_tags_goes_by_the_strongest_left():
    # b is tagged by a, so that c, linked with b only, is independent although b would have tagged it
    results = make_results([("a", 1000, 1e-20), ("b", 1100, 1e-15), ("c", 1200, 1e-10)])
    found = find(results, {("a", "b"): 0.7, ("b", "c"): 0.9, ("a", "c"): 0.2})
    assert found.independent["id"].tolist() == ["a", "c"]
    # a candidate is listed with the independent variant that it is most linked with
    assert found.candidates.set_index("id")["independent_id"].to_dict() == {"a": "a", "b": "c", "c": "c"}
    assert found.independent["n_candidates"].tolist() == [2, 2]


def test_no_significant_variant_gives_empty_tables_that_fit_their_schemas(tmp_path):
    found = find(make_results([("a", 1000, 1e-7), ("b", 1100, 0.5)]), {})
    annotated, mapped = locus_tables.annotate(found, None, 10, None, 250)
    for name, table in (("loci", annotated), ("locus_leads", found.leads), ("locus_independent", found.independent)):
        assert table.empty
        tables.write_table(table.assign(trait=pd.Series(dtype=str)), tmp_path / "x.tsv", name)
        assert tables.read_table(tmp_path / "x.tsv", name).empty
    assert found.candidates.empty and found.linkage.empty and mapped.empty


def test_variants_that_the_panel_lacks_join_by_position_or_lead_alone(caplog):
    rows = [("a", 1000, 1e-10), ("near", 1200, 1e-20), ("far", 3000, 1e-9), ("far2", 3100, 1e-12)]
    found = find(make_results(rows), {}, known=["a"])
    assert "3 of 4 significant variants are not in the panel" in caplog.text
    # within reach of a locus with a known variant, the stronger unknown one does not lead: nothing says it is one
    assert found.loci["lead_id"].tolist() == ["a", "far2"]
    assert found.loci[["start", "end"]].to_numpy().tolist() == [[1_000_000, 1_200_000], [3_000_000, 3_100_000]]
    assert found.loci["n_candidates"].tolist() == [2, 2]
    assert found.leads["in_panel"].tolist() == [True, False]
    assert set(found.linkage["lead_id"]) == {"a"}
    assert found.absent == ["near", "far2", "far"]


def test_major_histocompatibility_complex_is_one_locus_if_asked():
    results = make_results([("a", 26_000, 1e-20), ("b", 30_000, 1e-10), ("c", 40_000, 1e-10)], chrom="6")
    assert len(find(results, {}).loci) == 3
    table = find(results, {}, mhc=True).loci
    assert table[["start", "end"]].to_numpy().tolist() == [[26_000_000, 30_000_000], [40_000_000, 40_000_000]]
    elsewhere = results.assign(chrom="7")
    assert len(find(elsewhere, {}, mhc=True).loci) == 3


def test_p_values_that_underflow_are_told_apart_by_the_effect():
    results = make_results([("a", 1000, 1e-307), ("b", 1010, 1e-307)]).assign(beta=[3.0, -4.0])
    assert find(results, {("a", "b"): 0.9}).loci["lead_id"].tolist() == ["b"]


def test_contradicting_thresholds_and_repeated_ids_are_refused():
    results = make_results([("a", 1000, 1e-10)])
    with pytest.raises(StudyError, match=r"lead_r2 is 0\.7"):
        find(results, {}, lead_r2=0.7)
    with pytest.raises(StudyError, match="'a' stands on several rows"):
        find(pd.concat([results, results]), {})


@st.composite
def studies(draw):
    """Results of up to 40 variants on two chromosomes, and r2 from random factors, so that it is a real correlation."""
    count = draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = random.integers(0, max(count // 4, 1), count)
    factors = random.normal(size=(count, 60))[groups] + draw(st.sampled_from([0.2, 0.8])) * random.normal(
        size=(count, 60)
    )
    correlation = np.corrcoef(factors).reshape(count, count) ** 2
    span = draw(st.sampled_from([300, 3000, 20_000]))
    rows = [(f"v{i}", random.integers(1, span), 10.0 ** -random.uniform(0, 15)) for i in range(count)]
    results = make_results(rows, random.choice(["1", "2"], count))
    return results, correlation, random


@settings(max_examples=12, deadline=None)
@given(studies())
def test_rules_hold_for_any_study(study):
    results, pairs, random = study
    order = random.permutation(len(results))
    found = find(results, pairs)
    table, significant = found.loci, results[results["p"] < RULES["p"]]
    for row in significant.itertuples():
        inside = table[(table["chrom"] == row.chrom) & (table["start"] <= row.pos) & (table["end"] >= row.pos)]
        assert len(inside) == 1
        listed = found.candidates[found.candidates["id"] == row.id]
        assert listed["locus"].tolist() == inside["locus"].tolist()
    for _, here in table.groupby("chrom"):
        here = here.sort_values("start")
        gaps = here["start"].to_numpy()[1:] - here["end"].to_numpy()[:-1]
        assert (gaps >= RULES["merge_kb"] * 1000).all()
    everything = panel_of(results, pairs)
    for names, limit in ((found.leads["id"], RULES["lead_r2"]), (found.independent["id"], RULES["r2"])):
        linked = everything(list(names), 0.0)
        linked = linked[linked["id"].isin(names) & (linked["first"] != linked["id"])]
        assert (linked["r2"] < limit).all()
    tagged = everything(found.independent["id"].tolist(), RULES["r2"]).merge(results[["id", "p"]], on="id")
    assert set(found.candidates["id"]) == set(tagged["id"][tagged["p"] < RULES["candidate_p"]])
    assert table["lead_p"].tolist() == [
        found.candidates[found.candidates["locus"] == n]["p"].min() for n in table["locus"]
    ]
    shuffled = find(results.iloc[order], pairs[order][:, order])
    for name in ("loci", "leads", "independent", "candidates"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(shuffled, name))


@pytest.fixture(scope="module")
def linked_study(tmp_path_factory):
    """600 people, 3 chromosomes of 150 variants in blocks, and simulated results with several signals each."""
    random = np.random.default_rng(3)
    people, rows, calls = 600, [], []
    for chrom in ("2", "10", "17"):
        haplotype = random.integers(0, 2, (2, people))
        for index in range(150):
            fresh = random.random((2, people)) < (0.9 if index % 15 == 0 else 0.06)
            haplotype = np.where(fresh, random.integers(0, 2, (2, people)), haplotype)
            calls.append(haplotype.sum(0))
            rows.append((chrom, f"rs{chrom}_{index}", 0.0, 1_000_000 + 9_000 * index, "A", "G"))
    variants = pd.DataFrame(rows, columns=bed.BIM)
    samples = pd.DataFrame({"participant_id": [f"p{i}" for i in range(people)], "sex": "F"})
    calls = np.array(calls, np.int8)
    prefix = tmp_path_factory.mktemp("linked") / "genotypes"
    bed.write_bed(bed.Genotypes(samples, variants, calls), prefix)
    causal = [20, 60, 62, 110, 140, 190, 240, 400]
    signal = calls[causal].T @ random.choice([-0.6, 0.6], len(causal))
    y = signal + random.normal(size=people)
    x = calls - calls.mean(1, keepdims=True)
    beta = x @ (y - y.mean()) / (x**2).sum(1)
    residual = ((y - y.mean())[None] - beta[:, None] * x).var(1, ddof=2)
    se = np.sqrt(residual / (x**2).sum(1))
    p = np.maximum(2 * stats.t.sf(np.abs(beta / se), people - 2), 1e-300)
    results = variants[["chrom", "pos", "id", "ref", "alt"]].assign(a1="A", a1_freq=calls.mean(1) / 2, n=people)
    return prefix, results.assign(beta=beta, se=se, p=p)


@pytest.fixture(scope="module")
def found_linked(plink, linked_study):
    prefix, results = linked_study
    return locus_tables.find_linked(results, {"all": prefix}, None, RULES, Limits())


def test_linkage_of_leads_is_the_correlation_of_genotypes_on_one_chromosome(linked_study, found_linked):
    prefix, _ = linked_study
    genotypes, linkage = bed.read_bed(prefix), found_linked.linkage
    rows = pd.Series(range(len(genotypes.variants)), genotypes.variants["id"])
    matrix = np.corrcoef(genotypes.calls) ** 2
    expected = matrix[rows[linkage["lead_id"]].to_numpy(), rows[linkage["id"]].to_numpy()]
    assert np.allclose(linkage["r2"], expected, atol=1e-5)
    assert (linkage.groupby("locus").size() > 100).all()
    chrom = found_linked.loci.set_index("locus")["chrom"]
    assert (linkage["chrom"] == linkage["locus"].map(chrom)).all()


def test_loci_from_plink_are_those_from_the_correlation_of_genotypes(linked_study, found_linked):
    prefix, results = linked_study
    expected = find(results, np.corrcoef(bed.read_bed(prefix).calls) ** 2)
    assert len(expected.loci) > 3 and len(expected.independent) > len(expected.leads) > len(expected.loci)
    for name in ("loci", "leads", "independent"):
        pd.testing.assert_frame_equal(getattr(found_linked, name), getattr(expected, name))


def test_index_variants_agree_with_plink_clump(plink, linked_study, tmp_path):
    # clumping takes r2 from haplotypes estimated by maximum likelihood, which --r2 dprime gives too; the published
    # rules, and so find_linked, take that of genotypes
    prefix, results = linked_study
    arguments = ["--bfile", str(prefix), "--r2", "dprime", "--ld-window", "99999", "--ld-window-kb", "1000"]
    tools.run(tools.find("plink1.9"), [*arguments, "--ld-window-r2", "0"], tmp_path / "pairs", Limits())
    table = pd.read_csv(tmp_path / "pairs.ld", sep=r"\s+")
    pairs = {(one, other): r2 for one, other, r2 in table[["SNP_A", "SNP_B", "R2"]].itertuples(index=False)}
    found = find(results, pairs)
    results.rename(columns={"id": "SNP", "p": "P"}).to_csv(tmp_path / "report", sep="\t", index=False)
    arguments = ["--bfile", str(prefix), "--clump", str(tmp_path / "report"), "--clump-p1", "5e-8"]
    for names, r2 in ((found.independent["id"], 0.6), (None, 0.1)):
        flags = ["--clump-p2", "5e-8", "--clump-r2", str(r2), "--clump-kb", "1000"]
        tools.run(tools.find("plink1.9"), [*arguments, *flags], tmp_path / "clump", Limits())
        clumps = set(pd.read_csv(tmp_path / "clump.clumped", sep=r"\s+")["SNP"])
        # clumped at the lower r2 from the start, index variants are leads, found in one step instead of two
        assert set(names if names is not None else find(results, pairs, r2=0.1).leads["id"]) == clumps
    assert len(found.independent) > 8


def test_parts_give_what_the_whole_gives(linked_study, found_linked, tmp_path):
    prefix, results = linked_study
    whole = bed.read_bed(prefix)
    parts = {}
    for chrom, rows in whole.variants.groupby("chrom").indices.items():
        parts[chrom] = tmp_path / chrom
        part = bed.Genotypes(whole.samples, whole.variants.iloc[rows], whole.calls[rows])
        bed.write_bed(part, parts[chrom])
    several = locus_tables.find_linked(results, parts, None, RULES, Limits())
    for name in ("loci", "leads", "independent", "candidates", "linkage"):
        pd.testing.assert_frame_equal(getattr(found_linked, name), getattr(several, name))
