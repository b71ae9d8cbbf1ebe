"""What grids of 2D fits cost: kept features, moves of a batch, a step of ResNet50, and the published grid on a GPU.

python -m tests.benchmarks.transfer [--grid] [--minutes M] [--threads N] [--small]

Ratios are of times taken in turns in one process. ``--grid`` fits the published 176 combinations to made-up images with
random weights, a split and a seed each, until ``--minutes`` are over, and says what all would take. ``--small`` is what
the smoke test runs. Nothing but torch, monai, numpy, pandas, scipy, safetensors and pyyaml is needed.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from workflow_scripts.lib.models import registry, weights
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.radiology import augment, cells, fits
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.radiology.job import Job, Options

ROOT = Path(__file__).resolve().parents[2]
TINY = {"family": "ResNet", "layers": [1, 1, 1, 1], "planes": [8, 8, 8, 8], "bottleneck": False}


def seconds(call: Callable[[], object], device: torch.device, least: float = 0.5) -> float:
    """Time a call, several times if it is short: the median."""
    found = []
    while sum(found) < least and len(found) < 50:
        begun = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begun)
    return float(np.median(found))


def made_up(name: str, images: int, side: int) -> tuple[Dataset, pd.DataFrame]:
    """Make a dataset of noise, and one split of it by groups of one image."""
    rng = np.random.default_rng(len(name) + images)
    ids = [f"{name}{number:04d}" for number in range(images)]
    y = np.arange(images) % 2
    table = pd.DataFrame({"image_id": ids, "row": np.arange(images), "y": y, "patient_id": ids, "sha256": ids})
    pixels = rng.integers(0, 256, (images, 1, side, side), dtype=np.uint8)
    sets = np.select([np.arange(images) % 20 < 2, np.arange(images) % 20 < 5], ["test", "validation"], "train")
    split = pd.DataFrame({"grouping": "groups", "split": 0, "image_id": ids, "group": ids, "y": y, "set": sets})
    return Dataset(name, table, pixels, np.zeros((0, side, side), np.uint8), 2, 1), split


def make_job(folder: Path, pairs: list, sizes: dict, images: dict, side: int, device: torch.device, mb: float) -> Job:
    """Make a job on made-up images with random weights."""
    files = {}
    for name, backbone in pairs:
        torch.manual_seed(0)
        files[name, backbone] = folder / name / f"{backbone}.safetensors"
        card = {"input": {}, "intensity": "", "participants": [], "seed": 0, "metrics": {}, "source": "random"}
        network = registry.build(spec(backbone, sizes))
        weights.save_weights(network, files[name, backbone], {**card, "preprocessing": "caffe_seed"})
    made = {name: made_up(name, count, side) for name, count in images.items()}
    sets, splits = ({name: pair[place] for name, pair in made.items()} for place in (0, 1))
    options = Options("main", 0, augment.Moves(), cache_mb=mb)
    return Job(options, sets, splits, files, folder / f"records{mb:.0f}", device)


def compare_cache(side: int, images: int, backbone: str, device: torch.device) -> list[dict]:
    """Fit two heads with and without kept features; the weights that come out must be the same."""
    section = {
        "fit": {"epochs": 3, "batch": 16, "learning_rate": 1e-3, "backbone": backbone, "weights": "random"},
        "grids": {"main": {"factors": {"dataset": ["made"], "head": ["Linear", "NonLinear"]}}},
    }
    rows, tables = [], []
    for mb in (4000.0, 0.0):
        with tempfile.TemporaryDirectory() as folder:
            pairs, sizes = [("random", backbone)], {"tiny": TINY}
            job = make_job(Path(folder), pairs, sizes, {"made": images}, side, device, mb)
            job.backbone(*pairs[0])
            begun = time.perf_counter()
            tables.append(fits.fit_cells(job, cells.expand(section, "main"), 1, 1)[0])
            rows.append(time.perf_counter() - begun)
    same = tables[0].drop(columns="cached").equals(tables[1].drop(columns="cached"))
    what = f"2 heads, 3 epochs, {images} images of {side} px, {backbone} frozen"
    return [{"what": f"{what}: kept features (same results: {same})", "seconds": rows[0], "ratio": rows[1] / rows[0]}]


def compare_moves(side: int, images: int, device: torch.device) -> list[dict]:
    """Move a batch at once, image by image, and with PIL."""
    moves = augment.Moves()
    pixels = np.random.default_rng(0).integers(0, 256, (images, 1, side, side), dtype=np.uint8)
    batch = torch.from_numpy(pixels).to(device)
    drawn = augment.draw(moves, [str(number) for number in range(images)], 0, 0, "made")

    def one_by_one():
        return [augment.apply(batch[i : i + 1], drawn[i : i + 1], moves) for i in range(images)]

    def with_pil():
        found = []
        for image, matrix in zip(pixels[:, 0], augment.matrices(drawn), strict=True):
            turn = Image.fromarray(image).rotate(10, Image.Resampling.NEAREST, fillcolor=128)
            found.append(np.asarray(turn.transform((side, side), Image.Transform.AFFINE, matrix.ravel().tolist())))
        return torch.from_numpy(np.stack(found)).to(device).float()

    whole = seconds(lambda: augment.apply(batch, drawn, moves), device)
    what = f"affine moves of {images} images of {side} px"
    rows = [{"what": f"{what}: one grid for the batch", "seconds": whole, "ratio": 1.0}]
    for name, call in (("image by image", one_by_one), ("PIL, rotation and affine, on the CPU", with_pil)):
        rows.append({"what": f"{what}: {name}", "seconds": (took := seconds(call, device)), "ratio": took / whole})
    return rows


def time_step(side: int, batch: int, backbone: str, structure: str, device: torch.device) -> list[dict]:
    """Time a training step in both precisions."""
    rows = []
    for precision in ("float32", "bfloat16"):
        section = {
            "fit": {"dataset": "made", "weights": "random", "backbone": backbone, "structure": structure},
            "grids": {"main": {"settings": {"batch": batch, "precision": precision, "augment": True}}},
        }
        with tempfile.TemporaryDirectory() as folder:
            job = make_job(Path(folder), [("random", backbone)], {"tiny": TINY}, {"made": 2 * batch}, side, device, 0.0)
            level = fits.make_level(job, job.fit(cells.expand(section, "main")[0], 0, 0))
            optimizer = torch.optim.Adam([p for p in level.parameters() if p.requires_grad], lr=1e-4)
            rows_of = np.arange(batch)

            def step(level=level, optimizer=optimizer, rows_of=rows_of):
                optimizer.zero_grad()
                level.step(rows_of, None)[0].backward()
                optimizer.step()

            step()
            what = f"step of {backbone}, {structure}, {batch} images of {side} px, {precision}"
            rows.append({"what": what, "seconds": seconds(step, device, 2.0)})
    return [{**row, "ratio": row["seconds"] / rows[0]["seconds"]} for row in rows]


def time_grid(minutes: float, device: torch.device, section: dict, images: dict) -> list[dict]:
    """Fit the cells of grid ``main``, dearest kinds spread evenly, until the time is over; tell what all would take."""
    everything, begun = cells.order(section, "main"), time.perf_counter()
    pairs, took = cells.needs(everything)["backbones"], []
    with tempfile.TemporaryDirectory() as folder:
        mb = section.get("cache_mb", 8000)
        job = make_job(Path(folder), pairs, section["backbones"], images, section["size"], device, mb)
        # every seventh first, so that a run that is cut short has seen all heads and backbones
        for cell in [cell for first in range(7) for cell in everything[first::7]]:
            if time.perf_counter() - begun > 60 * minutes:
                break
            start = time.perf_counter()
            fits.fit_cells(job, [cell], 1, 1)
            took.append({"head": cell["head"], "filters": cell["filters"], "ratio": cell["ratio"]})
            took[-1] |= {"backbone": cell["backbone"], "seconds": time.perf_counter() - start}
    table = pd.DataFrame(took)
    every = pd.DataFrame(everything)[["backbone", "head", "filters", "ratio"]]
    keys = ["backbone", "head", "filters", "ratio"]
    means = table.groupby(keys, dropna=False)["seconds"].mean().rename("mean").reset_index()
    total = every.merge(means, on=keys, how="left")["mean"].fillna(table["seconds"].mean()).sum()
    rows = [
        {"what": " ".join(str(value) for value in row[keys]), "seconds": row["mean"], "ratio": np.nan}
        for _, row in means.iterrows()
    ]
    said = f"{len(table)} of {len(everything)} fits done; all of them, in one process (estimated)"
    return [*rows, {"what": said, "seconds": total, "ratio": np.nan}]


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    """Run what is asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--grid", action="store_true", help="the published 176 combinations; wants a GPU")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the grid")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side, batch, name, structure = (
        (32, 8, "tiny", "unfreezetop2") if asked.small else (256, 64, "ResNet50", "unfreezetop5")
    )
    if device.type == "cpu" and not asked.small:
        batch = 8
    rows = compare_cache(32 if asked.small else 128, 48, "tiny" if asked.small else "ResNet50", device)
    rows += compare_moves(side, batch, device) + time_step(side, batch, name, structure, device)
    if asked.grid:
        section = yaml.safe_load((ROOT / "envs" / "frees.yaml").read_text())["radiology"]
        section, images = {**section, "backbones": {}}, {"breast": 780, "acl": 1021}
        if asked.small:
            section = {**section, "size": 32, "backbones": {"tiny": TINY}, "weights": {"imagenet": {}}}
            section["grids"] = {
                "main": {"factors": {"backbone": ["tiny"], "head": ["Linear", "Conv"], "filters": [4, 16]}}
            }
            section["grids"]["main"]["settings"] = {"dataset": "breast", "weights": "imagenet", "epochs": 1}
            images = {"breast": 48}
        rows += time_grid(asked.minutes, device, section, images)
    table = pd.DataFrame(rows)
    place = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {asked.threads} threads"
    print(f"{place}, torch {torch.__version__}")
    print(table.round(4).to_string(index=False))
    return table


if __name__ == "__main__":
    main()
