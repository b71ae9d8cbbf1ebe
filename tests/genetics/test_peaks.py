"""Variants in peaks: both conventions of coordinates, by hand, by bedtools, and as R's %over% counts."""

import gzip
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.genetics import peaks
from workflow_scripts.lib.study.errors import StudyError

LOCI = pd.DataFrame({"locus": [1], "chrom": ["17"], "start": [100], "end": [150]})


def make_variants(positions, chrom="17", p=0.01):
    table = pd.DataFrame({"chrom": chrom, "pos": positions, "p": p})
    return table.assign(id=[f"v{i}" for i in range(len(table))])


def make_peaks(rows):
    return pd.DataFrame(rows, columns=["cell_type", "chrom", "start", "end"])


# BED [100, 200) holds bases 101 to 200 counted from 1
EDGES = [(100, False), (101, True), (200, True), (201, False)]


@pytest.mark.parametrize(("position", "held"), EDGES)
def test_edges_of_a_peak(position, held):
    variants, table = make_variants([position]), make_peaks([("Microglia", "17", 100, 200)])
    assert peaks.inside(variants, table).tolist() == [held]
    assert len(peaks.overlaps(variants, table, LOCI)) == held


@pytest.mark.parametrize(("position", "held"), EDGES)
def test_edges_as_bedtools_has_them(tmp_path, position, held):
    if not shutil.which("bedtools"):
        pytest.skip("bedtools is not installed (apt-get install bedtools)")
    (tmp_path / "a.bed").write_text(f"17\t{position - 1}\t{position}\n")
    (tmp_path / "b.bed").write_text("17\t100\t200\n")
    command = ["bedtools", "intersect", "-u", "-a", str(tmp_path / "a.bed"), "-b", str(tmp_path / "b.bed")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert bool(answer.stdout) == held


def over(variants, table):
    """R's %over% on ranges from 1, ends inside: a BED interval is start + 1 to end there."""
    pairs = variants.assign(row=range(len(variants))).merge(table, on="chrom")
    held = (pairs["pos"] >= pairs["start"] + 1) & (pairs["pos"] <= pairs["end"])
    return np.isin(np.arange(len(variants)), pairs["row"][held])


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("12"), st.integers(1, 60)), min_size=1, max_size=20),
    st.lists(st.tuples(st.sampled_from("12"), st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=10),
)
def test_marks_and_pairs_are_those_of_over(places, intervals):
    variants = make_variants([place for _, place in places], [chrom for chrom, _ in places])
    table = make_peaks([("c", chrom, start, start + length) for chrom, start, length in intervals])
    expected = over(variants, table)
    assert (peaks.inside(variants, table) == expected).all()
    pairs = peaks.overlaps(variants, table, LOCI)
    assert set(pairs["id"]) == set(variants["id"][expected])
    assert len(pairs) == sum(
        c == chrom and start < place <= start + length for c, place in places for chrom, start, length in intervals
    )


def test_overlaps_are_sorted_by_p_and_know_their_locus():
    variants = make_variants([120, 180, 120], ["17", "17", "1"], [0.01, 1e-9, 0.02])
    table = make_peaks([("A", "17", 100, 200), ("B", "17", 110, 130), ("A", "1", 119, 120)])
    found = peaks.overlaps(variants, table, LOCI)
    assert found[["id", "cell_type"]].to_numpy().tolist() == [["v1", "A"], ["v0", "A"], ["v0", "B"], ["v2", "A"]]
    assert found["locus"].tolist()[1:3] == [1, 1] and found["locus"].isna().tolist() == [True, False, False, True]
    assert found[["peak_start", "peak_end"]].to_numpy()[2].tolist() == [110, 130]
    assert list(peaks.overlaps(variants.iloc[:0], table, LOCI).columns) == peaks.OVERLAPS


def test_summary_by_hand():
    variants = make_variants(range(1, 101), p=np.where(np.arange(100) < 10, 0.01, 0.5))
    variants.loc[0, "p"] = 1e-9
    # overlapping peaks count a variant once: bases 1 to 20
    table = make_peaks([("A", "17", 0, 15), ("A", "17", 5, 20), ("B", "17", 90, 95)])
    summary = peaks.summarise(variants, table, 0.05, 5e-8).set_index("cell_type")
    row = summary.loc["A"]
    assert row[["peaks", "tested", "tested_inside", "nominal", "variants", "significant"]].tolist() == [
        2,
        100,
        20,
        10,
        10,
        1,
    ]
    assert (row["expected_share"], row["share"], row["fold"]) == (0.2, 1.0, 5.0)
    # one-sided Fisher's exact test is the same
    table_2x2 = [[10, 10], [0, 80]]
    assert row["naive_p"] == pytest.approx(stats.fisher_exact(table_2x2, alternative="greater")[1])
    assert summary.loc["B", "variants"] == 0 and summary.loc["B", "naive_p"] == 1


def test_peaks_of_another_genome_are_refused():
    with pytest.raises(StudyError, match=r"no tested variant lies in a peak.*genetics: build"):
        peaks.summarise(make_variants([5]), make_peaks([("A", "17", 100, 200)]), 0.05, 5e-8)


def test_files_name_cell_types_and_chromosomes_lose_chr(tmp_path):
    (tmp_path / "OPCs.bed").write_text("# peaks\ntrack name=x\nchr17\t100\t200\tpeak1\nchr1\t5\t6\n")
    with gzip.open(tmp_path / "Microglia.narrowPeak.gz", "wt") as stream:
        stream.write("17\t100\t200\tp\t0\t.\t5\t-1\t-1\t50\n")
    (tmp_path / "README.txt").write_text("not peaks")
    table = peaks.read_peaks(tmp_path, "hg19", "hg19")
    rows = [["Microglia", "17", 100, 200], ["OPCs", "17", 100, 200], ["OPCs", "1", 5, 6]]
    assert table.to_numpy().tolist() == rows


def test_faults_of_peak_files_are_named(tmp_path):
    with pytest.raises(StudyError, match="no BED file"):
        peaks.read_peaks(tmp_path, "hg19", "hg19")
    (tmp_path / "A.bed").write_text("chr1\t5\t10\nchr1\t10\t10\n")
    with pytest.raises(StudyError, match=r"A\.bed, line 2: found 'chr1 10 10'"):
        peaks.read_peaks(tmp_path, "hg19", "hg19")
    (tmp_path / "A.bed").write_text("chr1 5 10\n")
    with pytest.raises(StudyError, match=r"A\.bed, line 1.*separated by tabs"):
        peaks.read_peaks(tmp_path, "hg19", "hg19")
    with pytest.raises(StudyError, match="genetics: peaks: build is hg38, expected hg19"):
        peaks.read_peaks(tmp_path, "hg38", "hg19")
