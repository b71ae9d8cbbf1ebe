"""The small study from end to end: its figures, its exclusions, its determinism, its reruns."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

FIGURES = [
    "biomarker_bars",
    "brainage_calibration",
    "brainage_scatter",
    "cell_type_enrichment",
    "comparison_forest",
    "duplicate_pairs",
    "external_tests",
    "factor_boxes",
    "gap_correlation",
    "genetic_qc",
    "gradcam_measures",
    "gradcam_panels",
    "grid_curves",
    "grid_effects",
    "group_gaps",
    "grouping_inflation",
    "heritability",
    "image_calibration",
    "ldsc_cell_types",
    "learning_curves",
    "locus_plots",
    "manhattan",
    "neuropathology",
    "permutation_sensitivity",
    "planted_truth",
    "region_importance",
    "registrations",
    "roc_curves",
    "training_curves",
    "unfreezing_points",
    "variance_explained",
    "volume_gradcam/sfcn",
]


def read(folder, name):
    path = folder / "results" / name
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, sep="\t")


def test_every_figure_has_pictures_and_numbers(study):
    for name in FIGURES:
        for suffix in ("png", "pdf", "csv"):
            path = study / "results" / "figures" / f"{name}.{suffix}"
            # the small study has no locus: the figure says so, and its numbers are a header
            least = 50 if path.name == "locus_plots.csv" else 500
            assert path.stat().st_size > least, path


def test_the_report_needs_no_network(study):
    text = (study / "results" / "report.html").read_text()
    assert not re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"https?://", text)
    for name in FIGURES:
        assert f"{name}.png" in text
    assert "excluded.html" in text


def test_the_three_broken_scans_are_named(study):
    planted = read(study, "phantom/truth/scans.tsv").set_index("scan_id")["fault"].dropna()
    excluded = read(study, "qc/excluded.tsv").set_index("scan_id")["reason"]
    assert set(planted.index) <= set(excluded.index)
    words = {
        "truncated": "truncated or damaged",
        "zero": "every voxel has the value 0",
        "four_dimensional": "one 3D volume",
    }
    for scan, fault in planted.items():
        assert words[fault] in excluded[scan]
    page = (study / "results" / "qc" / "excluded.html").read_text()
    assert all(scan in page for scan in planted.index)
    assert not set(excluded.index) & set(read(study, "embed/rnce.tsv")["scan_id"])


def test_the_real_head_passes(study):
    qc = read(study, "qc/scans.tsv").set_index("scan_id").loc["colin27_1"]
    assert qc["included"] and qc["was_head"] == 1 and qc["overlap"] > 0.9
    assert "colin27_1" in set(pd.read_csv(study / "results/figures/registrations.csv")["scan_id"])
    assert (read(study, "embed/rnce.tsv")["scan_id"] == "colin27_1").sum() == 1


def test_a_second_run_has_nothing_to_do(study, run_snakemake, small):
    assert "Nothing to be done" in run_snakemake(study, "-n", "--configfile", small).stdout


def test_a_deleted_figure_reruns_its_rule_alone(study, run_snakemake, small):
    figure = study / "results" / "figures" / "gap_correlation.png"
    before = figure.read_bytes()
    figure.unlink()
    done = run_snakemake(study, "results/figures/gap_correlation.png", "--configfile", small)
    assert re.search(r"^total\s+1$", done.stdout + done.stderr, re.MULTILINE)
    assert figure.read_bytes() == before


def test_same_seed_same_tables_however_the_work_is_cut(study, run_snakemake, small, tmp_path):
    chunks = tmp_path / "chunks.yaml"
    # fewer jobs than the study has: each longer, with other neighbours, and without the start of a process for each
    chunks.write_text("cohort: {scans_per_job: 41}\npretrain: {patches_per_job: 10}\n")
    # a method of patches with features, one without, one of whole volumes: the others go the ways of these
    scores = [f"probe/probe_representation/{name}.parquet" for name in ("features", "rnce", "simclr", "sfcn")]
    associated = ["brainage/associate_gaps/neuropathology.tsv", "brainage/associate_gaps/groups.tsv"]
    wanted = ["genetics/merge_gwas/points.tsv.gz", *associated, *scores]
    run_snakemake(tmp_path, *[f"results/{name}" for name in wanted], "--configfile", small, chunks)
    names = ["cohort/tasks.tsv", "features/features.tsv", "features/harmonised.tsv", "embed/rnce.tsv"]
    names += ["embed/simclr.tsv", "embed/sfcn.tsv", *scores, "brainage/gaps.tsv", "brainage/metrics.tsv"]
    names += ["genetics/merge_gwas/summary.tsv", "brainage/age_bias.tsv", *associated]
    for name in names:
        assert (tmp_path / "results" / name).read_bytes() == (study / "results" / name).read_bytes(), name


def test_another_seed_gives_other_people(study, run_snakemake, small, tmp_path):
    targets = ["results/phantom/participants.tsv", "results/phantom/genotypes.bed"]
    run_snakemake(tmp_path, *targets, "--configfile", small, "--config", "seed=21")
    for target in targets:
        assert (tmp_path / target).read_bytes() != (study / target).read_bytes()


def test_a_kill_in_the_middle_of_pretraining_changes_nothing(study, run_snakemake, small, environment, tmp_path):
    """kill -9 of Snakemake and its job after the first checkpoint; the rerun gives the same bytes."""
    shutil.copytree(study, tmp_path / "study", copy_function=shutil.copy2)
    folder = tmp_path / "study"
    target = "results/pretrain/rnce/pretrain_patches/00"
    before = {path.name: path.read_bytes() for path in (study / target).glob("*.safetensors")}
    shutil.rmtree(folder / target)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(root / "Snakefile"), "--directory", str(folder)]
    command += [target, "--cores", "1", "--configfile", str(small)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **silent, env=environment, start_new_session=True)
    checkpoints = folder / "results" / "pretrain" / "rnce" / "checkpoints"
    deadline = time.monotonic() + 120
    while not any(checkpoints.rglob("*.safetensors")):
        assert process.poll() is None and time.monotonic() < deadline, "no checkpoint was written"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / target).exists() or len(list((folder / target).glob("*.safetensors"))) < len(before)
    run_snakemake(folder, "--unlock", "--configfile", small)
    run_snakemake(folder, target, "--rerun-incomplete", "--configfile", small)
    after = {path.name: path.read_bytes() for path in (folder / target).glob("*.safetensors")}
    assert after == before
