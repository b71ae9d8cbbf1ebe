"""Run the real workflow in folders of their own; the small study is run once a session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def snakemake(folder, *arguments, check=True, timeout=1500):
    """Run Snakemake on the project's Snakefile with ``folder`` as its working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", "2", "--scheduler", "greedy", *map(str, arguments)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment)
    if check and done.returncode != 0:
        pytest.fail(f"snakemake {' '.join(map(str, arguments))}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


@pytest.fixture(scope="session")
def run_snakemake():
    return snakemake


@pytest.fixture(scope="session")
def small():
    """The config file of the small study."""
    return ROOT / "tests" / "config.test.yaml"


@pytest.fixture(scope="session")
def study(tmp_path_factory, small):
    """The small study, run from scan to report; the folder that holds its ``results``."""
    folder = tmp_path_factory.mktemp("study")
    snakemake(folder, "--configfile", small)
    return folder
