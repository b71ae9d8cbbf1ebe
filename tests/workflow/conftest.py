"""Run the real workflow in folders of their own; the small study is run once a session."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]


def surroundings():
    """Environment of a Snakemake that knows of no cluster.

    Its SLURM plugin asks ``scontrol`` at every start, which waits nine seconds where a cluster is set up and down.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return kept | {"SLURM_CONF": os.devnull}


def snakemake(folder, *arguments, check=True, timeout=3000):
    """Run Snakemake on the project's Snakefile with ``folder`` as its working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--cores", "2", "--scheduler", "greedy", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=surroundings())
    if check and done.returncode != 0:
        pytest.fail(f"snakemake {' '.join(map(str, arguments))}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
    return done


@pytest.fixture(scope="session")
def run_snakemake():
    return snakemake


@pytest.fixture(scope="session")
def environment():
    """Environment variables for a test that starts Snakemake itself."""
    return surroundings()


@pytest.fixture(scope="session")
def small():
    """The config file of the small study."""
    return ROOT / "tests" / "config.test.yaml"


@pytest.fixture(scope="session")
def study(tmp_path_factory, small):
    """The small study, run from scan to report; the folder that holds its ``results``.

    Processes that share the tests share it. If the project's own folder holds a complete one, by Snakemake's word, a
    copy of that serves; what is out of date is made anew.
    """
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    folder, done = shared / "small-study", shared / "small-study.done"
    with FileLock(shared / "small-study.lock"):
        if not done.exists():
            folder.mkdir()
            if (ROOT / "results" / "report.html").exists() and (ROOT / ".snakemake").exists():
                for name in ("results", ".snakemake"):
                    shutil.copytree(ROOT / name, folder / name, copy_function=shutil.copy2, symlinks=True)
                shutil.rmtree(folder / ".snakemake" / "locks", ignore_errors=True)
            snakemake(folder, "--configfile", small)
            done.touch()
    return folder
