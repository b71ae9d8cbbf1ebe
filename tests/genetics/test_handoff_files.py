"""Files for FUMA, LDSC, MAGMA, REGENIE, GCTA and BOLT-LMM, read back by the rules of each format."""

import gzip
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.genetics.handoff_tables import ABOUT, LOCI, make_results
from workflow_scripts.genetics import write_handoffs
from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.handoff import commands, files, fuma, models, readme, write
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

PEOPLE = 80
FUMA_NAMES = ["CHR", "BP", "rsID", "A1", "A2", "P", "BETA", "SE", "N"]


def content(path):
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def lines(path):
    """Read strictly: no carriage return, a line's end at the end, the same number of cells everywhere."""
    raw = content(path)
    assert raw.endswith(b"\n") and b"\r" not in raw and b" " not in raw
    rows = [line.split("\t") for line in raw.decode("ascii").split("\n")[:-1]]
    assert len({len(row) for row in rows}) == 1 and all(cell for row in rows for cell in row)
    return rows


def numbers(cells):
    return [float(cell) for cell in cells]


@pytest.fixture
def tabled():
    """Traits and covariates of people whose ids are digits; one trait has a hole."""
    random = np.random.default_rng(1)
    ids = [f"{index:04d}" for index in range(PEOPLE)]
    traits = pd.DataFrame(random.normal(size=(PEOPLE, 2)), columns=["rnce", "my trait"])
    traits.loc[3, "my trait"], traits.loc[4, "rnce"] = np.nan, -9.0
    covariates = pd.DataFrame(random.normal(size=(PEOPLE, 2)), columns=["age", "PC1"])
    covariates["sex"] = np.where(np.arange(PEOPLE) % 3, 0.7, -1.4)
    covariates["constant"] = 0.0
    samples = pd.DataFrame({"fid": [f"f{name}" for name in ids], "participant_id": ids})
    samples = pd.concat([samples, pd.DataFrame({"fid": ["0"], "participant_id": ["other"]})])
    named = pd.DataFrame({"participant_id": ids})
    order = random.permutation(PEOPLE)
    traits = pd.concat([named, traits], axis=1).iloc[order]
    return traits, pd.concat([named, covariates], axis=1), samples


@pytest.fixture
def people(tabled):
    return models.gather(*tabled, "the genotypes")


def test_people_come_in_the_order_of_the_genotypes(people, tabled):
    assert people.ids["IID"].tolist() == [f"{index:04d}" for index in range(PEOPLE)]
    assert people.ids["FID"].iloc[7] == "f0007"
    by_id = tabled[0].set_index("participant_id")
    assert people.traits["rnce"].iloc[7] == by_id.at["0007", "rnce"] and list(people.traits) == ["rnce", "my_trait"]
    assert list(people.covariates) == ["age", "PC1", "sex"]


@pytest.mark.parametrize(("table", "words"), [(2, "not in the genotypes, e.g. '0005'"), (1, "not in the covariates")])
def test_people_without_genotypes_or_covariates_are_refused(tabled, table, words):
    given = list(tabled)
    given[table] = given[table][given[table]["participant_id"] != "0005"]
    with pytest.raises(StudyError, match=words):
        models.gather(*given, "the genotypes")


def test_regenie_files(people, tmp_path):
    phenotypes, covariates, keep = models.write_regenie(people, tmp_path)
    header, *rows = lines(phenotypes)
    assert header == ["FID", "IID", "rnce", "my_trait"] and rows[3][3] == "NA" and len(rows) == PEOPLE
    assert numbers(row[2] for row in rows) == pytest.approx(people.traits["rnce"].tolist(), rel=1e-9)
    header, *rows = lines(covariates)
    assert header == ["FID", "IID", "age", "PC1", "sex"] and not any("NA" in row for row in rows)
    assert lines(keep) == people.ids.to_numpy().tolist()


def test_plink2_reads_the_regenie_files(people, tmp_path):
    if not shutil.which("plink2"):
        pytest.skip("plink2 is not installed (apt-get install plink2)")
    models.write_regenie(people, tmp_path)
    calls = np.random.default_rng(0).integers(0, 3, (100, PEOPLE), dtype=np.int8)
    prefix = make_bed(tmp_path / "g", people.ids, calls)
    command = ["plink2", "--bfile", str(prefix), "--out", str(tmp_path / "o"), "--threads", "1", "--memory", "700"]
    command += ["--pheno", str(tmp_path / "phenotypes.txt"), "--covar", str(tmp_path / "covariates.txt")]
    command += ["--keep", str(tmp_path / "keep.txt"), "--glm", "hide-covar"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert f"{PEOPLE} samples remaining" in answer.stdout and "3 covariates loaded" in answer.stdout
    found = pd.read_csv(tmp_path / "o.my_trait.glm.linear", sep="\t")
    assert set(found["OBS_CT"]) == {PEOPLE - 1} and found["P"].notna().all()


def make_bed(prefix, ids, calls):
    """Write a small .bed fileset with the given ids."""
    variants = pd.DataFrame({"chrom": "1", "id": [f"rs{index}" for index in range(len(calls))], "cm": 0})
    variants = variants.assign(pos=np.arange(1, len(calls) + 1), a1="A", a2="G")
    codes = np.array([0b00, 0b10, 0b11], np.uint8)[calls]
    groups = codes.reshape(len(calls), -1, 4)
    packed = (groups << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2).astype(np.uint8)
    prefix.with_suffix(".bed").write_bytes(bytes([0x6C, 0x1B, 0x01]) + packed.tobytes())
    variants.to_csv(prefix.with_suffix(".bim"), sep="\t", header=False, index=False)
    fam = ids.assign(father=0, mother=0, sex=1, phenotype=-9)
    fam.to_csv(prefix.with_suffix(".fam"), sep="\t", header=False, index=False)
    return prefix


def test_gcta_files_have_no_header_and_no_number_that_means_missing(people, tmp_path):
    paths = {path.name: lines(path) for path in models.write_gcta(people, tmp_path)}
    assert list(paths) == ["rnce.phen", "my_trait.phen", "covar.txt", "qcovar.txt", "keep.txt"]
    for rows in paths.values():
        assert len(rows) == PEOPLE and rows[0][:2] == ["f0000", "0000"]
    assert paths["my_trait.phen"][3] == ["f0003", "0003", "NA"]
    minus = paths["rnce.phen"][4][2]
    assert float(minus) != -9 and float(minus) == pytest.approx(-9, abs=1e-8)
    assert {row[2] for row in paths["covar.txt"]} == {"0", "1"} and len(paths["covar.txt"][0]) == 3
    sexes = [row[2] == "1" for row in paths["covar.txt"]]
    assert sexes == (people.covariates["sex"] > 0).tolist()
    assert numbers(row[3] for row in paths["qcovar.txt"]) == pytest.approx(people.covariates["PC1"].tolist(), rel=1e-9)


def test_gcta_gets_no_empty_file_of_covariates(people, tmp_path):
    bare = models.People(people.ids, people.traits, people.covariates[["age"]])
    assert {path.name for path in models.write_gcta(bare, tmp_path)} == {
        *("rnce.phen", "my_trait.phen", "qcovar.txt", "keep.txt")
    }


def test_bolt_files(people, tmp_path):
    phenotypes, covariates = models.write_bolt(people, tmp_path)
    header, *rows = lines(phenotypes)
    assert header == ["FID", "IID", "rnce", "my_trait"] and rows[3][3] == "NA" and float(rows[4][2]) != -9
    assert lines(covariates)[0] == ["FID", "IID", "age", "PC1", "sex"]


def test_fuma_file():
    table = make_results()
    table.loc[0, "p"], table.loc[1, "chrom"], table.loc[2, "chrom"] = 0.0, "X", "MT"
    found, dropped = fuma.to_fuma(table)
    assert list(found) == FUMA_NAMES and dropped == {"other chromosomes": 1}
    assert found["CHR"].between(1, 23).all() and found["P"].min() == 1e-300 and found["N"].dtype == int
    by_id = found.set_index("rsID").loc[table["id"].drop(2)]
    assert (
        by_id["A1"].tolist() == table["a1"].drop(2).tolist() and by_id["A2"].tolist() == table["ref"].drop(2).tolist()
    )


def test_fuma_gets_no_column_of_ids_with_names_that_are_none():
    table = make_results()
    table.loc[5, "id"] = "17:100:A:C"
    found, _ = fuma.to_fuma(table)
    assert list(found) == [name for name in FUMA_NAMES if name != "rsID"] and len(found) == len(table)


def test_fuma_parameters_are_those_of_the_study():
    found = fuma.parameters(LOCI | {"merge_kb": 500}, "hg38", "EAS", 80).set_index("parameter")["value"]
    assert found[["leadP", "gwasP", "r2", "r2_2", "mergeDist", "posMapWindowSize", "pop", "GRCh38"]].tolist() == [
        *("5e-08", "0.05", "0.6", "0.1", "500", "10", "EAS", 1)
    ]


def test_magma_files_agree_and_name_each_variant_once():
    table = make_results()
    table.loc[1, "id"] = table.loc[0, "id"]
    places, values, dropped = fuma.to_magma(table)
    assert dropped == {"id repeated": 2} and list(values) == ["SNP", "P", "N"]
    assert places["SNP"].tolist() == values["SNP"].tolist() and places["SNP"].is_unique and len(places) == 218


@pytest.fixture
def study(tabled, tmp_path):
    """The inputs of the rule on a disk, and its object."""
    traits, covariates, samples = tabled
    traits = traits.rename(columns={"my trait": "simclr"}).fillna(0.5)
    given = tmp_path / "given"
    given.mkdir()
    tables.write_table(traits, given / "phenotypes.tsv")
    tables.write_table(covariates, given / "covariates.tsv")
    tools.write_ids(samples, given / "people.txt")
    for seed, trait in enumerate(("rnce", "simclr")):
        files.write_columns(make_results(seed=seed), given / f"{trait}.tsv.gz", "n/a")
        munged = pd.DataFrame({"SNP": ["rs1", "rs2"], "A1": "A", "A2": "G", "Z": [1.0, -float(seed)], "N": 300})
        files.write_columns(munged, given / f"{trait}.sumstats.gz")
    out = tmp_path / "write_handoffs"
    handoff = {key: ABOUT[key] for key in ABOUT if key not in ("build", "software", "covariates", "min_maf")}
    return SimpleNamespace(
        input=SimpleNamespace(
            results=[given / "rnce.tsv.gz", given / "simclr.tsv.gz"],
            munged=[given / "rnce.sumstats.gz", given / "simclr.sumstats.gz"],
            phenotypes=given / "phenotypes.tsv",
            covariates=given / "covariates.tsv",
            people=given / "people.txt",
        ),
        output=SimpleNamespace(
            readme=out / "README.txt", files=out / "files.tsv", validation=out / "validation.tsv", folders=[]
        ),
        params=SimpleNamespace(
            traits=["rnce", "simclr"], build="hg19", tool="plink2", min_maf=0.01, loci=LOCI, handoff=handoff
        ),
    )


def test_the_script_writes_a_folder_a_program(study, monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])  # the validator has its own tests
    write_handoffs.main(study)
    out = study.output.readme.parent
    listed = tables.read_table(study.output.files, "handoff_files")
    on_disk = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    texts = {f"{target}/README.txt" for target in readme.TEXTS} | {"README.txt", "files.tsv", "validation.tsv"}
    assert set(listed["file"]) | texts == on_disk
    assert (out / "ldsc" / "rnce.sumstats.gz").read_bytes() == study.input.munged[0].read_bytes()
    assert tables.read_table(study.output.validation, "handoff_validation")["valid"].tolist() == ["not checked"] * 2
    assert listed.set_index("file").at["fuma/rnce.txt.gz", "rows"] == len(lines(out / "fuma/rnce.txt.gz")) - 1 == 220


def test_files_of_individuals_are_named_as_such_and_no_other_has_an_id(study, monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])
    write_handoffs.main(study)
    out = study.output.readme.parent
    listed = tables.read_table(study.output.files, "handoff_files").set_index("file")["individuals"]
    ids = [f"f{index:04d}" for index in range(PEOPLE)]
    for name, private in listed.items():
        path = out / name
        text = content(path).decode()
        assert any(person in text for person in ids) == private, name
    for target in readme.TEXTS:
        private = "DATA OF INDIVIDUALS" in (out / target / "README.txt").read_text()
        assert private == (target in ("regenie", "gcta", "bolt"))


def test_readmes_say_where_to_and_what_to_choose(study, monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])
    write_handoffs.main(study)
    text = {target: (study.output.readme.parent / target / "README.txt").read_text() for target in readme.TEXTS}
    assert all("Where to:" in words and "{" not in words for words in text.values())
    assert (
        "lead P\n5e-08" in text["fuma"]
        and "600 MB" in text["fuma"]
        and "reference panel 1000G Phase3 EUR" in text["fuma"]
    )
    assert "covar.txt: sex" in text["gcta"] and "qcovar.txt: age, PC1" in text["gcta"]
    assert max(len(line) for words in text.values() for line in words.splitlines()) < 150


def test_targets_can_be_left_out(study, monkeypatch):
    monkeypatch.setattr(tools, "_candidates", lambda name: [])
    study.params.handoff["targets"] = ["fuma"]
    write_handoffs.main(study)
    out = study.output.readme.parent
    assert {path.name for path in out.iterdir()} == {"fuma", "README.txt", "files.tsv", "validation.tsv"}
    assert len(tables.read_table(study.output.validation, "handoff_validation")) == 0


def test_a_file_beyond_fumas_limit_is_named(people, monkeypatch):
    listed = pd.DataFrame([("fuma", "rnce", "fuma/rnce.txt.gz", 1, 700_000_000, False, "")], columns=write.COLUMNS)
    assert "LARGER" in write._words(people, listed, LOCI, ABOUT)["size_line"]
    assert "LARGER" not in write._words(people, listed.assign(bytes=5), LOCI, ABOUT)["size_line"]


def test_commands_are_read_from_logs(tmp_path):
    (tmp_path / "gwas").mkdir()
    (tmp_path / "gwas" / "17.log").write_text(
        "2024-01-01 10:00:00,123 INFO workflow_scripts.lib.genetics.tools: PLINK v2.00a3.5: /usr/bin/plink2 --pfile "
        "results/x --keep /tmp/tmpab12/keep.txt --glm omit-ref --out /tmp/tmpab12/gwas\n"
        "2024-01-01 10:00:09,123 INFO workflow_scripts.lib.genetics.tools: PLINK v2.00a3.5 64-bit (9 Aug 2022)\n"
        "2024-01-01 10:00:09,123 INFO gwas: done\n"
    )
    found = commands.read_commands(tmp_path, ["gwas", "never_ran"])
    assert found.to_numpy().tolist() == [
        ["gwas", "17", "PLINK v2.00a3.5", "plink2 --pfile results/x --keep keep.txt --glm omit-ref --out gwas"]
    ]
