"""A store of whole volumes and short trainings on it; run as a script, a training kills itself at a step.

python -m tests.pretrain.small_volumes FOLDER METHOD STEP
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.pretrain import runs, volume_runs, volumes
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study.files import write_json

SCANS = 12
NEVER = 10**6
TARGETS = {
    "age": {"kind": "bins", "low": 40, "high": 90, "width": 5, "sigma": 2},
    "sex": {"kind": "binary", "positive": "M"},
    "bmi": {"kind": "continuous"},
    "neuroticism": {"kind": "continuous"},
}
METHODS = {
    "genesis": {"objective": "genesis", "width": 2},
    "lssl": {"objective": "lssl", "width": 8},
    "multitask": {"objective": "multitask", "width": 2, "targets": TARGETS},
    "rnce": {"objective": "rnce", "input": "volume"},
    "barlow": {"objective": "barlow", "input": "volume", "projector": True},
    "random": {"objective": "random", "input": "volume"},
}
SHAPES = {"multitask": (32, 32, 32), "genesis": (16, 16, 16), "lssl": (16, 16, 16)}
LEVELS = (volumes.GenesisLevel, volumes.LongitudinalLevel, volumes.MultitaskLevel, runs.PatchLevel)


def people() -> pd.DataFrame:
    """Six people with two visits each; nobody knows their neuroticism."""
    ids = [f"s{number}" for number in range(SCANS // 2) for _ in range(2)]
    visit = np.tile([1, 2], SCANS // 2)
    return pd.DataFrame(
        {
            "scan_id": [f"{person}_{number}" for person, number in zip(ids, visit, strict=True)],
            "participant_id": ids,
            "age": 50.0 + 4 * np.arange(SCANS) // 2 + 2.5 * visit,
            "sex": np.where(np.arange(SCANS) // 2 % 2, "M", "F"),
            "bmi": np.where(np.arange(SCANS) % 3 == 0, np.nan, 20.0 + np.arange(SCANS)),
            "neuroticism": np.nan,
        }
    )


def write_store(folder: Path, name: str, shape: tuple[int, int, int]) -> list[Path]:
    """Write one shard of random blobs."""
    folder.mkdir(parents=True, exist_ok=True)
    scans = people()
    listing = {"scan_id": scans["scan_id"], "row": range(SCANS), "scale": 0.5, "csf_grey": 40.0, "grey_white": 80.0}
    pd.DataFrame(listing).to_csv(folder / "scans.tsv", sep="\t", index=False)
    write_json(folder / "contract.json", registered_contract({"spacing_mm": 8, "parameters": 7}).to_json())
    draws = np.random.default_rng(3).integers(0, 255, (SCANS, *shape), dtype=np.uint8)
    np.save(folder / f"{name}.npy", draws)
    return [folder]


def settings(method: str, **changes) -> Settings:
    schedule = {"epochs": 3, "batch": 3, "learning_rate": 0.01, "checkpoint_epochs": 1, **changes}
    if method == "rnce":
        schedule["batch"] = 8
    section = {
        "method": METHODS[method],
        "temperature": 0.2,
        "representation": 4,
        "precision": "float32",
        "resident_gb": 1,
        "augmentation": {"flip": 0.5, "rotation": 5.0},
        "volume": schedule,
    }
    return Settings.from_config(section, "volume", method, seed=1)


def train(folder: Path, method: str, **changes) -> pd.DataFrame:
    """Train a method with results in a folder."""
    runs.use_device(1)
    name = "whole" if method == "multitask" else "cube"
    shards = write_store(folder / "store", name, SHAPES.get(method, (8, 9, 10)))
    scans = people().assign(set="train")
    if method == "multitask":
        scans = volume_runs.hold_out(scans, 0.3, 1, method)
    auxiliary = np.random.default_rng(5).standard_normal((SCANS, 2)).astype(np.float32) if method == "rnce" else None
    files = (folder / "checkpoints/volume.safetensors", folder / "w.safetensors", folder / "curves")
    rows = volume_runs.train_volume(settings(method, **changes), name, shards, scans, auxiliary, *files)
    rows.to_csv(folder / "w.tsv", sep="\t", index=False)
    return rows


def kill_at(at: int) -> None:
    """Let this process kill itself when the given step begins."""
    taken = itertools.count(1)
    for owner in LEVELS:
        owner.step = _killing(owner.step, taken, at)


def _killing(take_step, taken, at: int):
    def step(self, rows, generator):
        if next(taken) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(self, rows, generator)

    return step


if __name__ == "__main__":
    place, name, at = sys.argv[1:]
    kill_at(int(at))
    train(Path(place), name)
