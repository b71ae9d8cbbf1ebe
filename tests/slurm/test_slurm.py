"""Rules of the study in jobs of a real SLURM, through the slurm profile: what they ask for is what they get."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.pretrain import small_study
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.study import tables

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

ROOT = Path(__file__).resolve().parents[2]
GPU_TARGET = "results/pretrain/rnce/pretrain_patches/00"
CPU_TARGET = "results/embed/features.tsv"
# unlike those of any rule or profile, so that they can come from nowhere else
ASKED = {"threads": min(2, len(os.sched_getaffinity(0))), "mem_mb": 1700, "runtime": 47, "gpu": 1}
CONFIG = f"""
stages: [pretrain]
phantom: {{real_scans: []}}
cohort: {{scans_per_job: 1000}}
pretrain:
  representation: 8
  patch: {{epochs: 4, batch: 32}}
  patches_per_job: 1
  resources: {ASKED}
"""


@pytest.fixture(scope="module")
def cluster():
    """A running SLURM."""
    done = subprocess.run([ROOT / "tests/slurm/up.sh"], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr


@pytest.fixture
def study(cluster, tmp_path):
    """A folder with all that pretraining needs, as earlier rules would have left it; no job outlives it."""
    results, scans = tmp_path / "results", small_study.scans()
    small_study.write_store(results / "patches/extract_patches", PATCHES[:1], shards=1)
    columns = [f"lh_{number}_volume" for number in range(3)]
    features = scans.assign(icv=1.5e6, **dict(zip(columns, small_study.auxiliary().T.astype(float), strict=True)))
    about = {"session_id": "1", "cohort": "population", "site": "s", "age": 60.0, "sex": "F", "diagnosis": "CN"}
    about |= {"t1w": "none.nii", "image": "brain", "split": "train", "batch": "000"}
    written = {
        "cohort/scans.tsv": ("scans", scans.assign(**about)),
        "cohort/roles.tsv": ("roles", scans[["participant_id"]].assign(role="pretrain")),
        "qc/included.tsv": ("included", scans),
        "qc/with_volume.tsv": ("included", scans),
        "features/harmonised.tsv": ("features", features),
        "features/assignment.tsv": (
            "assignment",
            pd.DataFrame({"feature": columns, "unit": "mm3", "patch": PATCHES[0]}),
        ),
    }
    for name, (schema, table) in written.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        tables.write_table(table, results / name, schema)
    (tmp_path / "study.yaml").write_text(CONFIG)
    yield tmp_path
    for job in jobs(tmp_path):
        if job["JobState"] in ("PENDING", "RUNNING"):
            subprocess.run(["scancel", job["JobId"]], check=False)


def run(folder, *arguments):
    """Run Snakemake with the profile, and what this cluster needs beside it; return what it said."""
    configs = [ROOT / "config.yaml", ROOT / "tests/config.test.yaml", folder / "study.yaml"]
    command = [sys.executable, "-m", "snakemake", *arguments, "--directory", folder]
    command += ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "envs/profiles/slurm"]
    # the inputs were not made by rules, and no rule should try
    command += ["--configfile", *configs, "--allowed-rules", "pretrain_patches", "embed_features"]
    command += ["--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, env=environment)
    logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("results/logs/**/*.log"))
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}\n{logs}"
    return done.stdout + done.stderr


def jobs(folder, rule=""):
    """List the jobs of a folder as SLURM knows them, in the order of their ids."""
    shown = subprocess.run(["scontrol", "show", "job", "-o", "-d"], capture_output=True, text=True, check=True).stdout
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines()]
    found = [job for job in found if job.get("WorkDir") == str(folder) and f"rule_{rule}" in job["Comment"]]
    return sorted(found, key=lambda job: int(job["JobId"]))


def granted(job):
    """What SLURM gave to a job, in the words of the rules."""
    hours, minutes, seconds = map(int, job["TimeLimit"].split(":"))
    gpus = re.fullmatch(r"gpu:fake:(\d+)", job["JOB_GRES"])
    return {
        "threads": int(job["NumCPUs"]),
        "mem_mb": int(job["MinMemoryNode"].removesuffix("M")),
        "runtime": 60 * hours + minutes + seconds / 60,
        "gpu": int(gpus[1]) if gpus else 0,
    }


def test_jobs_get_what_their_rules_ask_for(study):
    said = run(study, GPU_TARGET, CPU_TARGET, "--set-resources", "pretrain_patches:slurm_partition=gpu")
    (trained,), (embedded,) = jobs(study, "pretrain_patches"), jobs(study, "embed_features")
    assert trained["JobState"] == embedded["JobState"] == "COMPLETED"
    assert granted(trained) == ASKED
    rule = said[said.index("rule embed_features:") :]
    asked = {key: int(re.search(rf"\b{key}=(\d+)", rule)[1]) for key in ("mem_mb", "runtime")}
    assert granted(embedded) == {"threads": 1, "gpu": 0, **asked}
    assert (trained["Partition"], embedded["Partition"]) == ("gpu", "cpu")
    training = tables.read_table(study / GPU_TARGET / f"{PATCHES[0]}.tsv", "training_log")
    assert len(training) == 4 and np.isfinite(training["loss"]).all()
    assert (study / GPU_TARGET / f"{PATCHES[0]}.safetensors").exists()
    assert len(pd.read_csv(study / CPU_TARGET, sep="\t")) == small_study.SCANS


def test_a_job_killed_for_its_memory_comes_back_with_more(study):
    """The memory grows in the profile's words; the profile's retries must submit the job anew for SLURM to grant it."""
    run(study, GPU_TARGET, "--set-resources", "pretrain_patches:mem_mb=350 * attempt")
    *killed, last = jobs(study, "pretrain_patches")
    assert killed and all(job["JobState"] != "COMPLETED" for job in killed)
    assert last["JobState"] == "COMPLETED"
    assert [granted(job)["mem_mb"] for job in [*killed, last]] == [350 * n for n in range(1, len(killed) + 2)]
    assert (study / GPU_TARGET / f"{PATCHES[0]}.safetensors").exists()
