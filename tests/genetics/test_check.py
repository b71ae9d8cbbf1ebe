import gzip

import numpy as np
import pandas as pd
import pytest

from tests.genetics.conftest import genetics
from workflow_scripts.lib.genetics import bed, build, check, headers, sources
from workflow_scripts.lib.study.errors import StudyError

IDS = [f"p{row:02d}" for row in range(60)]
KNOWN = build.known_variants()


def fileset(prefix, rows, ids=IDS):
    """Write a .bed fileset without much in it: rows of chromosome, position, id."""
    table = pd.DataFrame(rows, columns=["chrom", "pos", "id"]).assign(cm=0.0, alt="T", ref="G")
    samples = pd.DataFrame({"participant_id": ids, "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, table, np.zeros((len(table), len(ids)), np.int8)), prefix)
    return prefix


def places(name, chroms=("21", "22")):
    """List variants of known place as one build has them."""
    place = {"hg19": 1, "hg38": 2}[name]
    return [(row[0], row[place], key) for key, row in KNOWN.items() if row[0] in chroms]


def settings_of(path, **changes):
    return genetics(path, **({"chromosomes": [21, 22], "check_sex": False} | changes))


def traits(path, **columns):
    random = np.random.default_rng(0)
    table = pd.DataFrame({"participant_id": IDS, "sex": ["F", "M"] * 30, "age": random.uniform(45, 80, 60)})
    table.assign(**{"gap": random.normal(size=60)} | columns).to_csv(path, sep="\t", index=False, na_rep="n/a")
    return str(path)


def test_a_good_study_passes(plink, tmp_path):
    settings = settings_of(fileset(tmp_path / "a", places("hg19")), phenotypes=traits(tmp_path / "t.tsv"))
    assert check.check_genetics(settings) == []


def test_all_missing_programs_are_named_with_remedies(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        StudyError, match=r"(?s)plink2 is needed.*plink1.9 is needed.*regenie is needed.*set genetics: gwas"
    ):
        check.check_genetics(settings_of("a", gwas={"tool": "regenie"}))
    with pytest.raises(StudyError, match="not found"):  # with conda, programs come later
        check.check_genetics(settings_of("a"), with_programs=False)


@pytest.mark.parametrize("path", ["none", "none.bgen", "none.vcf.gz"])
def test_missing_genotypes_are_refused(tmp_path, path):
    with pytest.raises(StudyError, match=rf"{path}.* not found. Give the path of"):
        check.check_files(settings_of(tmp_path / path))


def test_all_missing_chromosomes_are_named(tmp_path):
    for chrom in (1, 3):
        fileset(tmp_path / f"c{chrom}", [(str(chrom), 1000, "v")])
    settings = genetics(tmp_path / "c{chrom}", chromosomes=[1, 2, 3, 4], check_sex=True)
    with pytest.raises(StudyError, match=r"no files of chromosome 2, 4, X \(e.g. .*c2.bed.*check_sex: false"):
        check.check_files(settings)


def test_chromosomes_that_a_whole_fileset_lacks_are_named(tmp_path):
    settings = genetics(fileset(tmp_path / "a", places("hg19")), chromosomes=[20, 21, 22], check_sex=True)
    with pytest.raises(
        StudyError, match=r"a.bim: no variants of chromosome 20, X; found 21, 22\..*genetics: chromosomes"
    ):
        check.check_variants(settings)
    with pytest.raises(StudyError, match="no variants of chromosome 20, X"):
        check.check_variants(settings | {"split": True})


def test_files_whose_names_are_mixed_up_are_refused(tmp_path):
    for name, chrom in (("21", "22"), ("22", "21")):
        fileset(tmp_path / f"c{name}", places("hg19", [chrom]))
    with pytest.raises(
        StudyError, match=r"c21.bim: found variants of chromosome 22, expected chromosome 21 from its name"
    ):
        check.check_variants(settings_of(tmp_path / "c{chrom}"))


def test_a_long_list_is_read_here_and_there(tmp_path, monkeypatch):
    rows = [("21", 20_000_000 + row, f"v{row}") for row in range(9000)] + [("22", 30_000_000, "last")]
    fileset(tmp_path / "a", rows)
    source = sources.source(settings_of(tmp_path / "a"), "all")
    size = (tmp_path / "a.bim").stat().st_size
    read = list(headers.sampled_variants(source, size // 4, block=2000))
    assert 0.2 < len(read) / len(rows) < 0.3
    assert read[-1][2] == "last"
    assert set(read) <= set(rows)
    assert list(headers.sampled_variants(source, size)) == rows
    # a chromosome between two blocks is not taken for missing
    monkeypatch.setattr(check, "READ", 4000)
    fileset(tmp_path / "a", [*rows[:4000], ("22", 30_000_000, "few"), *rows[4000:-1]])
    assert len(check.check_variants(settings_of(tmp_path / "a"))) == 1
    with pytest.raises(StudyError, match="no variants of chromosome 20"):
        check.check_variants(settings_of(tmp_path / "a", chromosomes=[20, 21, 22]))


@pytest.mark.parametrize(("true", "declared"), [("hg19", "hg38"), ("hg38", "hg19")])
def test_variants_of_known_place_show_another_build(tmp_path, true, declared):
    prefix = fileset(tmp_path / "a", [*places(true), ("21", 20_000_000, "unknown")])
    assert check.check_variants(settings_of(prefix, build=true)) == []
    with pytest.raises(
        StudyError, match=rf"50 of 50 variants .* where {true} has them, 0 where {declared} .*rs\d+ at 21"
    ):
        check.check_variants(settings_of(prefix, build=declared))


def test_without_variants_of_known_place_the_build_is_taken_on_trust(tmp_path):
    prefix = fileset(tmp_path / "a", [("21", 20_000_000, "v1"), ("22", 20_000_000, "v2")])
    (note,) = check.check_variants(settings_of(prefix))
    assert "taken on trust" in note


def test_a_position_beyond_the_end_of_its_chromosome_shows_another_build(tmp_path):
    # chromosome 21 has 48,129,895 base pairs in hg19 and 46,709,983 in hg38
    prefix = fileset(tmp_path / "a", [("21", 47_000_000, "v1"), ("22", 20_000_000, "v2")])
    check.check_variants(settings_of(prefix))
    with pytest.raises(
        StudyError, match=r"v1 stands at 21:47000000, beyond the end of chromosome 21 in hg38 \(46709983"
    ):
        check.check_variants(settings_of(prefix, build="hg38"))


def vcf(path, head):
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *IDS]
    rows = [[chrom, "20000000", f"v{chrom}", "A", "C", ".", ".", ".", "GT", *["0/1"] * 60] for chrom in ("21", "22")]
    lines = ["##fileformat=VCFv4.2", head, *("\t".join(row) for row in (columns, *rows))]
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("##contig=<ID=chr21,length=46709983>", "header gives chromosome 21 46709983 base pairs, which is hg38"),
        ("##contig=<ID=21,assembly=GRCh38>", "header says 'GRCh38'"),
        ("##reference=file:///seq/hg38.fa", "header says 'file:///seq/hg38.fa'"),
    ],
)
@pytest.mark.parametrize("kind", ["vcf.gz", "pvar"])
def test_headers_of_another_build_are_refused(tmp_path, head, message, kind):
    path = vcf(tmp_path / "a.vcf.gz", head)
    if kind == "pvar":
        with gzip.open(path, "rt") as stream:
            text = "\n".join(
                line if line.startswith("##") else "\t".join(line.split("\t")[:5])
                for line in stream.read().splitlines()
            )
        (tmp_path / "a.pvar").write_text(text + "\n")
        (tmp_path / "a.pgen").write_bytes(b"")
        path = tmp_path / "a"
    with pytest.raises(StudyError, match=rf"{message}; genetics: build says hg19. Set genetics: build: hg38"):
        check.check_variants(settings_of(path))
    check.check_variants(settings_of(path, build="hg38"))


@pytest.mark.parametrize("kind", ["bed", "vcf"])
def test_sample_ids_that_do_not_match_are_shown_from_both_sides(tmp_path, kind):
    rows = [("21", 1000, "a"), ("22", 1000, "b")]
    path = vcf(tmp_path / "a.vcf.gz", "##x=1") if kind == "vcf" else fileset(tmp_path / "a", rows)
    table = traits(tmp_path / "t.tsv", participant_id=[f"sub-{name}" for name in IDS])
    with pytest.raises(StudyError, match=r"0 of 60 wanted people.*p00, p01, p02.*sub-p00, sub-p01, sub-p02"):
        check.check_genetics(settings_of(path, phenotypes=table), with_programs=False)


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        ({"gap": 3.0}, None, r"column 'gap': found 3 for everybody; a trait without variance"),
        ({"gap": float("nan")}, ["gap"], r"column 'gap': found no value at all"),
        ({"gap": ["x"] + ["1"] * 59}, ["gap"], r"line 2, column 'gap': found 'x', expected a number"),
        ({"gap": [1.0, 2.0] + [float("nan")] * 58}, ["gap"], r"found 2 people with a value, expected at least 50"),
        ({"sex": ["1", "2"] * 30}, None, r"line 2, column 'sex': found 1, 2, expected F or M"),
        ({"sex": ["F", "female"] * 30}, None, r"line 3, column 'sex': found female, expected F or M"),
        ({}, ["volume"], r"no column 'volume'; columns that are neither"),
        ({"participant_id": ["p00", *IDS[:-1]]}, None, r"line 3: participant 'p00' stands there twice"),
    ],
)
def test_tables_of_traits_that_cannot_be_associated_are_refused(tmp_path, columns, named, message):
    with pytest.raises(StudyError, match=message):
        check.check_traits(traits(tmp_path / "t.tsv", **columns), named)


def test_covariates_of_the_table_are_no_traits(tmp_path):
    path = traits(tmp_path / "t.tsv", centre=["a", "b"] * 30, array=1)
    check.check_traits(path, None, ("centre", "array"))
    with pytest.raises(StudyError, match="column 'centre'"):
        check.check_traits(path, None)


@pytest.mark.parametrize(("section", "key"), [("genes", "table"), ("catalogue", "table"), ("peaks", "folder")])
def test_tables_of_another_build_are_refused(tmp_path, section, key):
    (tmp_path / "x").write_text("")
    entry = {key: str(tmp_path / "x"), "build": "hg38"}
    with pytest.raises(StudyError, match=rf"genetics: {section}: '.*x' is of build hg38, .* of hg19"):
        check.check_tables(settings_of("a") | {section: entry}, lambda path: True)
    check.check_tables(settings_of("a", build="hg38") | {section: entry}, lambda path: True)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"exclude": ["gone.txt"]}, "exclude"),
        ({"kinship": "gone.txt"}, "qc: kinship"),
        ({"pcs": {"table": "gone.txt"}}, "pcs: table"),
        ({"ancestry": {"table": "gone.txt", "column": "x", "keep": []}}, "ancestry: table"),
        ({"phenotypes": "gone.txt"}, "phenotypes"),
    ],
)
def test_tables_that_are_not_there_are_named_by_key(changes, key):
    with pytest.raises(StudyError, match=f"genetics: {key}: 'gone.txt' does not exist"):
        check.check_genetics(settings_of("a", **changes), with_programs=False)


def test_what_the_study_makes_itself_need_not_exist():
    settings = settings_of("made/genotypes", phenotypes="made/traits.tsv", genes={"table": "made/genes.tsv"})
    assert check.check_genetics(settings, made=("made/",), with_programs=False) == []


def test_known_variants_lie_on_all_autosomes_within_their_chromosomes():
    table = pd.DataFrame([(key, *row) for key, row in KNOWN.items()], columns=["id", "chrom", "hg19", "hg38"])
    assert table.groupby("chrom").size().to_dict() == dict.fromkeys(sources.AUTOSOMES, 25)
    for name in build.BUILDS:
        assert (table[name] < table["chrom"].map(build.lengths(name))).all()
    assert (table["hg19"] != table["hg38"]).all()
    # rs2986742 and rs722497 of a published panel of ancestry, positions as dbSNP gives them
    assert KNOWN["rs2986742"] == ("1", 6_550_376, 6_490_316)


@pytest.mark.parametrize(
    ("counts", "verdict"), [((5, 0), "hg19"), ((0, 5), "hg38"), ((2, 0), None), ((20, 1), "hg19"), ((5, 5), None)]
)
def test_a_verdict_needs_several_variants_that_agree(counts, verdict):
    rows = [
        (KNOWN[key][0], KNOWN[key][1 + place], key)
        for place in (0, 1)
        for key in list(KNOWN)[place::2][: counts[place]]
    ]
    assert build.judge(rows).build == verdict


def test_a_panel_without_files_of_a_chromosome_is_refused(tmp_path):
    genotypes = fileset(tmp_path / "a", [("21", 1000, "a"), ("22", 1000, "b")])
    (tmp_path / "panel21.bed").touch()
    settings = settings_of(genotypes, reference=f"{tmp_path}/panel{{chrom}}")
    with pytest.raises(StudyError, match=r"genetics: reference: .*no \.bed or \.pgen fileset of chromosome 22"):
        check.check_genetics(settings, with_programs=False)
    with pytest.raises(StudyError, match=r"no \.bed or \.pgen fileset\. Correct the path"):
        check.check_genetics(settings_of(genotypes, reference=f"{tmp_path}/none"), with_programs=False)


def test_every_table_of_several_must_be_there(tmp_path):
    genotypes = fileset(tmp_path / "a", [("21", 1000, "a"), ("22", 1000, "b")])
    settings = settings_of(genotypes, expression={"table": {"LGN": f"{tmp_path}/lgn.tsv"}})
    with pytest.raises(StudyError, match=r"expression: table: '.*lgn\.tsv' does not exist"):
        check.check_genetics(settings, with_programs=False)
