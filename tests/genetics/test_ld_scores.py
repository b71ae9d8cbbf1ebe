import contextlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.genetics import bed, tools
from workflow_scripts.lib.genetics.ldsc import annotations, panel, scores
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

SETTINGS = {"window_cm": 1.0, "window_kb": 5.0, "min_maf": 0.01}


def make_calls(variants: int, people: int, seed: int = 0, missing: float = 0.0) -> np.ndarray:
    """Two haplotypes a person, neighbours alike."""
    random = np.random.default_rng(seed)
    latent = random.standard_normal((variants, 2 * people))
    for row in range(1, variants):
        latent[row] = 0.9 * latent[row - 1] + 0.44 * latent[row]
    haplotypes = latent > random.uniform(-1, 1, (variants, 1))
    calls = (haplotypes[:, :people] + haplotypes[:, people:].astype(int)).astype(np.int8)
    calls[random.uniform(size=calls.shape) < missing] = -1
    return calls


def chromosome(calls: np.ndarray, step: int = 1000, cm: bool = False, chrom: str = "7") -> panel.Chromosome:
    pos = 1 + step * np.arange(len(calls))
    variants = pd.DataFrame({"id": [f"v{row}" for row in range(len(calls))], "cm": pos / 1e6 * cm, "pos": pos})
    return panel.Chromosome(chrom, variants.assign(ref="A", alt="G"), calls)


def brute_force(calls, place, reach, weights):
    filled = np.where(calls < 0, np.nan, calls.astype(float))
    filled = np.where(np.isnan(filled), np.nanmean(filled, axis=1, keepdims=True), filled)
    squared = np.corrcoef(filled) ** 2
    squared -= (1 - squared) / (calls.shape[1] - 2)
    near = np.abs(place[:, None] - place[None, :]) <= reach
    return (squared * near) @ weights


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_equals_all_pairs_of_correlations(block):
    calls = make_calls(90, 40, missing=0.05)
    random = np.random.default_rng(1)
    place = np.sort(random.uniform(0, 10, 90))
    place[10:14] = place[10]  # several variants at one place
    weights = np.column_stack([np.ones(90), random.uniform(size=90) < 0.3, random.normal(size=90)])
    found = scores.ld_scores(calls, place, 1.3, weights, block)
    np.testing.assert_allclose(found, brute_force(calls, place, 1.3, weights), atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.floats(0, 50), st.integers(0, 1000))
def test_any_window_and_block_give_the_same(variants, block, reach, seed):
    calls = make_calls(variants, 30, seed)
    calls = calls[scores.varies(calls)]
    place = np.sort(np.random.default_rng(seed).integers(0, 50, len(calls)))
    found = scores.ld_scores(calls, place, reach, np.ones((len(calls), 1)), block)
    expected = brute_force(calls, place, reach, np.ones((len(calls), 1))) if len(calls) > 1 else np.ones((1, 1))
    np.testing.assert_allclose(found, expected[: len(calls)], atol=1e-10)


def test_unlinked_variants_have_a_mean_score_of_one():
    calls = np.random.default_rng(0).binomial(2, 0.3, (1500, 60)).astype(np.int8)
    found = scores.ld_scores(calls, np.arange(1500), 100, np.ones((1500, 1)))
    assert found.mean() == pytest.approx(1, abs=0.05)  # r2 without its adjustment: 200 / 59 more


def test_frequency_and_variation_ignore_missing_calls():
    calls = np.array([[0, 0, 1, -1], [2, 2, -1, -1], [-1, -1, -1, -1], [1, 1, 1, 1], [0, 2, -1, -1]], np.int8)
    np.testing.assert_allclose(scores.minor_frequency(calls), [1 / 6, 0, np.nan, 0.5, 0.5])
    assert scores.varies(calls).tolist() == [True, False, False, False, True]


PEAKS = pd.DataFrame(
    [("Oligo", "7", 9_000, 30_000), ("Micro", "7", 20_000, 50_000), ("Micro", "8", 0, 10**6)],
    columns=["cell_type", "chrom", "start", "end"],
)


def test_a_base_is_inside_from_start_plus_one_to_end():
    marks = annotations.annotate(chromosome(make_calls(60, 30)), PEAKS)
    assert list(marks) == ["base", "union", "cells.Micro", "cells.Oligo"]
    # positions 1, 1001, ...: BED's [9000, 30000) holds positions 9001 to 30000
    assert np.flatnonzero(marks["cells.Oligo"]).tolist() == list(range(9, 30))
    assert (marks["union"] == marks["cells.Oligo"] | marks["cells.Micro"]).all()
    assert list(annotations.annotate(chromosome(make_calls(5, 30)), PEAKS.iloc[:1])) == ["base", "cells.Oligo"]


def read(folder, name):
    return pd.read_csv(folder / name, sep="\t")


def test_files_are_ldscs_and_agree_with_each_other(tmp_path):
    here = chromosome(make_calls(80, 50))
    calls = here.calls.copy()
    calls[3] = 0  # one that does not vary
    here = panel.Chromosome("7", here.variants, calls)
    printed = {f"v{row}" for row in range(0, 80, 2)} | {"elsewhere"}
    summary = annotations.score(here, SETTINGS, PEAKS, printed, tmp_path).set_index("annotation")
    tables.check_table(summary.reset_index(), "ld_scores", "summary")
    frequency = read(tmp_path, "frequencies.7.frq")
    common = frequency["FRQ"] > 0.05
    left = np.setdiff1d(np.arange(80), np.r_[3, np.flatnonzero(scores.minor_frequency(calls) < 0.01)])
    for name in ("base", "union", "cells.Micro", "cells.Oligo"):
        annotation = read(tmp_path, f"{name}.7.annot.gz")
        assert annotation.columns.tolist() == ["CHR", "BP", "SNP", "CM", "ANNOT"]
        assert annotation["SNP"].tolist() == frequency["SNP"].tolist() == [f"v{row}" for row in left]
        assert int((tmp_path / f"{name}.7.l2.M").read_text()) == annotation["ANNOT"].sum()
        assert int((tmp_path / f"{name}.7.l2.M_5_50").read_text()) == annotation["ANNOT"][common].sum()
        table = read(tmp_path, f"{name}.7.l2.ldscore.gz")
        assert table.columns.tolist() == ["CHR", "SNP", "BP", "L2"]
        assert table["SNP"].tolist() == [f"v{row}" for row in left if row % 2 == 0]
        place, weights = 1.0 * left, annotation[["ANNOT"]].to_numpy(float)
        expected = brute_force(calls[left], place, 5, weights)[left % 2 == 0, 0]
        np.testing.assert_allclose(table["L2"], expected, rtol=1e-8, atol=1e-8)
        assert summary.loc[name, "mean_l2"] == pytest.approx(table["L2"].mean())
    weights = read(tmp_path, "weights.7.l2.ldscore.gz")
    expected = brute_force(calls[left], 1.0 * left, 5, (left % 2 == 0)[:, None].astype(float))[left % 2 == 0, 0]
    np.testing.assert_allclose(weights["L2"], expected, rtol=1e-8, atol=1e-8)
    assert summary.loc["weights", "written"] == len(weights)
    assert (summary["unit"] == "kb").all() and (summary["people"] == 50).all()


def test_the_window_is_centimorgan_where_there_is_a_map():
    window = annotations.choose_window(chromosome(make_calls(5, 30), 10_000, cm=True), 1.0, 1000)
    assert (window.unit, window.reach) == ("cm", 1.0)
    np.testing.assert_allclose(window.place, [1e-6, 0.010001, 0.020001, 0.030001, 0.040001])
    window = annotations.choose_window(chromosome(make_calls(5, 30), 10_000), 1.0, 1000)
    assert (window.unit, window.reach) == ("kb", 1000)
    np.testing.assert_array_equal(np.diff(window.place), 10_000)
    assert window.span == 1_000_000


def test_a_map_that_falls_is_refused_by_name():
    here = chromosome(make_calls(5, 30), cm=True)
    variants = here.variants.assign(cm=[0, 1, 2, 1.5, 3])
    with pytest.raises(StudyError, match=r"chromosome 7 falls at v3 \(position 3001, 1.5 cM after 2\)"):
        annotations.choose_window(panel.Chromosome("7", variants, here.calls), 1, 1000)


def write_panel(folder, chroms=("2", "10"), people=60, cm=False):
    parts = [chromosome(make_calls(40, people, int(chrom)), chrom=chrom, cm=cm) for chrom in chroms]
    variants = pd.concat([part.variants.assign(chrom=part.chrom) for part in parts], ignore_index=True)
    variants["id"] = "rs" + variants["chrom"] + "_" + variants["pos"].astype(str)
    samples = pd.DataFrame({"participant_id": [f"p{row}" for row in range(people)], "sex": "F"})
    calls = np.concatenate([part.calls for part in parts])
    bed.write_bed(bed.Genotypes(samples, variants, calls), folder / "panel")
    return variants, calls


def test_a_fileset_is_read_chromosome_by_chromosome_whole_or_in_parts(plink, tmp_path):
    variants, calls = write_panel(tmp_path)
    prefix, people = tmp_path / "panel", tmp_path / "people.txt"
    (tmp_path / "keep.txt").write_text("#FID IID\n" + "".join(f"0 p{row}\n" for row in range(0, 60, 1) if row != 5))
    assert panel.choose_people(prefix, tmp_path / "keep.txt", 50, 1, people) == 50
    chosen = tools.read_ids(people)["participant_id"]
    assert "p5" not in set(chosen) and chosen.is_unique
    panel.export(prefix, ["2", "10"], people, tmp_path / "whole", Limits())
    panel.export(prefix, ["10"], people, tmp_path / "ten", Limits())
    whole = {part.chrom: part for part in panel.read_chromosomes(tmp_path / "whole")}
    assert list(whole) == ["2", "10"]
    (ten,) = panel.read_chromosomes(tmp_path / "ten")
    np.testing.assert_array_equal(ten.calls, whole["10"].calls)
    rows = (variants["chrom"] == "10").to_numpy()
    columns = [int(name[1:]) for name in chosen]
    np.testing.assert_array_equal(ten.calls, calls[rows][:, columns])
    assert ten.variants["id"].tolist() == variants["id"][rows].tolist()


def test_too_few_people_or_no_variant_is_refused(plink, tmp_path):
    write_panel(tmp_path)
    (tmp_path / "keep.txt").write_text("#FID IID\n0 p1\n0 p2\n")
    with pytest.raises(StudyError, match="2 people for LD scores, expected at least 30"):
        panel.choose_people(tmp_path / "panel", tmp_path / "keep.txt", 50, 1, tmp_path / "people.txt")
    panel.choose_people(tmp_path / "panel", None, 60, 1, tmp_path / "people.txt")
    with pytest.raises(StudyError, match="no variant on chromosome 5"):
        panel.export(tmp_path / "panel", ["5"], tmp_path / "people.txt", tmp_path / "out", Limits())
    with pytest.raises(StudyError, match="no variant on chromosome 5; LD scores need"):
        panel.export(tmp_path / "panel", ["2", "5"], tmp_path / "people.txt", tmp_path / "out", Limits())
    panel.export(tmp_path / "panel", ["2", "5"], tmp_path / "people.txt", tmp_path / "out", Limits(), whole=False)


def test_parts_of_a_reference(tmp_path):
    for name in ("ref.2", "ref.10", "one"):
        (tmp_path / f"{name}.bed").touch()
    split, one = f"{tmp_path}/ref.{{chrom}}", f"{tmp_path}/one"
    assert panel.part_files(split, "all", ["2", "10"]) == {c: tmp_path / f"ref.{c}" for c in ("2", "10")}
    assert panel.part_files(split, "10", ["2", "10"]) == {"10": tmp_path / "ref.10"}
    assert panel.part_files(one, "10", ["2", "10"]) == {"10": tmp_path / "one"}
    assert panel.part_files(one, "all", ["2", "10"]) == {"all": tmp_path / "one"}
    with pytest.raises(StudyError, match="genetics: reference"):
        panel.part_files(f"{tmp_path}/none", "all", ["2"])
    with pytest.raises(StudyError, match="no variant on chromosome 3; LD scores need"):
        panel.part_files(split, "all", ["2", "3", "10"])


def test_the_panel_takes_the_studys_ids_by_place_and_alleles():
    here = chromosome(make_calls(6, 30))
    study = pd.DataFrame({"chrom": "7", "pos": [1, 1001, 2001, 4001, 5001], "id": ["7:1", "rsB", "v3", "v4", "v5"]})
    study = study.assign(ref=["G", "A", "A", "A", "A"], alt=["A", "T", "G", "G", "G"])
    renamed = panel.rename(here, study, "panel")
    # swapped alleles are the same variant; others are not; by v3 the study means another one
    assert renamed.variants["id"].tolist() == ["7:1", "v1", "v3", "v3_panel", "v4", "v5"]


def test_equals_ldsc(tmp_path):
    """ldsc.py --l2 writes right scores, to three decimals, before it stops at its .l2.M (2.0.1)."""
    if not tools.available("ldsc.py"):
        pytest.skip("ldsc.py is not installed (./run makes .venv/tools)")
    variants, calls = write_panel(tmp_path, ("3",))
    arguments = ["--bfile", "panel", "--l2", "--ld-wind-kb", "100", "--yes-really", "--out", "theirs"]
    with contextlib.suppress(StudyError):
        tools.call(tools.find("ldsc.py"), arguments, folder=tmp_path)
    theirs = read(tmp_path, "theirs.l2.ldscore.gz")
    ours = scores.ld_scores(calls, variants["pos"].to_numpy(), 100_000, np.ones((len(calls), 1)))
    assert theirs["SNP"].tolist() == variants["id"].tolist()
    np.testing.assert_allclose(ours[:, 0], theirs["L2"], atol=0.0005 + 1e-9)
