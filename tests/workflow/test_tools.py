"""A tool of its own as the backend, played by a program that brings subject folders: rules, tables, and a failure."""

import os
import sys
from pathlib import Path

import nibabel as nib
import pandas as pd
import pytest

from tests.imaging.fake_tools import LICENCE
from tests.imaging.stats.dialects import write_subject
from tests.workflow import mixed

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

BRINGS = """#!{python}
import shutil, sys
words = sys.argv[1:]
name, subjects = words[words.index("--sid") + 1], words[words.index("--sd") + 1]
if "--surf_only" in words and name == "s3_1":
    sys.exit("white matter peak found at -nan")
part = "mri" if "--seg_only" in words else "stats"
shutil.copytree(f"{ready}/{{name}}/{{part}}", f"{{subjects}}/{{name}}/{{part}}", dirs_exist_ok=True)
if part == "mri":
    shutil.copytree(f"{ready}/{{name}}/segmented", f"{{subjects}}/{{name}}/stats", dirs_exist_ok=True)
"""
STUDY = """
stages: [register]
cohort:
  inputs: [{{name: ours, kind: brains, path: {data}}}]
  roles: {{pretrain: [], normative: [], evaluate: [], gwas: []}}
preprocess: {{backend: fastsurfer, tool: {{licence: {data}/license.txt}}}}
features: {{list: dkt}}
qc: {{max_excluded_fraction: 0.5}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    (folder / "data").mkdir()
    (folder / "bin").mkdir()
    (folder / "data" / "license.txt").write_text(LICENCE)
    for number, name in enumerate(("s1", "s2", "s3")):
        nib.save(mixed.brain(number), folder / "data" / f"{name}.nii.gz")
        ready, _ = write_subject(folder / "ready" / f"{name}_1", "fastsurfer-full-2.4", number)
        (ready / "segmented").mkdir()
        (ready / "segmented" / "aseg+DKT.stats").write_text((ready / "stats" / "aseg.stats").read_text())
        mixed._save_mri(ready / "mri", mixed.brain(number), 180, "orig_nu.mgz", "aparc.DKTatlas+aseg.deep.mgz")
    program = folder / "bin" / "run_fastsurfer.sh"
    program.write_text(BRINGS.format(python=sys.executable, ready=folder / "ready"))
    program.chmod(0o755)
    (folder / "study.yaml").write_text(STUDY.format(data=folder / "data"))
    return folder


def test_a_tools_subjects_go_on_and_its_failure_is_named(study, run_snakemake, monkeypatch):
    monkeypatch.setenv("FREESURFER_HOME", str(study / "bin"))
    monkeypatch.setenv("PATH", f"{study / 'bin'}{os.pathsep}{os.environ['PATH']}")
    run_snakemake(study, "--configfile", study / "study.yaml")
    qc = pd.read_csv(study / "results/qc/scans.tsv", sep="\t").set_index("scan_id")
    assert qc["included"].to_dict() == {"s1_1": True, "s2_1": True, "s3_1": False}
    assert "s3_1, surfaces: run_fastsurfer.sh stopped with status 1" in qc.loc["s3_1", "reason"]
    assert "white matter peak found at -nan" in qc.loc["s3_1", "reason"]
    assert (qc.loc[["s1_1", "s2_1"], "overlap"] > 0.9).all()
    assert qc.loc["s1_1", ["tool", "tool_version"]].tolist() == ["FastSurfer", "2.4.2"]
    assert "Nothing to be done" in run_snakemake(study, "-n", "--configfile", study / "study.yaml").stdout


def test_without_the_tool_nothing_starts(study, run_snakemake, tmp_path):
    done = run_snakemake(tmp_path, "--configfile", study / "study.yaml", check=False)
    assert done.returncode != 0
    assert "run_fastsurfer.sh of FastSurfer is not on the path" in done.stdout + done.stderr
    assert not Path(tmp_path / "results/preprocess").exists()


def test_sdm_apptainer_asks_for_the_image(study, run_snakemake, tmp_path):
    done = run_snakemake(tmp_path, "--configfile", study / "study.yaml", "--sdm", "apptainer", check=False)
    assert done.returncode != 0
    assert "preprocess.tool.image" in done.stdout + done.stderr
