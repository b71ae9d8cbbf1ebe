"""A store of small volumes with a planted difference, and fits of it; as a script, a job kills itself at a step.

python -m tests.finetune.small_fits FOLDER STEP
"""

import itertools
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.finetune import chunk, level, starts
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study import ids
from workflow_scripts.lib.study.files import write_json

CPU = torch.device("cpu")
PEOPLE = 28
SHAPES = {"whole": (32, 32, 32)} | dict.fromkeys(PATCHES, (4, 5, 6))
ARCHITECTURE = {"name": "SFCN", "channels": [1, 2, 2, 2, 2, 4]}
SECTION = {
    "epochs": 2,
    "batch": 4,
    "optimizer": "adamw",
    "weight_decay": 0.0001,
    "learning_rate": [0.01],
    "dropout": [0.0, 0.3],
    "precision": "float32",
    "fits_at_once": 1,
    "early_stopping": None,
    "checkpoint_epochs": 1,
}


def people() -> pd.DataFrame:
    """One scan each; every second one is a patient."""
    ids = [f"p{number:02d}" for number in range(PEOPLE)]
    return pd.DataFrame({"scan_id": [f"{one}_1" for one in ids], "participant_id": ids, "y": np.arange(PEOPLE) % 2})


def write_store(folder: Path) -> list[Path]:
    """Write two shards of dim noise with an empty margin; patients have a bright middle."""
    shards, everyone = [], people()
    for number, members in enumerate(np.array_split(np.arange(PEOPLE)[::-1], 2)):
        shard = folder / f"{number:03d}"
        shard.mkdir(parents=True, exist_ok=True)
        listing = {"scan_id": everyone["scan_id"].iloc[members], "row": range(len(members)), "scale": 0.5}
        table = pd.DataFrame(listing).assign(csf_grey=40.0, grey_white=80.0)
        table.to_csv(shard / "scans.tsv", sep="\t", index=False)
        write_json(shard / "contract.json", registered_contract({"spacing_mm": 8, "parameters": 7}).to_json())
        for salt, (name, shape) in enumerate(SHAPES.items()):
            volumes = [volume(salt, person, shape) for person in members]
            np.save(shard / f"{name}.npy", np.stack(volumes))
        shards.append(shard)
    return shards


def volume(salt: int, person: int, shape: tuple[int, int, int]) -> np.ndarray:
    numbers = np.random.default_rng([salt, person]).integers(20, 60, shape, dtype=np.uint8)
    inner = tuple(slice(n // 4, -(n // 4)) for n in shape)
    numbers[inner] += np.uint8(60 * (person % 2))
    edge = np.zeros(shape, np.uint8)
    inside = tuple(slice(2, -2) if n > 8 else slice(None) for n in shape)
    edge[inside] = numbers[inside]
    return edge


def samples(repeats=(0, 1), n: int = 8, seed: int = 3) -> pd.DataFrame:
    """Draw samples of 8 training, 6 validation and 6 test scans, each half patients."""
    everyone, parts = people(), []
    for repeat in repeats:
        random = np.random.default_rng([seed, repeat])
        for label in (0, 1):
            members = everyone[everyone["y"] == label].sample(n=n // 2 + 6, random_state=random)
            parts.append(members.assign(set=["train"] * (n // 2) + ["validation"] * 3 + ["test"] * 3, repeat=repeat))
    return pd.concat(parts, ignore_index=True).assign(task="ad_cn", n=n)


def scan_order(table: pd.DataFrame) -> list[str]:
    """List scans in the order in which a job loads them."""
    return sorted(set(table["scan_id"]))


def options(model: str = "sfcn_random", seed: int = 1, **changes) -> Options:
    return Options.from_config({**SECTION, **changes}, model, seed, code="abc")


def random_start() -> starts.Start:
    return starts.random_start(["whole"], "stored", [ARCHITECTURE])


def write_weights(folder: Path, trained_on=("u00",), patches: bool = True) -> dict[str, Path]:
    """Write weights as pretraining leaves them: a whole-volume network, patch encoders and their aggregator."""
    contract = registered_contract({"spacing_mm": 8, "parameters": 7}).to_json()
    said = {"intensity": "", "participants": ids.participant_hashes(trained_on), "seed": 1, "metrics": {}}
    torch.manual_seed(4)
    places = {"whole": SFCN(6, ARCHITECTURE["channels"])} | {patch: PatchEncoder(4) for patch in PATCHES if patches}
    files = {}
    for name, network in places.items():
        network.set_intensity(20.0, 15.0)
        given = {"location": name, "grid": list(SHAPES[name]), "rule": "stored", "volume": contract}
        files[name] = folder / f"{name}.safetensors"
        weights.save_weights(network, files[name], {**said, "input": given, "source": "test"})
    files["image"] = folder / "image.safetensors"
    card = {**said, "input": {"tokens": [len(PATCHES), 4]}, "source": "test"}
    weights.save_weights(Aggregator(len(PATCHES), 4), files["image"], card)
    return files


def fit(folder: Path, table: pd.DataFrame | None = None, start: starts.Start | None = None, **changes):
    """Fit with results in a folder."""
    chunk.use_one_thread()
    shards = write_store(folder / "store") if not (folder / "store").exists() else sorted((folder / "store").iterdir())
    table = samples() if table is None else table
    found = chunk.fit_chunk(table, options(**changes), start or random_start(), shards, folder / "checkpoints", CPU)
    for name, one in zip(("fits", "scores"), found, strict=True):
        one.to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    return found


def kill_at(at: int) -> None:
    """Let this process kill itself when the given step begins."""
    taken, take_step = itertools.count(1), level.FitLevel.step

    def step(self, rows, generator):
        if next(taken) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return take_step(self, rows, generator)

    level.FitLevel.step = step


if __name__ == "__main__":
    kill_at(int(sys.argv[2]))
    fit(Path(sys.argv[1]))
