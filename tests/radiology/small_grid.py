"""A dataset, its splits and backbones small enough for tests of fits; the positive class is bright in the middle."""

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.models import registry, weights
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.radiology import augment, cells
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.radiology.job import Job, Options
from workflow_scripts.lib.study.tables import write_table

BACKBONES = {
    "tiny": {"family": "ResNet", "layers": [1, 1, 1, 1], "planes": [4, 4, 6, 8], "bottleneck": False},
    "dense": {"family": "DenseNet", "init": 4, "growth": 4, "blocks": [1, 1]},
}
SIZE, IMAGES = 32, 60
CPU = torch.device("cpu")


def make_dataset(name="lesions", images=IMAGES, classes=2, seed=0, sha="0"):
    """Give a dataset whose last class has a bright middle; two images a patient; hashes begin with ``sha``."""
    rng = np.random.default_rng(seed)
    y = np.arange(images) // 2 % classes
    pixels = rng.integers(60, 130, (images, 1, SIZE, SIZE))
    middle = slice(SIZE // 4, -SIZE // 4)
    pixels[y == classes - 1, :, middle, middle] += 100
    table = pd.DataFrame(
        {
            "image_id": [f"{name}{number:03d}" for number in range(images)],
            "row": np.arange(images),
            "y": y,
            "patient_id": [f"{name}-p{number // 2:03d}" for number in range(images)],
            "sha256": [f"{sha}{number:063x}" for number in range(images)],
        }
    )
    return Dataset(name, table, pixels.astype(np.uint8), np.zeros((images, SIZE, SIZE), np.uint8), classes, classes - 1)


def write_dataset(folder, data, labels):
    """Write what ``index_images`` and ``draw_splits`` would; gives the paths of the tables."""
    images = data.images.assign(label=[labels[y] for y in data.y], exam_id=None, slice=pd.NA, has_mask=False)
    images = images.assign(width=SIZE, height=SIZE, coloured=0.0, split_given=None)
    table, splits = folder / data.name / "images.tsv", folder / f"{data.name}_splits.tsv"
    write_table(images, table, "image_index")
    write_table(make_splits(data), splits, "image_splits")
    for name, array in (("images", data.pixels), ("masks", data.masks)):
        np.save(table.with_name(f"{name}.npy"), array)
    return table, splits


def make_splits(data, count=2, seed=0):
    """Split by patient (groups) and by image."""
    parts = []
    for grouping in ("groups", "images"):
        for split in range(count):
            rng = np.random.default_rng([seed, split])
            unit = data.images["row"] // (2 if grouping == "groups" else 1)
            draws = rng.permutation(unit.max() + 1)[unit] / (unit.max() + 1)
            sets = np.select([draws < 0.2, draws < 0.4], ["test", "validation"], "train")
            part = data.images[["image_id", "y"]].assign(grouping=grouping, split=split, set=sets)
            parts.append(part.assign(group=data.images["patient_id"]))
    return pd.concat(parts, ignore_index=True)


def save_backbone(folder, name="tiny", weights_name="random", participants=(), seed=3):
    """Write a backbone with random weights and statistics that are not those of a fresh one."""
    torch.manual_seed(seed)
    network = registry.build(spec(name, BACKBONES)).train()
    with torch.no_grad():
        network(torch.randn(16, 3, SIZE, SIZE))
    file = folder / weights_name / f"{name}.safetensors"
    card = {
        "input": {},
        "intensity": "",
        "participants": list(participants),
        "seed": 0,
        "metrics": {},
        "source": "test",
    }
    weights.save_weights(network.eval(), file, {**card, "preprocessing": "imagenet_rgb"})
    return file


def section(**grid):
    """Give a config section with a grid ``main`` on the small dataset."""
    settings = {"dataset": "lesions", "weights": "random", "backbone": "tiny", "epochs": 3, "batch": 16}
    settings |= {"learning_rate": 0.01, **grid.pop("settings", {})}
    return {"grids": {"main": {"settings": settings, "factors": {}, **grid}}, "cells_per_job": 2}


def make_job(folder, datasets=None, name="job", seed=1, backbones=("tiny",), **options):
    """Give a job on the small dataset."""
    data = datasets or {"lesions": make_dataset()}
    files = {("random", one): save_backbone(folder, one) for one in backbones}
    moves = options.pop("moves", augment.Moves())
    splits = {key: make_splits(one) for key, one in data.items()}
    return Job(Options("main", seed, moves, **options), data, splits, files, folder / name, CPU)


def cells_of(**grid):
    """Expand the small grid with these settings or factors."""
    return cells.expand(section(**grid), "main")
