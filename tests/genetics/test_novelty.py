"""Known and novel loci against hand-made catalogues."""

import pandas as pd
import pytest

from workflow_scripts.lib.genetics import novelty
from workflow_scripts.lib.study.errors import StudyError

SETTINGS = {"build": "hg38", "match": "position", "p": 5e-8, "traits": None, "distance_kb": 250}
CATALOG = """DATE\tDISEASE/TRAIT\tCHR_ID\tCHR_POS\tSNPS\tP-VALUE\tMAPPED_TRAIT
2020\tHeight (men)\t17\t45900000\trs1\t3E-20\tbody height
2020\tBrain age\t17\t45950000\trs2\t4E-9\t
2020\tWeak\t17\t45960000\trs3\t1E-6\tweak trait
2020\tHaplotype\t17;17\t45970000;45980000\trs4; rs5\t1E-30\thaplotype trait
2020\tPair\t1 x 2\t100 x 200\trs6 x rs7\t1E-10\tpair trait
2020\tNowhere\t\t\trs8\t1E-9\t"unbalanced quote
2020\tUneven\t3\t77\trs9; rs10\t1E-9\tuneven trait
"""
SIMPLE = "chrom\tpos\tid\ttrait\tp\nchr17\t44100000\trsA\tgap\t1e-9\n17\t46000000\trsB\tother\tn/a\n"


def write(path, text):
    path.write_text(text)
    return path


def test_rows_of_the_gwas_catalog_become_one_variant_each(tmp_path):
    table = novelty.read_catalogue(write(tmp_path / "c.tsv", CATALOG), SETTINGS, "hg38").set_index("id")
    assert table.loc["rs1", ["chrom", "pos", "trait"]].tolist() == ["17", 45_900_000, "body height"]
    assert table.loc["rs2", "trait"] == "Brain age"  # no ontology term: the words of the study
    assert table.loc["rs5", "pos"] == 45_980_000
    assert table.loc["rs7", ["chrom", "pos"]].tolist() == ["2", 200]
    assert table.loc["rs8", "pos":"pos"].isna().all() and table.loc["rs9", "pos":"pos"].isna().all()
    assert "rs3" not in table.index and "rs10" in table.index
    assert table.index[0] in ("rs4", "rs5")  # the strongest first


def test_simple_tables_and_words_of_traits(tmp_path):
    path = write(tmp_path / "c.tsv", SIMPLE)
    settings = SETTINGS | {"build": "hg19"}
    table = novelty.read_catalogue(path, settings, "hg19")
    assert table[["chrom", "id"]].to_numpy().tolist() == [["17", "rsA"], ["17", "rsB"]]  # an unknown p counts
    assert novelty.read_catalogue(path, settings | {"traits": ["GAP"]}, "hg19")["id"].tolist() == ["rsA"]


def test_other_builds_are_refused_unless_ids_only_count(tmp_path):
    published, simple = write(tmp_path / "c.tsv", CATALOG), write(tmp_path / "s.tsv", SIMPLE)
    with pytest.raises(StudyError, match=r"catalogue: build is hg38, expected hg19.*match: id"):
        novelty.read_catalogue(published, SETTINGS, "hg19")
    with pytest.raises(StudyError, match=r"positions are hg38.*match: id"):
        novelty.read_catalogue(published, SETTINGS | {"build": "hg19"}, "hg19")
    with pytest.raises(StudyError, match="catalogue: build is hg19, expected hg38"):
        novelty.read_catalogue(simple, SETTINGS | {"build": "hg19"}, "hg38")
    table = novelty.read_catalogue(published, SETTINGS | {"match": "id"}, "hg19")
    assert table["pos"].isna().all() and "rs1" in set(table["id"])


def test_unknown_columns_and_missing_files_are_refused(tmp_path):
    with pytest.raises(StudyError, match="found the columns a, b; expected chrom, pos"):
        novelty.read_catalogue(write(tmp_path / "c.tsv", "a\tb\n1\t2\n"), SETTINGS, "hg38")
    with pytest.raises(StudyError, match="no such file"):
        novelty.read_catalogue(tmp_path / "none.tsv", SETTINGS, "hg38")


@pytest.mark.parametrize(
    ("chrom", "position", "name", "known"),
    [
        ("17", 44_160_000, "x", True),  # 250 kb from the lead
        ("17", 44_159_999, "x", False),
        ("17", 45_400_000, "x", True),  # last base of the locus
        ("17", 45_400_001, "x", False),
        ("18", 44_410_000, "x", False),
        ("18", None, "rs7", True),  # id of a candidate
        ("17", None, "rs8", False),  # id of a candidate of another locus
    ],
)
def test_known_by_place_in_the_locus_or_near_the_lead_or_by_id(chrom, position, name, known):
    loci = pd.DataFrame({"locus": [1], "chrom": "17", "start": 44_400_000, "end": 45_400_000, "lead_pos": 44_410_000})
    candidates = pd.DataFrame({"locus": [1, 2], "id": ["rs7", "rs8"]})
    row = {"chrom": [chrom], "pos": [float("nan") if position is None else position], "id": [name], "trait": ["t"]}
    found = novelty.known_traits(loci, candidates, pd.DataFrame(row | {"p": [1e-9]}), 250)
    assert found.tolist() == ["t"] if known else found.isna().all()


def test_traits_are_named_once_the_strongest_first():
    loci = pd.DataFrame({"locus": [1], "chrom": "1", "start": 100, "end": 200, "lead_pos": 150})
    catalogue = pd.DataFrame({"chrom": "1", "pos": [110, 120, 130], "id": ["a", "b", "c"], "trait": ["x", "y", "x"]})
    candidates = pd.DataFrame({"locus": [1], "id": ["q"]})
    assert novelty.known_traits(loci, candidates, catalogue, 0).tolist() == ["x; y"]
