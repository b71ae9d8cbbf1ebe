"""Make the report: Snakemake's own, of all figures, from a second Snakemake that reads only."""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from workflow_scripts.lib.study import log
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``report``."""
    root = Path(snakemake.scriptdir).parents[1]
    with tempfile.TemporaryDirectory() as folder, atomic(snakemake.output[0]) as report:
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump(dict(snakemake.params.config)))
        targets = ["figures", "results/qc/excluded.html", *snakemake.input.comparisons]
        command = [sys.executable, "-m", "snakemake", *targets, "--cores", "1", "--nolock"]
        command += ["--snakefile", str(root / "Snakefile"), "--configfile", str(config), "--report", str(report)]
        done = subprocess.run(command, capture_output=True, text=True)
        logging.info(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StudyError(f"the report failed:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    log.run(main, snakemake)
