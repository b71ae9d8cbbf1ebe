"""Simulated brains straight on the template grid: a patch store, exact regional volumes and the planted truth.

Preprocessing and registration are passed over: brains are rendered where registration would have put them. What is
planted lies inside the regional volumes (ageing, disease) or outside all of them (``hidden``: a texture of zero mean
in every region, and a change of shape that leaves the volume of every measured structure as it was).
"""

import dataclasses
import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from workflow_scripts.lib.imaging import atlas, patch_store, regions
from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.phantom import fields
from workflow_scripts.lib.phantom.anatomy import Anatomy, load_anatomy
from workflow_scripts.lib.phantom.people import SCANNERS
from workflow_scripts.lib.phantom.render import ANATOMY_SCALES, Scanner
from workflow_scripts.lib.study.files import atomic, read_json, write_json
from workflow_scripts.lib.study.seeds import generator
from workflow_scripts.lib.study.tables import load_schema, write_table

LOCATIONS = ("medial_temporal_L", "medial_temporal_R")
WHITE = 110.0  # intensity of white matter in registered volumes
LEFT_BIAS = 0.25  # share of a scanner's field that bias correction leaves
SHARD = 250  # people
SMALLEST = 1000.0  # mm^3; the temporal horns, 0.3 ml, are a few voxels of 4 mm


@dataclasses.dataclass(frozen=True)
class Design:
    """What the simulated people are.

    Attributes
    ----------
    people : int
        One scan each.
    spacing : float
        Of the template grid, mm; divides 8.
    locations : tuple of str
        Patches that are stored; the structures that belong to them are measured.
    seed : int
    regional : float
        Standard deviation of the planted log volume of each structure, one draw a structure and person.
    smooth : float
        Random anatomy beyond volumes, relative to the embedded study's (1).
    texture, shape : float
        Of ``hidden`` at its largest (1): intensity relative to white matter, and shape (log volume change at either end
        of a structure). The embedded study has 0.06 and 0.35, which random weights see as well.
    train, validate : float
        Shares of the people that train, and on which settings are chosen; the others are held out.
    """

    people: int = 6000
    spacing: float = 8.0
    locations: tuple[str, ...] = LOCATIONS
    seed: int = 20
    regional: float = 0.15
    smooth: float = 0.25
    texture: float = 0.02
    shape: float = 0.12
    train: float = 0.6
    validate: float = 0.1


class Renderer:
    """Everything that people share: maps, one velocity a structure, the hidden shape without any volume change."""

    def __init__(self, design: Design):
        self.design, self.anatomy = design, load_anatomy(design.spacing)
        self.names, self.masks = _structures(self.anatomy, design.locations)
        self.velocities = torch.stack([_own_velocity(mask.numpy()) for mask in self.masks])
        # the template grid inside the anatomy's, which has a margin
        offset = (np.array(Grid(design.spacing).affine[:3, 3]) - self.anatomy.grid.affine[:3, 3]) / design.spacing
        shift = torch.from_numpy(offset.astype(np.float32)).view(3, 1, 1, 1)
        self.points = fields.identity(Grid(design.spacing).shape) + shift
        self.channels = torch.cat([self.anatomy.tissue[:3], self.anatomy.texture[None], self.anatomy.hidden[None]])
        self.shape = self._volume_free(self.anatomy.velocities["shape"])

    def places(self, velocity: torch.Tensor) -> torch.Tensor:
        """Where in the base anatomy each voxel of the template grid reads: 3 x X x Y x Z."""
        return self.points + fields.sample(fields.exponential(-velocity, steps=4), self.points)

    def volumes(self, places: torch.Tensor) -> np.ndarray:
        """Measure the structures in mm^3: the labels are carried along exactly."""
        voxels = fields.sample(self.masks, places, padding="zeros").double().sum((1, 2, 3))
        return voxels.numpy() * self.design.spacing**3

    def _volume_free(self, velocity: torch.Tensor, step: float = 0.2) -> torch.Tensor:
        """Take from a velocity what it does to the measured volumes, by those of single structures, to first order."""

        def slope(field: torch.Tensor) -> np.ndarray:
            up, down = (np.log(self.volumes(self.places(sign * step * field))) for sign in (1, -1))
            return (up - down) / (2 * step)

        for _ in range(2):
            effects = np.stack([slope(own) for own in self.velocities], axis=1)
            share = np.linalg.lstsq(effects, slope(velocity), rcond=None)[0]
            velocity = velocity - torch.einsum("k,kaxyz->axyz", torch.from_numpy(share).float(), self.velocities)
        return velocity

    def person(self, row: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Render one person: the registered volume (float32, X x Y x Z) and the volumes of the structures in mm^3."""
        design, random = self.design, generator(self.design.seed, "person", row.participant_id)
        grid = self.anatomy.grid
        scales = [(sigma, rms * max(design.smooth, 1e-6)) for sigma, rms in ANATOMY_SCALES]
        own = fields.random_velocity(grid.shape, grid.spacing, scales, random)
        own = fields.without_pose(own, self.anatomy.brain)
        rates = torch.from_numpy(random.normal(0, design.regional, len(self.names)).astype(np.float32))
        own = own + torch.einsum("k,kaxyz->axyz", rates, self.velocities)
        own = own + (row.brain_age - 65) / 10 * self.anatomy.velocities["ageing"]
        own = own + row.severity * self.anatomy.velocities["disease"] + design.shape * row.hidden * self.shape
        places = self.places(own)
        grey, white, csf, texture, pattern = fields.sample(self.channels, places, padding="zeros")
        scanner = SCANNERS[row.site]
        image = scanner.grey * grey + white + scanner.csf * csf + 0.8 * texture
        image = (image + design.texture * row.hidden * pattern * (grey + white)).clamp(min=0).numpy()
        return acquire(image, scanner, design.spacing, random), self.volumes(places)


def acquire(image: np.ndarray, scanner: Scanner, spacing: float, random: np.random.Generator) -> np.ndarray:
    """Blur, what bias correction leaves of the field, Rician noise; white matter at 110, zero outside the brain."""
    inside = image > 0.1
    image = ndimage.gaussian_filter(image, scanner.blur / 2.355 / spacing)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in image.shape], indexing="ij", sparse=True)
    field = sum(weight * axis for weight, axis in zip(random.uniform(-1, 1, 3), axes, strict=True))
    image = image * np.exp(LEFT_BIAS * scanner.bias * field / np.abs(field).max())
    # scans have voxels of 1 mm, which resampling averages
    real, imaginary = scanner.noise * spacing**-1.5 * random.standard_normal((2, *image.shape))
    return (np.hypot(image + real, imaginary) * inside * WHITE).astype(np.float32)


def _structures(anatomy: Anatomy, locations: tuple[str, ...]) -> tuple[list[str], torch.Tensor]:
    """Name the features of the locations, and give each its soft mask: its label times the tissue that counts."""
    known = {name: (code, tissue) for code, (name, tissue) in atlas.feature_structures().items()}
    table = regions.assign_features(list(known))
    names = list(dict.fromkeys(table.loc[table["patch"].isin(locations), "feature"]))
    grey, white, csf = anatomy.tissue[:3]
    tissues = {"grey": grey, "white": white, "csf": csf, "any": torch.ones_like(grey)}
    masks = {}
    for name in names:
        code, tissue = known[name]
        inside = torch.from_numpy((anatomy.labels == code).astype(np.float32))
        # the maps of fluid are too coarse for small ventricles: their outline counts
        masks[name] = inside if tissue == "csf" else inside * tissues[tissue]
    masks = {name: mask for name, mask in masks.items() if mask.sum() * anatomy.grid.spacing**3 > SMALLEST}
    return list(masks), torch.stack(list(masks.values()))


def _own_velocity(mask: np.ndarray) -> torch.Tensor:
    return fields.velocity_for_divergence(ndimage.gaussian_filter(mask, 0.6))


def draw_people(design: Design) -> pd.DataFrame:
    """Draw who they are, one row a person: ids, split, site, and the planted truth.

    ``age`` (years), ``brain_age``, ``severity`` (0 in the 60 % without disease), ``hidden`` (even between 0 and 1,
    independent of everything else), ``patient`` (diseased), ``carrier`` (of a label that hidden alone decides, with
    noise as in any diagnosis).
    """
    random, count = generator(design.seed, "people"), design.people
    age = random.uniform(45, 85, count)
    sick = random.random(count) < 0.4
    hidden = random.random(count)
    marks = np.array([round(design.train * count), round((design.train + design.validate) * count)])
    ids = [f"sub-{number:05d}" for number in range(count)]
    return pd.DataFrame(
        {
            "scan_id": [f"{name}_1" for name in ids],
            "participant_id": ids,
            "split": np.array(["train", "validate", "test"])[np.searchsorted(marks, np.arange(count), side="right")],
            "site": random.choice(list(SCANNERS), count),
            "age": age,
            "brain_age": age + random.normal(0, 3, count),
            "severity": np.where(sick, random.uniform(0.2, 1, count), 0.0),
            "hidden": hidden,
            "patient": sick.astype(int),
            "carrier": (hidden + random.normal(0, 0.15, count) > 0.5).astype(int),
        }
    )


@cache
def _renderer(design: Design) -> Renderer:
    return Renderer(design)


def _write_shard(people: pd.DataFrame, design: Design, folder: Path) -> pd.DataFrame:
    """Write one shard in the format of the patch store, chosen patches only; return scan_id and log volumes."""
    torch.set_num_threads(1)
    render, boxes = _renderer(design), regions.patch_slices(design.spacing)
    stacks, rows, measured = {place: [] for place in design.locations}, [], []
    for number, row in enumerate(people.itertuples()):
        volume, voxels = render.person(row)
        numbers, scale = patch_store.to_uint8(volume)
        for place, stack in stacks.items():
            stack.append(numbers[boxes[place]])
        rows.append((row.scan_id, number, scale, 0.6 * WHITE, 0.85 * WHITE))
        measured.append(np.log(voxels))
    folder.mkdir(parents=True, exist_ok=True)
    for place, stack in stacks.items():
        with atomic(folder / f"{place}.npy") as temporary:
            np.save(temporary, np.stack(stack), allow_pickle=False)
    listing = pd.DataFrame(rows, columns=["scan_id", "row", "scale", "csf_grey", "grey_white"])
    known = [column for column in listing if column in load_schema("patch_shard")["properties"]]
    write_table(listing[known], folder / "scans.tsv", "patch_shard")
    contract = registered_contract({"spacing_mm": design.spacing, "parameters": 7})
    write_json(folder / "contract.json", contract.to_json())
    return pd.DataFrame(measured, columns=render.names).assign(scan_id=people["scan_id"].to_numpy())


def make_store(design: Design, folder: Path, processes: int = 1) -> None:
    """Simulate the people, unless the folder holds those of this design already.

    Parameters
    ----------
    design : Design
    folder : path
        Gets ``000``, ``001``... (shards of the patch store), ``people.tsv``, ``features.tsv`` (log volumes and scan_id)
        and ``design.json``, the last of all.
    processes : int
        Shards at a time.
    """
    said = json.loads(json.dumps(dataclasses.asdict(design)))
    if (folder / "design.json").exists() and read_json(folder / "design.json") == said:
        return
    for old in folder.glob("[0-9]*"):
        shutil.rmtree(old)
    people = draw_people(design)
    shards = [people.iloc[start : start + SHARD] for start in range(0, len(people), SHARD)]
    jobs = (shards, [design] * len(shards), [folder / f"{number:03d}" for number in range(len(shards))])
    if processes > 1:
        # spawn: a fork of a process with torch's threads can hang
        with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
            measured = list(pool.map(_write_shard, *jobs))
    else:
        measured = list(map(_write_shard, *jobs))
    write_table(people, folder / "people.tsv")
    write_table(pd.concat(measured, ignore_index=True), folder / "features.tsv")
    write_json(folder / "design.json", said)


def structures(features: pd.DataFrame, locations: tuple[str, ...]) -> list[list[str]]:
    """List the measured features of each location."""
    table = regions.assign_features([name for name in features if name != "scan_id"])
    return [table.loc[table["patch"] == place, "feature"].tolist() for place in locations]
