"""envs/real.yaml: any folder of volumes through brain extraction, registration, quality control and patches."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "mricron-data": (
        Path("/usr/share/mricron/templates"),
        "ch2*.nii.gz",
        {"ch2_1": 1, "ch2bet_1": 0, "ch2better_1": 0},
    ),
    "reference": (ROOT / "../shared/reference/t1", "*.nii.gz", {"xa30-T1w_1": 1, "niimath-T1w-brain_1": 0}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_real_scans_pass(name, run_snakemake, tmp_path):
    folder, pattern, expected = FOLDERS[name]
    if not list(folder.glob(pattern)):
        pytest.skip(f"no {pattern} in {folder}")
    entry = f"{{name: folder, kind: volumes, path: {folder.resolve()}, pattern: '{pattern}'}}"
    (tmp_path / "folder.yaml").write_text(f"cohort: {{inputs: [{entry}]}}\n")
    run_snakemake(tmp_path, "--configfile", ROOT / "envs" / "real.yaml", tmp_path / "folder.yaml")
    qc = pd.read_csv(tmp_path / "results/qc/scans.tsv", sep="\t").set_index("scan_id")
    assert dict(qc["was_head"].astype(int)) == expected  # heads and stripped brains are told apart
    assert qc["included"].all(), qc["reason"].tolist()
    assert (qc["overlap"] >= 0.9).all()
    assert (tmp_path / "results/figures/registrations.png").stat().st_size > 10_000
    shards = sorted((tmp_path / "results/patches/extract_patches").iterdir())
    stack = np.concatenate([np.load(shard / "subcortical_L.npy") for shard in shards])
    assert stack.shape == (len(expected), 28, 40, 32)
    assert (stack.reshape(len(stack), -1).mean(axis=1) > 40).all()  # brain, not background
