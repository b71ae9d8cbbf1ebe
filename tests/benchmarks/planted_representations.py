"""Planted truth outside and inside regional features: R-NCE beside SimCLR, the features alone and random weights.

    ./run python -m tests.benchmarks.planted_representations --out FOLDER [--people N --spacing MM --epochs N ...]

Brains with known truth are simulated (phantom_store.py), encoders are trained by the library's own runs on some people,
and linear heads are asked about others. What is finished in FOLDER is not done again. The defaults are what two cores
have time for; on a machine with a GPU the same command runs at larger size, for instance with

    --people 12000 --spacing 2 --smooth 1 --representation 64 --batch 256 --precision bfloat16 --processes 16
    --locations medial_temporal_L medial_temporal_R lateral_temporal_L lateral_temporal_R parietal_L parietal_R
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from tests.benchmarks import phantom_store, planted_scores
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.pretrain import data, levels, runs
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.files import atomic, write_json

logger = logging.getLogger(__name__)

METHODS = {
    "rnce": {"objective": "rnce", "projector": False, "reconstruction": "per_entry", "ridge": 1e-4},
    # with the head that SimCLR's authors put between representation and contrast; not as published
    "rnce_head": {"objective": "rnce", "projector": True, "reconstruction": "per_entry", "ridge": 1e-4},
    "simclr": {"objective": "simclr", "projector": True},
    # the representation that the loss sees, as in R-NCE
    "simclr_bare": {"objective": "simclr", "projector": False},
    "random": None,
}
# no scaling, no crop and no flip, which would hide the volumes that are to be recovered; intensities change about as
# much as scanners and what bias correction leaves make them differ
AUGMENTATION = {"rotation": 2.0, "contrast": 1.15, "bias": 0.05, "blur": 0.3, "noise": 0.03}


def section(options: argparse.Namespace, name: str) -> dict:
    """Write down what the config of a study would say about one method."""
    method = dict(METHODS[name])
    if method["objective"] == "rnce":
        method["weight"] = options.weight
    schedule = {"batch": options.batch, "learning_rate": options.learning_rate, "checkpoint_epochs": 5}
    return {
        "method": method,
        "temperature": options.temperature,
        "representation": options.representation,
        "precision": options.precision,
        "resident_gb": 20,
        "augmentation": AUGMENTATION,
        "patch": {"epochs": options.epochs, **schedule},
        "image": {"epochs": options.image_epochs, **schedule, "learning_rate": 1e-3},
    }


@dataclasses.dataclass
class Study:
    """The store, who trains, and the auxiliary features; where results go."""

    options: argparse.Namespace
    folder: Path
    people: pd.DataFrame
    features: pd.DataFrame
    locations: list[str]
    columns: list[list[str]]

    @classmethod
    def make(cls, options: argparse.Namespace, folder: Path) -> "Study":
        """Simulate the people unless that is done."""
        names = ("people", "spacing", "locations", "regional", "smooth", "texture", "shape")
        design = phantom_store.Design(**{name: getattr(options, name) for name in names})
        phantom_store.make_store(design, folder / "store", options.processes)
        people, features = (pd.read_csv(folder / "store" / f"{name}.tsv", sep="\t") for name in ("people", "features"))
        columns = phantom_store.structures(features, design.locations)
        return cls(options, folder, people, features, list(design.locations), columns)

    @property
    def shards(self) -> list[Path]:
        return sorted(path.parent for path in (self.folder / "store").glob("*/scans.tsv"))

    @property
    def training(self) -> pd.DataFrame:
        return self.people.loc[self.people["split"] == "train", ["scan_id", "participant_id"]].reset_index(drop=True)

    def auxiliary(self, columns: list[str]) -> np.ndarray:
        return data.auxiliary_features(self.features, self.training["scan_id"].tolist(), columns)

    def source(self, place: str, scan_ids: list[str]) -> data.PatchSource:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return data.PatchSource(self.shards, place, scan_ids, device)


def patch_tokens(study: Study, name: str, seed: int, place: str) -> np.ndarray:
    """Train the encoder of one location, or leave it at random, and encode everybody: people x width, float32."""
    options, folder = study.options, study.folder / name / str(seed)
    output = folder / f"{place}.safetensors"
    everybody = study.source(place, study.people["scan_id"].tolist())
    if METHODS[name] is None:
        torch.manual_seed(seeds.derive_seed(seed, "random", place))
        encoder = PatchEncoder(options.representation).to(everybody.device)
        seen = study.source(place, study.training["scan_id"].tolist())
        encoder.set_intensity(*seen.intensity())
        levels.refresh_normalisation(encoder, seen, options.batch)
        return levels.encode(encoder, everybody)
    settings = runs.Settings.from_config(section(options, name), "patch", name, seed)
    auxiliary = study.auxiliary(study.columns[study.locations.index(place)]) if name.startswith("rnce") else None
    checkpoint = folder / "checkpoints" / f"{place}.safetensors"
    log = runs.train_patch(settings, place, study.shards, study.training, auxiliary, checkpoint, output)
    log.to_csv(folder / f"{place}.tsv", sep="\t", index=False)
    encoder = PatchEncoder(options.representation)
    weights.load_weights(encoder, output)
    return levels.encode(encoder.to(everybody.device), everybody)


def image_representation(study: Study, name: str, seed: int, tokens: np.ndarray) -> np.ndarray:
    """Train the aggregator on the tokens of the training people and aggregate everybody's: people x width."""
    options, folder = study.options, study.folder / name / str(seed)
    trains = (study.people["split"] == "train").to_numpy()
    aggregator = Aggregator(*tokens.shape[1:])
    if METHODS[name] is None:
        torch.manual_seed(seeds.derive_seed(seed, "random", "image"))
        aggregator = Aggregator(*tokens.shape[1:])
        aggregator.set_statistics(torch.from_numpy(tokens[trains]))
    else:
        settings = runs.Settings.from_config(section(options, name), "image", name, seed)
        columns = list(dict.fromkeys(column for part in study.columns for column in part))
        auxiliary = study.auxiliary(columns) if name.startswith("rnce") else None
        covered = np.array([[column in part for column in columns] for part in study.columns])
        output = folder / "image.safetensors"
        log = runs.train_image(
            *(settings, tokens[trains], study.training, auxiliary, covered if name.startswith("rnce") else None),
            *(folder / "checkpoints" / "image.safetensors", output),
        )
        log.to_csv(folder / "image.tsv", sep="\t", index=False)
        weights.load_weights(aggregator, output)
    aggregator.eval()
    with torch.no_grad():
        return torch.cat([aggregator(part) for part in torch.from_numpy(tokens).split(512)]).numpy()


def _kept(path: Path, identity: dict, make: object) -> np.ndarray:
    """Read an array that was made with these settings before, or make and keep it, with the seconds it took."""
    mark = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()
    note = path.with_suffix(".made.json")
    if path.exists() and note.exists() and json.loads(note.read_text())["identity"] == mark:
        return np.load(path, allow_pickle=False)
    start = time.monotonic()
    values = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, values, allow_pickle=False)
    write_json(note, {"identity": mark, "seconds": time.monotonic() - start})
    return values


def represent(study: Study, name: str, seed: int) -> dict[str, np.ndarray]:
    """Give tokens (people x locations x width) and the image representation (people x width) of one method and seed."""
    ignored = ("out", "methods", "seeds", "split", "draws", "figure", "processes")
    said = {key: value for key, value in vars(study.options).items() if key not in ignored}
    folder = study.folder / name / str(seed)
    patch = {key: value for key, value in said.items() if key not in ("image_epochs", "locations")}
    if not name.startswith("rnce"):
        said.pop("weight"), patch.pop("weight")
    parts = []
    for place in study.locations:
        logger.info("%s, seed %d: %s", name, seed, place)
        made = _kept(folder / f"{place}.npy", patch, lambda place=place: patch_tokens(study, name, seed, place))
        parts.append(made)
    tokens = np.stack(parts, axis=1)
    if len(study.locations) < 2:
        return {"patch": tokens}
    image = _kept(folder / "image.npy", said, lambda: image_representation(study, name, seed, tokens))
    return {"patch": tokens, "image": image}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of all that is made")
    add("--figure", type=Path, help="PNG of the tables; FOLDER/planted_representations.png if left out")
    add("--people", type=int, default=6000, help="60 %% train, 10 %% choose settings, 30 %% are held out")
    add("--spacing", type=float, default=8.0, help="of the template grid in mm; divides 8")
    add("--locations", nargs="+", choices=PATCHES, default=list(phantom_store.LOCATIONS), metavar="PATCH")
    for name in ("regional", "smooth", "texture", "shape"):
        add(f"--{name}", type=float, default=getattr(phantom_store.Design, name), help="see phantom_store.Design")
    add("--methods", nargs="+", choices=list(METHODS), default=["rnce", "simclr", "random"])
    add("--seeds", type=int, nargs="+", default=[1])
    add("--epochs", type=int, default=24)
    add("--image-epochs", type=int, default=60)
    add("--batch", type=int, default=128)
    add("--representation", type=int, default=32)
    add("--learning-rate", type=float, default=2e-3)
    add("--temperature", type=float, default=0.2)
    add("--weight", type=float, default=30.0, help="of the reconstruction term of R-NCE")
    add("--precision", choices=["float32", "bfloat16"], default="float32")
    add("--split", choices=["test", "validate"], default="test", help="who is asked; choose settings on 'validate'")
    add("--processes", type=int, default=1, help="that simulate people, at a time")
    add("--draws", type=int, default=2000, help="of the bootstrap over people")
    options = parser.parse_args(arguments)
    options.locations = tuple(options.locations)
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    runs.use_device(torch.get_num_threads())
    start = time.monotonic()
    study = Study.make(options, options.out)
    logger.info("%d people simulated or found in %.0f s", len(study.people), time.monotonic() - start)
    found = {name: [represent(study, name, seed) for seed in options.seeds] for name in options.methods}
    tables = planted_scores.score(study.people, study.features, study.columns, found, options.split, options.draws)
    planted_scores.write(tables, options.out, options.figure or options.out / "planted_representations.png")


if __name__ == "__main__":
    main()
