"""REGENIE cannot be had on every machine: a stand-in checks the arguments that it gets and writes files of its form."""

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.genetics.gwas_tables import make_study
from workflow_scripts.lib.genetics import regenie, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

STAND_IN = '''#!{python}
"""Checks arguments and files as REGENIE does, and writes what it writes: numbers are made up, by row."""
import os, sys
if sys.argv[1:] == ["--version"]:
    print("v3.4.1.gz"); sys.exit()
flags, given = {{"--qt", "--lowmem"}}, {{}}
words = iter(sys.argv[1:])
for word in words:
    given[word] = True if word in flags else next(words)
known = {{"--step", "--pgen", "--bed", "--keep", "--phenoFile", "--phenoColList", "--covarFile", "--covarColList",
         "--qt", "--threads", "--bsize", "--lowmem", "--lowmem-prefix", "--pred", "--out"}}
assert set(given) <= known, set(given) - known
assert given["--qt"] is True and given["--threads"] == "1"
prefix = given.get("--pgen") or given["--bed"]
if "--pgen" in given:
    lines = open(prefix + ".psam").read().splitlines()
    assert lines[0].split()[:2] == ["#FID", "IID"] and len(lines[1].split()) >= 3
    people = {{tuple(line.split()[:2]) for line in lines[1:]}}
    with open(prefix + ".pvar") as stream:
        rows = [line.split("\\t")[:5] for line in stream.read().splitlines() if not line.startswith("#")]
    variants = [(c, p, i, ref, alt) for c, p, i, ref, alt in rows]
else:
    people = {{tuple(line.split()[:2]) for line in open(prefix + ".fam")}}
    variants = [(c, p, i, ref, alt) for c, i, _, p, alt, ref in (line.split() for line in open(prefix + ".bim"))]
kept = {{tuple(line.split()) for line in open(given["--keep"])}} & people
def table(name, columns):
    header, *lines = open(name).read().splitlines()
    header = header.split()
    assert header[:2] == ["FID", "IID"]
    missing = [column for column in columns.split(",") if column not in header]
    if missing:
        print("ERROR: column", missing[0], "not found"); sys.exit(1)
    return {{tuple(line.split()[:2]) for line in lines if "NA" not in line.split()}}
traits = given["--phenoColList"].split(",")
table(given["--phenoFile"], given["--phenoColList"])
covered = table(given["--covarFile"], given["--covarColList"]) & kept
n_cov = len(given["--covarColList"].split(",")) - int(os.environ.get("DROP_COVARIATES", 0))
print(f" * covariates              : [{{given['--covarFile']}}] n_cov = {{n_cov}}")
print(f"   -number of individuals with covariate data = {{len(covered)}}")
out = given["--out"]
if given["--step"] == "1":
    assert given["--bsize"] == "1000" and given["--lowmem"] is True and given["--lowmem-prefix"]
    with open(out + "_pred.list", "w") as listed:
        for number, trait in enumerate(traits[int(os.environ.get("SKIP_TRAITS", 0)):], start=1):
            open(f"{{out}}_{{number}}.loco", "w").write("FID_IID " + trait + "\\n")
            listed.write(f"{{trait}} {{os.path.abspath(out)}}_{{number}}.loco\\n")
else:
    assert given["--bsize"] == "400"
    listed = dict(line.split() for line in open(given["--pred"]))
    for number, trait in enumerate(traits):
        assert open(listed[trait]).read() == "FID_IID " + trait + "\\n"  # each trait its own predictions
        with open(f"{{out}}_{{trait}}.regenie", "w") as stream:
            print("CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ INFO N TEST BETA SE CHISQ LOG10P EXTRA", file=stream)
            for row, (c, p, i, ref, alt) in enumerate(variants):
                first, second = (alt, ref) if os.environ.get("SWAP") else (ref, alt)
                beta = -0.5 if os.environ.get("SWAP") else 0.5
                rest = "NA NA NA NA" if row == 2 else f"{{beta}} 0.25 4 {{450.25 if row == 1 else 1.34173}}"
                print(c, p, i, first, second, 0.125, 1, len(covered), "ADD", rest, "NA", file=stream)
'''


@pytest.fixture
def program(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "regenie"
    path.write_text(STAND_IN.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return path


@pytest.fixture(scope="module")
def study(plink, tmp_path_factory):
    """Genotypes as .bed (step 1) and as .pgen without family ids (step 2)."""
    folder = tmp_path_factory.mktemp("genotypes")
    study = make_study(folder / "thin", people=120, variants=4)
    tools.run(tools.find("plink2"), ["--bfile", str(study.prefix), "--make-pgen"], folder / "part", Limits())
    study.part = folder / "part"
    return study


def run(study, folder):
    """Run what rules fit_regenie and gwas run."""
    traits, names = list(study.phenotypes), list(study.covariates)
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
    linked = regenie.write_inputs(study.prefix, study.phenotypes, study.covariates, folder / "one")
    fitted = regenie.fit(linked, traits, names, folder / "one", folder / "predictions", Limits())
    linked = regenie.write_inputs(study.part, study.phenotypes, study.covariates, folder / "two")
    found, entered = regenie.association(linked, traits, names, folder / "predictions", folder / "two", Limits())
    pd.testing.assert_frame_equal(fitted, entered)
    for trait, path in found.items():
        regenie.convert(path, study.part, folder / f"{trait}.tsv.gz")
    return {trait: tables.read_table(folder / f"{trait}.tsv.gz", "gwas") for trait in traits}, entered


def test_both_steps_get_what_regenie_wants_and_its_table_is_read(program, study, tmp_path):
    assert (Path(f"{study.part}.psam").read_text()).startswith("#IID")  # which REGENIE would not read
    found, entered = run(study, tmp_path)
    table = found["word.2"]
    assert len(table) == 12
    assert (table["a1"] == table["alt"]).all()
    assert table["alt"].tolist() == study.genotypes.variants["alt"].tolist()
    assert table["n"].tolist() == [120] * 12
    assert table.loc[0, ["beta", "se", "t", "a1_freq"]].tolist() == [0.5, 0.25, 2, 0.125]
    assert table.loc[0, "p"] == pytest.approx(10**-1.34173, rel=1e-5)
    assert table.loc[0, "neg_log10_p"] == 1.34173
    assert table.loc[1, ["p", "neg_log10_p"]].tolist() == [1e-307, 450.25]  # 10^-450 is no float
    assert table.loc[2, ["beta", "se", "t", "p", "neg_log10_p"]].isna().all()
    tables.check_table(entered, "entered", "entered")
    assert entered["covariate"].tolist() == list(study.covariates) * 3
    assert sorted(path.name for path in (tmp_path / "predictions").iterdir()) == [
        "null.loco", "predictions.list", "strong.loco", "word.2.loco",
    ]  # fmt: skip


def test_the_effect_allele_becomes_alt_where_regenie_counts_the_other(program, study, tmp_path, monkeypatch):
    straight, _ = run(study, tmp_path / "a")
    monkeypatch.setenv("SWAP", "1")
    swapped, _ = run(study, tmp_path / "b")
    assert np.allclose(1 - swapped["null"]["a1_freq"], straight["null"]["a1_freq"])
    columns = ["id", "ref", "alt", "a1", "beta", "p"]
    pd.testing.assert_frame_equal(swapped["null"][columns], straight["null"][columns])


def test_covariates_that_regenie_drops_stop_the_job(program, study, tmp_path, monkeypatch):
    monkeypatch.setenv("DROP_COVARIATES", "1")
    with pytest.raises(StudyError, match="7 covariates entered REGENIE, asked for were 8"):
        run(study, tmp_path)


def test_a_trait_without_predictions_is_named(program, study, tmp_path, monkeypatch):
    monkeypatch.setenv("SKIP_TRAITS", "1")
    with pytest.raises(StudyError, match=r"no predictions for trait 'strong' \(it did for null, word.2\)"):
        run(study, tmp_path)


def test_logs_of_other_versions_and_fewer_people_are_refused():
    with pytest.raises(StudyError, match="does not tell how many covariates"):
        regenie.entered("done", ["a"], ["age"], 10)
    said = " * covariates : [x] n_cov = 1\n -number of individuals with covariate data = 9\n"
    with pytest.raises(StudyError, match="9 people entered the association of trait 'a', asked for were 10"):
        regenie.entered(said, ["a"], ["age"], 10)


def test_other_alleles_than_the_genotypes_are_refused(study, tmp_path):
    rows = "CHROM GENPOS ID ALLELE0 ALLELE1 A1FREQ N TEST BETA SE CHISQ LOG10P EXTRA\n"
    (tmp_path / "x.regenie").write_text(rows + "2 1 rs0 G T 0.1 50 ADD 1 1 1 0.5 NA\n")
    with pytest.raises(StudyError, match="alleles G and T for variant 'rs0'"):
        regenie.convert(tmp_path / "x.regenie", study.part, tmp_path / "x.tsv.gz")


def test_ids_that_repeat_are_refused(study, tmp_path):
    bim = Path(f"{study.prefix}.bim").read_text().replace("rs3\t", "rs1\t")
    (tmp_path / "x.bim").write_text(bim)
    with pytest.raises(StudyError, match="variant id 'rs1' stands there twice"):
        regenie.read_variants(tmp_path / "x")
