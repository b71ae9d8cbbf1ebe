"""Gene tables in every format give the same genes; mapping at the border of the window, by hand."""

import gzip

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.genetics import genes
from workflow_scripts.lib.study.errors import StudyError

EXPECTED = pd.DataFrame(
    [("SPPL2C", "17", 43_922_256, 43_924_438, "+"), ("KANSL1", "17", 44_107_282, 44_302_740, "-")],
    columns=genes.COLUMNS,
)
TSV = """gene\tchrom\tstart\tend\tstrand
KANSL1\t17\t44107282\t44302740\t-
SPPL2C\t17\t43922256\t43924438\t+
"""
GTF = """##description: evidence-based annotation of the human genome (GRCh37)
chr17\tHAVANA\tgene\t44107282\t44302740\t.\t-\t.\tgene_id "ENSG1.5"; gene_type "protein_coding"; gene_name "KANSL1";
chr17\tHAVANA\ttranscript\t44107282\t44302740\t.\t-\t.\tgene_name "KANSL1"; gene_type "protein_coding";
chr17\tHAVANA\tgene\t43972052\t43973000\t.\t-\t.\tgene_id "ENSG2.1"; gene_type "antisense"; gene_name "MAPT-AS1";
chr17\tHAVANA\tgene\t43922256\t43924438\t.\t+\t.\tgene_id "ENSG3.1"; gene_type "protein_coding"; gene_name "SPPL2C";
"""
GFF3 = """##gff-version 3
#!genome-build GRCh37.p13
17\thavana\tgene\t44107282\t44302740\t.\t-\t.\tID=gene:ENSG1;Name=KANSL1;biotype=protein_coding;gene_id=ENSG1
17\thavana\tncRNA_gene\t43972052\t43973000\t.\t-\t.\tID=gene:ENSG2;Name=MAPT-AS1;biotype=antisense;gene_id=ENSG2
17\thavana\tgene\t43922256\t43924438\t.\t+\t.\tID=gene:ENSG3;Name=SPPL2C;biotype=protein_coding;gene_id=ENSG3
"""
BED = "track name=genes\nchr17\t44107281\t44302740\tKANSL1\t0\t-\nchr17\t43922255\t43924438\tSPPL2C\t0\t+\n"
GLIST = "17 44107282 44302740 KANSL1\n17 43922256 43924438 SPPL2C\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [("g.tsv", TSV), ("g.gtf", GTF), ("g.gff3", GFF3), ("g.bed", BED), ("glist-hg19", GLIST), ("g.gtf.gz", GTF)],
)
def test_every_format_gives_the_same_genes(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    found = genes.read_genes(path, "hg19", "hg19")
    expected = EXPECTED.assign(strand=".") if name == "glist-hg19" else EXPECTED
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_other_builds_are_refused_by_config_header_and_name(tmp_path):
    (tmp_path / "g.gtf").write_text(GTF)
    (tmp_path / "glist-hg19").write_text(GLIST)
    with pytest.raises(StudyError, match="genetics: genes: build is hg38, expected hg19"):
        genes.read_genes(tmp_path / "g.gtf", "hg38", "hg19")
    for name in ("g.gtf", "glist-hg19"):
        with pytest.raises(StudyError, match="name or header says hg19, but genetics: genes: build is hg38"):
            genes.read_genes(tmp_path / name, "hg38", "hg38")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene\tchrom\tstart\tend\tstrand\nA\t1\t20\t10\t+\n", "gene 'A' runs from 20 to 10"),
        ("gene\tchrom\tstart\tend\tstrand\nA\t1\tx\t10\t+\n", "gene 'A' runs from x to 10"),
        ("gene\tchrom\tstart\tend\tstrand\n", "found no gene"),
        ("name,start,end\n", "first line 'name,start,end'.*GTF"),
    ],
)
def test_faults_of_tables_are_named(tmp_path, text, message):
    (tmp_path / "g.tsv").write_text(text)
    with pytest.raises(StudyError, match=message):
        genes.read_genes(tmp_path / "g.tsv", "hg19", "hg19")
    with pytest.raises(StudyError, match="no such file"):
        genes.read_genes(tmp_path / "none.tsv", "hg19", "hg19")


def gene_table(rows):
    return pd.DataFrame(rows, columns=genes.COLUMNS)


def candidates(rows):
    return pd.DataFrame(rows, columns=["locus", "chrom", "pos", "p"])


@pytest.mark.parametrize(
    ("position", "distance"),
    [
        (89_999, None),
        (90_000, 10_000),
        (99_999, 1),
        (100_000, 0),
        (110_000, 0),
        (110_001, 1),
        (120_000, 10_000),
        (120_001, None),
    ],
)
def test_window_of_ten_kilobases_counts_from_both_ends_of_a_gene(position, distance):
    mapped = genes.map_genes(
        candidates([(1, "1", position, 1e-9)]), gene_table([("A", "1", 100_000, 110_000, "+")]), 10
    )
    assert mapped["distance"].tolist() == ([] if distance is None else [distance])


def test_mapping_counts_variants_and_keeps_loci_and_chromosomes_apart():
    table = gene_table([("A", "1", 1000, 2000, "+"), ("B", "1", 30_000, 31_000, "-"), ("A2", "2", 1000, 2000, "+")])
    found = candidates([(1, "1", 1500, 1e-9), (1, "1", 5000, 1e-20), (1, "1", 25_000, 1e-3), (2, "1", 900_000, 1e-9)])
    mapped = genes.map_genes(found, table, 10)
    rows = mapped[["locus", "gene", "distance", "variants", "min_p"]].to_numpy().tolist()
    assert rows == [[1, "A", 0, 2, 1e-20], [1, "B", 5000, 1, 1e-3]]
    names = genes.names_of_loci(mapped, pd.Series([1, 2]))
    assert names[0] == "A;B" and pd.isna(names[1])


def test_nearest_gene_may_be_two_or_none():
    table = gene_table([("A", "1", 1000, 2000, "+"), ("IN", "1", 1500, 1600, "-"), ("B", "1", 3000, 4000, "+")])
    variants = pd.DataFrame({"chrom": ["1", "1", "1", "9"], "pos": [1550, 2400, 2500, 5]})
    assert genes.nearest(variants, table).tolist()[:3] == ["A;IN", "A", "A;B"]
    assert genes.nearest(variants, table).isna().tolist() == [False, False, False, True]


@given(st.integers(1, 1000), st.integers(1, 1000), st.integers(0, 300))
def test_distance_is_that_to_the_nearest_base_of_the_gene(position, start, length):
    end = start + length
    expected = min(abs(position - base) for base in range(start, end + 1))
    assert genes.distance(position, start, end) == expected
