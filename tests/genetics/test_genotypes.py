import gzip
import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.genetics.conftest import PCS, QC, control, genetics
from workflow_scripts.lib.genetics import bed, genotypes, headers, pcs, qc_people, sources
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

PEOPLE = 60
QUALITY = [0.5 + row * 7 % 40 / 80 for row in range(40)]
IDS = [f"p{row:02d}" for row in range(PEOPLE)]


def vcf(path, rows, head=()):
    """Write a .vcf.gz file of 60 people: rows of chromosome, position, id, INFO and dosages."""
    lines = ["##fileformat=VCFv4.2", *head, '##INFO=<ID=R2,Number=1,Type=Float,Description="r2">']
    lines += [f'##FORMAT=<ID={key},Number=1,Type=String,Description="x">' for key in ("GT", "DS")]
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *IDS]))
    for chrom, position, name, info, dosages in rows:
        cells = [f"{'0/0' if d < 0.5 else '0/1' if d < 1.5 else '1/1'}:{d:.3f}" for d in dosages]
        lines.append("\t".join([str(chrom), str(position), name, "A", "C", ".", ".", info, "GT:DS", *cells]))
    with gzip.open(path, "wt") as stream:
        stream.write("\n".join(lines) + "\n")


@pytest.fixture
def dosages():
    return np.random.default_rng(0).uniform(0, 2, (40, PEOPLE)).round(3)


@pytest.fixture
def imputed(plink, tmp_path, dosages):
    """Dosages of 40 variants on chromosomes 21 and 22, imputation quality 0.5 to 1."""
    rows = [(21 + (row > 19), 1000 + row, f"v{row}", f"R2={QUALITY[row]:.4f}", dosages[row]) for row in range(40)]
    vcf(tmp_path / "a.vcf.gz", rows)
    return tmp_path / "a.vcf.gz"


def convert(path, kind):
    """Write what is in a .vcf.gz file in another format with plink2, and name it as the config would."""
    prefix = str(path).removesuffix(".vcf.gz")
    given = ["plink2", "--vcf", str(path), "dosage=DS", "--out", prefix, "--allow-extra-chr"]
    flags = {
        "vcf": [],
        "pgen": ["--make-pgen"],
        "pgen.zst": ["--make-pgen", "vzs"],
        "bed": ["--make-bed"],
        "bgen": ["--export", "bgen-1.2", "ref-first", "bits=16"],
        "bcf": ["--export", "bcf", "vcf-dosage=DS"],
    }[kind]
    if flags:
        subprocess.run([*given, *flags], check=True, capture_output=True)
    return {"vcf": str(path), "bgen": f"{prefix}.bgen", "bcf": f"{prefix}.bcf"}.get(kind, prefix)


def settings_of(path, **changes):
    return genetics(path, **({"chromosomes": [21, 22], "check_sex": False} | changes))


def read(tmp_path, settings, people, part="all", table=None):
    work = tmp_path / f"work_{part}"
    work.mkdir()
    given = (sources.source(settings, part), people, sources.read_chromosomes(settings, part), settings["qc"])
    return genotypes.import_part(*given, tmp_path / f"out_{part}", work, Limits(), table=table)


def people(ids=IDS):
    return pd.DataFrame({"participant_id": ids, "sex": ["F", "M"] * (len(ids) // 2)})


def exported(prefix):
    subprocess.run(
        ["plink2", "--pfile", str(prefix), "--export", "A", "--out", str(prefix)], check=True, capture_output=True
    )
    table = pd.read_csv(f"{prefix}.raw", sep="\t", dtype={"IID": str})
    # counted is the alternative allele or the other one, which the name of the column says
    calls = table.iloc[:, 6:]
    flipped = np.array([name.endswith("_A") for name in calls.columns])
    return table["IID"].tolist(), np.where(flipped, 2 - calls.to_numpy(), calls.to_numpy()).T


@pytest.mark.parametrize("kind", ["vcf", "bcf", "bgen", "pgen", "pgen.zst", "bed"])
def test_every_format_gives_the_same_genotypes(imputed, dosages, tmp_path, kind):
    settings = settings_of(convert(imputed, kind), sample=str(tmp_path / "a.sample") if kind == "bgen" else None)
    wanted = people([*reversed(IDS[:56]), "nobody", "noone"])
    steps = read(tmp_path, settings, wanted)
    ids, calls = exported(tmp_path / "out_all")
    assert ids == IDS[55::-1]  # in the order of the study, whatever that of the files
    assert steps.set_index("step")["variants"].to_dict() == {"start": 40, "alleles": 40, "autosomes": 40}
    assert steps["people"].unique() == [56]
    expected = dosages[:, 55::-1]
    if kind == "bed":  # hard calls where a dosage is within 0.1 of one
        far = np.abs(expected - expected.round())
        assert not np.isnan(calls[far < 0.099]).any()
        assert np.isnan(calls[far > 0.101]).all()
        assert np.array_equal(calls[far < 0.099], expected.round()[far < 0.099])
    else:
        assert np.abs(calls - expected).max() < 2e-3
    assert (tmp_path / "out_all.psam").read_text().splitlines()[0] == "#IID\tSEX"


def test_recorded_sex_replaces_that_of_the_files(imputed, tmp_path):
    read(tmp_path, settings_of(convert(imputed, "pgen")), people())
    table = pd.read_csv(tmp_path / "out_all.psam", sep="\t")
    assert table["SEX"].tolist() == [2, 1] * 30


@pytest.mark.parametrize("kind", ["vcf", "pgen", "bcf"])
def test_imputation_quality_of_the_file_is_a_filter(imputed, tmp_path, kind):
    steps = read(tmp_path, settings_of(convert(imputed, kind), min_info=0.8), people())
    assert steps.set_index("step").loc["info", ["variants", "variants_removed"]].tolist() == [16, 24]
    assert genotypes.read_variants(tmp_path / "out_all")["id"].tolist() == [
        f"v{row}" for row in range(40) if QUALITY[row] >= 0.8
    ]


def test_imputation_quality_of_a_table_is_a_filter(imputed, tmp_path):
    table = tmp_path / "info.txt"
    rows = [f"v{row} {0.9 if row % 2 else 0.1}" for row in range(40) if row != 5] + ["v7 0.2"]
    table.write_text("\n".join(["id info", *rows]) + "\n")
    read(tmp_path, settings_of(convert(imputed, "bed"), min_info=0.8), people(), table=str(table))
    # v5 is not in the table, v7 stands there twice
    expected = {f"v{row}" for row in range(1, 40, 2)} - {"v5", "v7"}
    assert set(genotypes.read_variants(tmp_path / "out_all")["id"]) == expected


def test_dosages_without_quality_are_judged_by_their_variance(plink, tmp_path):
    random = np.random.default_rng(1)
    good, bad = random.binomial(2, 0.5, (10, PEOPLE)), 1 + random.normal(0, 0.1, (10, PEOPLE))
    values = np.concatenate([good, bad]).clip(0, 2)
    vcf(tmp_path / "a.vcf.gz", [(21, 1000 + row, f"v{row}", ".", values[row]) for row in range(20)])
    settings = settings_of(convert(tmp_path / "a.vcf.gz", "bgen"), chromosomes=[21], min_info=0.5)
    read(tmp_path, settings | {"sample": str(tmp_path / "a.sample")}, people())
    assert genotypes.read_variants(tmp_path / "out_all")["id"].tolist() == [f"v{row}" for row in range(10)]


def test_hard_calls_without_quality_are_refused(imputed, tmp_path):
    with pytest.raises(StudyError, match=r"min_info is 0.8, but .*a.bim says nothing.*qc: info"):
        read(tmp_path, settings_of(convert(imputed, "bed"), min_info=0.8), people())


def test_one_file_a_chromosome(imputed, tmp_path, dosages):
    for chrom in (21, 22):
        vcf(
            tmp_path / f"c{chrom}.vcf.gz",
            [(chrom, 100 + row, f"v{chrom}_{row}", ".", dosages[row]) for row in range(9)],
        )
    settings = settings_of(tmp_path / "c{chrom}.vcf.gz")
    assert sources.parts(settings) == ["21", "22"]
    for part in sources.parts(settings):
        assert read(tmp_path, settings, people(), part)["variants"].tolist() == [9, 9, 9]
        assert set(genotypes.read_variants(tmp_path / f"out_{part}")["chrom"]) == {part}


def test_a_chromosome_that_the_file_lacks_is_refused(imputed, tmp_path):
    with pytest.raises(StudyError, match=r"no variants of chromosome 20 .*genetics: chromosomes"):
        read(tmp_path, settings_of(imputed, chromosomes=[20, 21, 22]), people())


@pytest.mark.parametrize("chroms", [["21"] * 40, ["21", "22"] * 20])
def test_variants_out_of_order_are_sorted(plink, tmp_path, chroms):
    calls = np.random.default_rng(0).binomial(2, 0.4, (40, PEOPLE)).astype(np.int8)
    positions = np.random.default_rng(1).permutation(40) + 1000
    table = pd.DataFrame({"chrom": chroms, "id": [f"v{row}" for row in range(40)], "cm": 0.0, "pos": positions})
    samples = pd.DataFrame({"participant_id": IDS, "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, table.assign(alt="C", ref="A"), calls), tmp_path / "a")
    steps = read(tmp_path, settings_of(tmp_path / "a", chromosomes=sorted({int(chrom) for chrom in chroms})), people())
    assert steps["variants"].tolist() == [40, 40, 40]
    order = table.sort_values(["chrom", "pos"]).index
    assert genotypes.read_variants(tmp_path / "out_all")["id"].tolist() == table["id"][order].tolist()
    assert np.array_equal(exported(tmp_path / "out_all")[1], calls[order])


def test_a_whole_file_is_converted_once_before_it_is_split(imputed, tmp_path, dosages):
    settings = settings_of(imputed, split=True, min_info=0.8)
    assert sources.is_converted(settings)
    assert not sources.is_converted(settings | {"split": False})
    assert not sources.is_converted(settings_of(tmp_path / "c{chrom}.bgen"))
    made = genotypes.convert(sources.source(settings, "all"), ["21", "22"], tmp_path / "whole", Limits())
    settings["genotypes"] = made.genotypes
    assert sources.source(settings, "22") == made
    for part, rows in (("21", range(20)), ("22", range(20, 40))):
        read(tmp_path, settings, people(), part)
        chosen = [row for row in rows if QUALITY[row] >= 0.8]
        assert genotypes.read_variants(tmp_path / f"out_{part}")["id"].tolist() == [f"v{row}" for row in chosen]
        assert np.abs(exported(tmp_path / f"out_{part}")[1] - dosages[chosen]).max() < 2e-3


def test_variants_with_several_alternative_alleles_are_counted_and_left_out(plink, tmp_path, dosages):
    rows = [(21, 100 + row, f"v{row}", ".", dosages[row].round()) for row in range(5)]
    vcf(tmp_path / "a.vcf.gz", rows)
    with gzip.open(tmp_path / "a.vcf.gz", "rt") as stream:
        text = stream.read().replace("v3\tA\tC", "v3\tA\tC,G")
    text = "\n".join(line if line.startswith("##") else line.replace(":DS", "") for line in text.splitlines())
    with gzip.open(tmp_path / "a.vcf.gz", "wt") as stream:
        stream.write(text.replace("##FORMAT=<ID=DS", "##FORMAT=<ID=XX") + "\n")
    steps = read(tmp_path, settings_of(tmp_path / "a.vcf.gz", chromosomes=[21]), people())
    assert steps.set_index("step")["variants"].to_dict() == {"start": 5, "alleles": 4, "autosomes": 4}


def test_dosages_of_several_alternative_alleles_are_refused_with_the_remedy(plink, tmp_path, dosages):
    vcf(tmp_path / "a.vcf.gz", [(21, 100 + row, f"v{row}", ".", dosages[row]) for row in range(5)])
    with gzip.open(tmp_path / "a.vcf.gz", "rt") as stream:
        text = stream.read().replace("v3\tA\tC", "v3\tA\tC,G")
    with gzip.open(tmp_path / "a.vcf.gz", "wt") as stream:
        stream.write(text)
    with pytest.raises(StudyError, match="bcftools norm"):
        read(tmp_path, settings_of(tmp_path / "a.vcf.gz", chromosomes=[21]), people())


@pytest.mark.parametrize("kind", ["vcf", "bcf", "bgen", "pgen", "bed"])
def test_samples_are_read_without_calls(imputed, tmp_path, kind):
    path = convert(imputed, kind)
    assert headers.read_sample_ids(sources.source(settings_of(path), "all")) == IDS
    if kind == "bgen":
        named = sources.source(settings_of(path, sample=str(tmp_path / "a.sample")), "all")
        assert headers.read_sample_ids(named) == IDS


@pytest.mark.parametrize("kind", ["vcf", "bgen", "pgen", "pgen.zst", "bed"])
def test_variants_are_counted_without_calls(imputed, kind):
    with gzip.open(imputed, "rt") as stream:
        there = sum(not line.startswith("#") for line in stream)
    found = headers.count_variants(sources.source(settings_of(convert(imputed, kind)), "all"))
    assert found == (None if kind == "vcf" else there)


def test_the_first_variant_of_a_bgen_file_is_read(imputed):
    source = sources.source(settings_of(convert(imputed, "bgen")), "all")
    assert headers.first_variants(source, 5) == [("21", 1000, "v0")]


@pytest.mark.parametrize(("given", "plain"), [("chr01", "1"), ("X", "X"), ("23", "X"), ("chrM", "MT"), ("PAR1", "X")])
def test_names_of_chromosomes(given, plain):
    assert headers.plain_name(given) == plain


def test_parts_follow_the_config():
    whole, by_file = genetics("a", check_sex=True), genetics("c{chrom}", check_sex=True)
    assert sources.imported_parts(whole) == ["all"]
    assert sources.read_chromosomes(whole, "all") == [*sources.AUTOSOMES, "X"]
    assert sources.imported_parts(by_file) == [*sources.AUTOSOMES, "X"]
    assert sources.parts(genetics("a", split=True, chromosomes=[3, 1])) == ["1", "3"]
    assert sources.imported_parts(genetics("a", split=True, chromosomes=[3], check_sex=False)) == ["3"]


def test_variants_are_thinned_by_the_length_of_their_chromosome():
    table = pd.DataFrame({"chrom": ["1"] * 500 + ["21"] * 500, "id": [str(row) for row in range(1000)]})
    picked = genotypes.thin(table, 1000, "hg19")
    assert picked.groupby("chrom").size().to_dict() == {"1": 87, "21": 17}
    alone = genotypes.thin(table[table["chrom"] == "21"], 1000, "hg19")
    assert picked.loc[picked["chrom"] == "21", "id"].tolist() == alone["id"].tolist()
    assert len(genotypes.thin(table, 100_000, "hg19")) == 1000


def test_no_number_depends_on_the_split(plink, study, tmp_path):
    """One fileset, or parts of it: same counts, same people, same variants, same reasons, same thinned genotypes."""
    done = {}
    for split in (False, True):
        folder = tmp_path / str(split)
        (folder / "thin").mkdir(parents=True)
        # relatives of first degree alone: three short chromosomes show no others
        settings = genetics(study.prefix, split=split, chromosomes=[1, 2, 3], max_kinship=0.35)
        done[split] = control(settings, study.people, folder)
        given = (done[split].parts, done[split].people, PCS, "hg19", folder / "thinned", folder / "thin", Limits())
        pcs.thin_genotypes(*given)
    whole, split = done[False], done[True]
    assert list(split.parts) == ["1", "2", "3"]
    assert (whole.steps["people_removed"] > 0).sum() >= 3
    pd.testing.assert_frame_equal(split.steps, whole.steps)
    assert split.people.read_text() == whole.people.read_text()
    order = ["kind", "step", "id", "reason"]
    one, other = (table.removed[order].sort_values(order, ignore_index=True) for table in (split, whole))
    pd.testing.assert_frame_equal(one, other)
    variants = [genotypes.read_variants(prefix) for prefix in split.parts.values()]
    pd.testing.assert_frame_equal(pd.concat(variants, ignore_index=True), genotypes.read_variants(whole.parts["all"]))
    for ending in (".bed", ".bim", ".fam"):
        files = [tmp_path / str(name) / f"thinned{ending}" for name in done]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_ids_on_several_chromosomes_are_found_whole_and_split(plink, tmp_path):
    calls = np.random.default_rng(0).binomial(2, 0.4, (200, 60)).astype(np.int8)
    ids = [f"v{row}" for row in range(200)]
    ids[150] = ids[20]
    variants = pd.DataFrame(
        {"chrom": ["1"] * 100 + ["2"] * 100, "id": ids, "cm": 0.0, "pos": np.arange(200) + 70_000_000}
    )
    samples = pd.DataFrame({"participant_id": IDS, "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, variants.assign(alt="T", ref="G"), calls), tmp_path / "a")
    found = {}
    for split in (False, True):
        (tmp_path / str(split)).mkdir()
        settings = genetics(tmp_path / "a", split=split, chromosomes=[1, 2], check_sex=False)
        found[split] = control(settings, people(), tmp_path / str(split))
    pd.testing.assert_frame_equal(found[False].steps, found[True].steps)
    for done in found.values():
        reasons = done.removed[done.removed["step"] == "duplicates"]
        assert set(reasons["id"]) == {"v20"}
        assert set(reasons["reason"]) == {"id stands on several chromosomes"}


def test_people_of_the_users_lists_and_ancestries_leave(plink, tmp_path):
    calls = np.random.default_rng(0).binomial(2, 0.4, (300, 60)).astype(np.int8)
    variants = pd.DataFrame(
        {"chrom": "1", "id": [f"v{row}" for row in range(300)], "cm": 0.0, "pos": np.arange(300) + 1}
    )
    samples = pd.DataFrame({"participant_id": IDS, "sex": "F"})
    bed.write_bed(bed.Genotypes(samples, variants.assign(alt="T", ref="G"), calls), tmp_path / "a")
    (tmp_path / "withdrawn.csv").write_text("p00\np01\nsomebody\n")
    rows = [f"{name},{1 if row != 2 else 2}" for row, name in enumerate(IDS) if row != 3]
    (tmp_path / "ancestry.csv").write_text("\n".join(["eid,group", *rows]) + "\n")
    (tmp_path / "kinship.dat").write_text(
        "ID1 ID2 HetHet IBS0 Kinship\np10 p11 0 0 0.25\np11 p12 0 0 0.1\np13 p14 0 0 0.08\n"
    )
    settings = genetics(
        tmp_path / "a",
        chromosomes=[1],
        check_sex=False,
        kinship=str(tmp_path / "kinship.dat"),
        exclude=[str(tmp_path / "withdrawn.csv")],
        ancestry={"table": str(tmp_path / "ancestry.csv"), "column": "group", "keep": [1]},
    )
    done = control(settings, people(), tmp_path)
    removed = done.removed[done.removed["kind"] == "person"].set_index("id")
    assert removed["step"].to_dict() == {
        "p00": "exclude_withdrawn.csv",
        "p01": "exclude_withdrawn.csv",
        "p02": "ancestry",
        "p03": "ancestry",
        "p11": "relatives",
    }
    assert removed.loc["p02", "reason"] == "ancestry 2"
    assert removed.loc["p03", "reason"] == "ancestry unknown"
    assert removed.loc["p11", "reason"] == "kinship 0.250 with p10; kinship 0.100 with p12"
    steps = done.steps
    assert steps["step"].tolist()[:6] == [
        "start",
        "alleles",
        "exclude_withdrawn.csv",
        "ancestry",
        "autosomes",
        "relatives",
    ]
    assert (steps["people"].diff().iloc[1:] == -steps["people_removed"].iloc[1:]).all()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("7\n007\n", ["7", "007"]),
        ("0 p1\n0 p2\n", ["p1", "p2"]),
        ("#FID IID\n0 p1\n", ["p1"]),
        ("eid,reason\np1,x\n", ["p1"]),
        ("", []),
    ],
)
def test_lists_of_exclusions(tmp_path, text, ids):
    (tmp_path / "a.txt").write_text(text)
    assert qc_people.read_exclusions(tmp_path / "a.txt") == ids


def test_greedy_removal_leaves_nobody_related_and_takes_few():
    """On random graphs: no related pair stays, and nobody left out could have stayed."""
    random = np.random.default_rng(0)
    for _ in range(30):
        order = [str(row) for row in range(12)]
        pairs = pd.DataFrame(random.integers(0, 12, (15, 2)).astype(str), columns=["ID1", "ID2"])
        pairs["Kinship"] = random.uniform(0, 0.3, 15)
        gone = qc_people.greedy_unrelated(pairs, order, 0.0884)
        close = pairs[(pairs["Kinship"] > 0.0884) & (pairs["ID1"] != pairs["ID2"])]
        kept = set(order) - set(gone)
        assert not [row for row in close.itertuples() if {row.ID1, row.ID2} <= kept]
        for person in gone:
            relatives = {row.ID1 if person == row.ID2 else row.ID2 for row in close.itertuples() if person in row[1:3]}
            assert relatives


def test_a_wrong_table_of_kinship_is_refused(tmp_path):
    (tmp_path / "k.txt").write_text("a b\n1 2\n")
    with pytest.raises(StudyError, match=r"column ID1 is missing; found a, b"):
        qc_people.read_kinship(tmp_path / "k.txt")


def test_nobody_of_the_wanted_ancestry_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("eid,group\np00,2\n")
    settings = {"table": str(tmp_path / "a.csv"), "column": "group", "keep": [1]}
    with pytest.raises(StudyError, match=r"nobody has one of the values to keep \(1\); found 2"):
        qc_people.other_ancestry(IDS, settings)


def test_default_filters_are_the_published_ones():
    assert QC["max_kinship"] == 0.0884
    assert (QC["max_variant_missing"], QC["max_person_missing"], QC["min_hwe_p"]) == (0.03, 0.03, 1e-10)
