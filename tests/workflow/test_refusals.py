"""Faults in config and tables are refused before any job, in one message that says what to change."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.genetics.bed import Genotypes, write_bed

pytestmark = pytest.mark.workflow

ROWS = pd.DataFrame(
    {
        "participant_id": ["p1", "p1", "p2"],
        "session_id": ["1", "2", "1"],
        "cohort": ["a", "a", "b"],
        "site": "s",
        "age": [70.0, 72.0, 65.0],
        "t1w": ["p1.nii.gz", "p1b.nii.gz", "p2.nii.gz"],
    }
)
ROLES = "{pretrain: [a], evaluate: [b], normative: [], gwas: []}"


def start(run_snakemake, folder, rows=ROWS, roles=ROLES, more=""):
    """Dry-run a study of a table; return what Snakemake said."""
    for name in ROWS["t1w"]:
        (folder / name).touch()
    rows.to_csv(folder / "participants.tsv", sep="\t", index=False, na_rep="n/a")
    inputs = "[{name: mine, kind: participants, path: participants.tsv}]"
    config = f"stages: [cohort]\ncohort:\n  inputs: {inputs}\n  roles: {roles}\n{more}"
    (folder / "study.yaml").write_text(config)
    done = run_snakemake(folder, "-n", "--configfile", folder / "study.yaml", check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_sound_table_is_accepted(run_snakemake, tmp_path):
    code, said = start(run_snakemake, tmp_path)
    assert code == 0, said


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda rows: rows.assign(age=[430, 72, 65]), ["line 2", "'age'", "430", "at most 120"]),
        (lambda rows: rows.assign(session_id="1"), ["p1 1", "lines 2, 3", "must name one row"]),
        (lambda rows: rows.assign(split=["train", "test", "test"]), ["split train", "split test", "p1"]),
        (lambda rows: rows.assign(participant_id=["p1", "p2", "p2"]), ["pretraining", "evaluation", "p2"]),
        (lambda rows: rows.rename(columns={"age": "agee"}), ["unknown column 'agee'", "age"]),
        (lambda rows: rows.assign(t1w="gone.nii.gz"), ["mine: 3 of 3 scans", "gone.nii.gz", "does not exist"]),
    ],
)
def test_a_fault_in_the_table_is_refused(run_snakemake, tmp_path, change, expected):
    code, said = start(run_snakemake, tmp_path, change(ROWS))
    assert code != 0
    assert all(words in said for words in expected), said


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        # what the schema refuses comes in one message, a line a fault
        (
            "sed: 3\ngrid: {spacing: 2, spacing_mm: 3}\nseed: many\n",
            [
                r"unknown key 'sed'.*Did you mean 'seed'",
                r"grid: unknown key 'spacing'.*Did you mean 'spacing_mm'",
                r"grid\.spacing_mm.*found 3.*one of 1, 2, 4, 8",
                r"seed.*'many'.*integer",
            ],
        ),
        ("representations: {mine: nowhere.tsv}\n", [r"representations\.mine.*nowhere\.tsv.*does not exist"]),
    ],
)
def test_faults_in_the_config_are_refused(run_snakemake, tmp_path, more, expected):
    code, said = start(run_snakemake, tmp_path, more=more)
    assert code != 0
    assert all(re.search(line, said) for line in expected), said


def jobs_of(said):
    """Read the batches of the jobs of rule preprocess_scans from a dry run."""
    return sorted(re.findall(r"rule preprocess_scans:.*?batch=(\d+)", said, re.S))


def test_a_folder_of_any_kind_makes_jobs_and_new_scans_make_new_ones(run_snakemake, tmp_path):
    subjects = tmp_path / "subjects"
    for name in ("A", "B", "C", "fsaverage"):
        (subjects / name / "stats").mkdir(parents=True)
    config = {
        "stages": ["preprocess"],
        "cohort": {
            "inputs": [{"name": "years", "kind": "freesurfer", "path": "subjects"}],
            "scans_per_job": 2,
            "roles": {"pretrain": ["years"], "normative": [], "evaluate": [], "gwas": []},
        },
    }
    (tmp_path / "study.yaml").write_text(json.dumps(config))
    look = ("-n", "--configfile", tmp_path / "study.yaml")
    assert jobs_of(run_snakemake(tmp_path, *look).stdout) == ["000", "001"]
    index = pd.read_csv(tmp_path / "results/cohort/inputs.tsv", sep="\t")
    assert index[["scan_id", "subject"]].values.tolist() == [[f"{n}_1", f"subjects/{n}"] for n in "ABC"]
    assert pd.read_csv(tmp_path / "results/cohort/ignored.tsv", sep="\t")["path"].tolist() == ["subjects/fsaverage"]
    written = (tmp_path / "results/cohort/inputs.tsv").stat().st_mtime_ns
    assert jobs_of(run_snakemake(tmp_path, *look).stdout) == ["000", "001"]
    assert (tmp_path / "results/cohort/inputs.tsv").stat().st_mtime_ns == written
    (subjects / "AA/stats").mkdir(parents=True)
    # what a job parses finds nothing by itself
    run_snakemake(tmp_path, "--mode", "subprocess", "--list-rules", *look[1:])
    assert (tmp_path / "results/cohort/inputs.tsv").stat().st_mtime_ns == written
    assert jobs_of(run_snakemake(tmp_path, *look).stdout) == ["000", "001", "002"]


def test_a_scan_that_cannot_be_read_is_announced_once_and_set_aside(run_snakemake, tmp_path):
    code, said = start(run_snakemake, tmp_path, ROWS.assign(t1w=["p1.nii.gz", "gone.nii.gz", "p2.nii.gz"]))
    assert code == 0
    assert said.count("mine: 1 of 3 scans cannot be read and will be set aside") == 1
    assert "INFO:" not in said and "WARNING:root" not in said  # Snakemake's own messages stay as they were
    index = pd.read_csv(tmp_path / "results/cohort/inputs.tsv", sep="\t")
    assert index["found"].tolist() == [True, False, True]


def test_the_embedded_study_takes_further_inputs(run_snakemake, tmp_path, small):
    (tmp_path / "subjects/X/stats").mkdir(parents=True)
    inputs = [
        {"name": "phantom", "kind": "participants", "path": "results/phantom/participants.tsv"},
        {"name": "years", "kind": "freesurfer", "path": "subjects"},
    ]
    (tmp_path / "more.json").write_text(json.dumps({"stages": ["preprocess"], "cohort": {"inputs": inputs}}))
    run_snakemake(tmp_path, "--configfile", small, tmp_path / "more.json", "--", "results/cohort/scans.tsv")
    scans = pd.read_csv(tmp_path / "results/cohort/scans.tsv", sep="\t", dtype=str).set_index("scan_id")
    made = pd.read_csv(tmp_path / "results/phantom/truth/scans.tsv", sep="\t", dtype=str).set_index("scan_id")
    assert (scans.loc[made.index, "batch"] == made["batch"]).all()
    assert int(scans.loc["X_1", "batch"]) == scans["batch"].drop("X_1").astype(int).max() + 1
    assert scans["found"].eq("True").all()
    said = run_snakemake(tmp_path, "-n", "--configfile", small, tmp_path / "more.json").stdout
    assert jobs_of(said) == sorted(scans["batch"].unique())


def test_every_stage_is_a_target(run_snakemake, tmp_path, small):
    stages = [
        "cohort",
        "preprocess",
        "register",
        "patches",
        "features",
        "pretrain",
        "probe",
        "brainage",
        "genetics",
        "figures",
        "report",
    ]
    done = run_snakemake(tmp_path, *stages, "-n", "--configfile", small)
    assert "report" in done.stdout


def test_genetics_is_refused_before_any_job(run_snakemake, tmp_path):
    """The checks of genetics run when the study starts (each message: tests/genetics/test_check.py)."""
    people = pd.DataFrame({"participant_id": [f"p{row:02d}" for row in range(60)], "sex": "F"})
    variants = pd.DataFrame({"chrom": [str(row % 22 + 1) for row in range(44)], "id": [f"v{row}" for row in range(44)]})
    variants = variants.assign(cm=0.0, pos=1_000_000, alt="T", ref="G")
    write_bed(Genotypes(people, variants, np.ones((44, 60), np.int8)), tmp_path / "genes")
    people.assign(age=60.5, icv=1.5e6, mine=3.0).to_csv(tmp_path / "traits.tsv", sep="\t", index=False)
    config = {
        "stages": ["genetics"],
        "cohort": {"inputs": []},
        "genetics": {"genotypes": "genes", "phenotypes": "traits.tsv", "qc": {"check_sex": False}},
    }
    (tmp_path / "study.json").write_text(json.dumps(config))
    done = run_snakemake(tmp_path, "-n", "--configfile", tmp_path / "study.json", check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert all(words in said for words in ("traits.tsv", "column 'mine'", "3 for everybody", "Correct the column")), (
        said
    )
