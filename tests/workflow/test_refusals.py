"""Faults in config and tables are refused before any job, in one message that says what to change."""

import pandas as pd
import pytest

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
    config = f"stages: [cohort]\ncohort:\n  participants: participants.tsv\n  roles: {roles}\n{more}"
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
        (lambda rows: rows.assign(t1w="gone.nii.gz"), ["3 of 3 files", "gone.nii.gz", "relative to the table"]),
    ],
)
def test_a_fault_in_the_table_is_refused(run_snakemake, tmp_path, change, expected):
    code, said = start(run_snakemake, tmp_path, change(ROWS))
    assert code != 0
    assert all(words in said for words in expected), said


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("sed: 3\n", ["unknown key 'sed'", "Did you mean 'seed'"]),
        ("grid: {spacing: 2}\n", ["grid: unknown key 'spacing'", "Did you mean 'spacing_mm'"]),
        ("grid: {spacing_mm: 3}\n", ["grid.spacing_mm", "found 3", "one of 1, 2, 4, 8"]),
        ("seed: many\n", ["seed", "'many'", "integer"]),
        ("representations: {mine: nowhere.tsv}\n", ["representations.mine", "nowhere.tsv", "does not exist"]),
    ],
)
def test_a_fault_in_the_config_is_refused(run_snakemake, tmp_path, more, expected):
    code, said = start(run_snakemake, tmp_path, more=more)
    assert code != 0
    assert all(words in said for words in expected), said


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
