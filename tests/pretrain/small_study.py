"""A patch store of random blobs and a short training on it; run as a script, it can kill itself at a step.

python -m tests.pretrain.small_study FOLDER METHOD STEP EPOCHS
"""

import itertools
import logging
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from torch import nn

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.pretrain import levels, loop, runs
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study.files import write_json

SHAPE = (6, 7, 8)
SCANS = 40
METHODS = {"rnce": {"objective": "rnce"}, "simclr": {"objective": "simclr", "projector": True}}


def config(method: str, **patch) -> dict:
    strong = {"rotation": 10.0, "scaling": 0.1, "crop": 0.8, "flip": 0.5, "contrast": 1.3, "bias": 0.2}
    return {
        "temperature": 0.2,
        "representation": 8,
        "precision": "float32",
        "resident_gb": 1,
        "augmentation": {**strong, "blur": 0.6, "noise": 0.1},
        "method": METHODS[method],
        "patch": {"epochs": 4, "batch": 16, "learning_rate": 0.002, "checkpoint_epochs": 2, **patch},
        "image": {"epochs": 3, "batch": 32, "learning_rate": 0.002},
    }


def scans(count: int = SCANS) -> pd.DataFrame:
    ids = [f"s{number:02d}" for number in range(count)]
    return pd.DataFrame({"scan_id": [f"{name}_1" for name in ids], "participant_id": ids})


def write_store(folder: Path, patches=("one", "two"), shards: int = 2, count: int = SCANS) -> list[Path]:
    """Write shards with the scans shuffled over them; numbers depend on scan and patch only."""
    order = np.random.default_rng(8).permutation(count)
    folders = []
    for number, members in enumerate(np.array_split(order, shards)):
        shard = folder / f"{number:03d}"
        shard.mkdir(parents=True, exist_ok=True)
        ids = scans(count)["scan_id"].iloc[members]
        listing = pd.DataFrame({"scan_id": ids, "row": range(len(members)), "scale": 0.01 + 0.0001 * members})
        listing = listing.assign(csf_grey=0.6, grey_white=0.95)
        listing.to_csv(shard / "scans.tsv", sep="\t", index=False)
        write_json(shard / "contract.json", registered_contract({"spacing_mm": 8, "parameters": 7}).to_json())
        for salt, patch in enumerate(patches):
            draws = [np.random.default_rng([salt, scan]).integers(0, 255, SHAPE, dtype=np.uint8) for scan in members]
            np.save(shard / f"{patch}.npy", np.stack(draws))
        folders.append(shard)
    return folders


def auxiliary(count: int = SCANS) -> np.ndarray:
    return np.random.default_rng(5).standard_normal((count, 3)).astype(np.float32)


def train(folder: Path, method: str, seed: int = 1, patch: str = "one", **changes) -> None:
    """Train one location, or the network that has everything, with results in a folder."""
    runs.use_device(1)
    if method == "everything":
        train_everything(folder, seed, **changes)
        return
    settings = Settings.from_config(config(method, **changes), "patch", method, seed)
    shards = write_store(folder / "store")
    checkpoint, output = folder / "checkpoints" / f"{patch}.safetensors", folder / f"{patch}.safetensors"
    features = auxiliary() if method == "rnce" else None
    rows = runs.train_patch(settings, patch, shards, scans(), features, checkpoint, output)
    rows.to_csv(folder / f"{patch}.tsv", sep="\t", index=False)


class Everything(nn.Module):
    """A network with all that a checkpoint has to hold or a seed to give: dropout, running statistics, validation."""

    def __init__(self, seed: int):
        super().__init__()
        torch.manual_seed(seed)
        self.network = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ELU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(256, 1)
        )
        draws = torch.Generator().manual_seed(5)
        self.volumes = torch.randn(SCANS, 1, 4, 4, 4, generator=draws)
        self.labels = self.volumes.mean(dim=(1, 2, 3, 4))[:, None] * 8 + torch.randn(SCANS, 1, generator=draws)
        self.to(memory_format=torch.channels_last_3d)

    def step(self, rows, generator):
        """Take some batches for batches without any label."""
        volumes = self.volumes[rows] + 0.1 * torch.randn(len(rows), 1, 4, 4, 4, generator=generator)
        error = (self.network(volumes) - self.labels[rows]).square().mean()
        labelled = rows.sum() % 5 != 0
        return (error if labelled else torch.tensor(0.0)), {"error": error.detach()}

    def validate(self):
        """Compare with the labels of others, so that an early epoch is best, and add noise of torch's own generator."""
        noise = 0.1 * torch.randn(SCANS, 1)
        error = self.network(self.volumes) - self.labels.flip(0) + noise
        return {"criterion": error.square().mean(), "noise": noise.sum()}


def train_everything(folder: Path, seed: int = 1, optimizer: str = "adamw", **changes) -> None:
    model = Everything(seed)
    options = {"epochs": 4, "batch": 16, "learning_rate": 0.05, "checkpoint_epochs": 2, "clip": 1.0, "ema": 0.7}
    schedule = loop.Schedule(**{**options, "optimizer": optimizer, **changes})
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, keys = folder / "checkpoints/one.safetensors", (seed, "everything", "volume", "one")
    hooks = {"validate": model.validate, "curves": folder / "curves"}
    rows = loop.train(model, model.step, SCANS, schedule, keys, torch.device("cpu"), checkpoint, {}, **hooks)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "one.safetensors")
    pd.DataFrame(rows).to_csv(folder / "one.tsv", sep="\t", index=False)


def interrupt(at: int, act) -> None:
    """Call ``act`` when the given step (counted from 1, over all epochs of this process) begins."""
    taken = itertools.count(1)
    for owner in (levels.PatchLevel, Everything):
        owner.step = interrupted(owner.step, taken, at, act)


def interrupted(take_step, taken, at: int, act):
    def step(self, rows, generator):
        if next(taken) == at:
            act()
        return take_step(self, rows, generator)

    return step


if __name__ == "__main__":
    place, name, at, epochs = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    interrupt(int(at), lambda: os.kill(os.getpid(), signal.SIGKILL))
    train(Path(place), name, epochs=int(epochs))
