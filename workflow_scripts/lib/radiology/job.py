"""What the fits of a job read, loaded once: images, splits, backbones; and how a fit is named and remembered."""

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.pretrain.checkpoint import identity_hash
from workflow_scripts.lib.radiology import augment
from workflow_scripts.lib.radiology.cache import Cache, Pictures
from workflow_scripts.lib.radiology.cells import KEYS
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.radiology.splits import read_split, row_groups
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.files import read_json
from workflow_scripts.lib.study.ids import participant_hash

NAMES = (("patient", "patient_id"), ("exam", "exam_id"), ("image", "sha256"))


@dataclasses.dataclass(frozen=True)
class Options:
    """What all fits of a job share beside the files.

    Attributes
    ----------
    grid : str
    seed : int
        Seed of the study.
    moves : augment.Moves
    keep_weights : bool
        Whether every fit's classifier is written.
    cache_mb : float
        Limit of the memory for features of frozen layers.
    code : str
        Hash of the code.
    """

    grid: str
    seed: int
    moves: augment.Moves
    keep_weights: bool = False
    cache_mb: float = 4000.0
    code: str = ""


@dataclasses.dataclass(frozen=True)
class Fit:
    """One fit. ``key``, the hash of all that its result depends on, names its files."""

    cell: dict
    split: int
    seed: int
    key: str

    @property
    def name(self) -> str:
        """For logs and messages."""
        return f"{self.cell['cell']}, split {self.split}, seed {self.seed}"


class Job:
    """Everything that fits of a job read, loaded once.

    Parameters
    ----------
    options : Options
    datasets : mapping of str to Dataset
    splits : mapping of str to pandas.DataFrame
        Dataset -> schema ``image_splits``.
    backbones : mapping of (str, str) to path
        (weights, backbone) -> the ``.safetensors`` file.
    folder : path
        Of records and checkpoints.
    device : torch.device
    """

    def __init__(
        self,
        options: Options,
        datasets: Mapping[str, Dataset],
        splits: Mapping[str, pd.DataFrame],
        backbones: Mapping[tuple[str, str], str | Path],
        folder: str | Path,
        device: torch.device,
    ):
        self.options, self.datasets, self.splits, self.device = options, datasets, splits, device
        self.files = {pair: Path(path) for pair, path in backbones.items()}
        self.folder, self.cache = Path(folder), Cache(int(options.cache_mb * 1e6))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.backbone = functools.lru_cache(2)(self._backbone)
        self.pictures = functools.lru_cache(2)(self._pictures)
        self.digests = functools.lru_cache(None)(lambda name: digest_rows(self.datasets[name].pixels))
        self.names = functools.lru_cache(None)(lambda name: image_names(self.datasets[name]))
        self.groups = functools.lru_cache(None)(lambda name: row_groups(self.splits[name], self.datasets[name]))
        self.card = functools.lru_cache(None)(lambda *pair: weights.read_card(self.files[pair]))
        self.rows = functools.lru_cache(None)(
            lambda name, grouping, split: read_split(self.splits[name], self.datasets[name], grouping, split)
        )

    def _backbone(self, *pair: str) -> nn.Module:
        return weights.load_any(self.files[pair])[0].to(self.device)

    def _pictures(self, name: str) -> Pictures:
        data = self.datasets[name]
        options = self.options
        return Pictures(name, data.images["image_id"], data.pixels, options.moves, options.seed, self.device)

    def rule(self, cell: Mapping) -> str:
        """Return how pixels are prepared: as the cell says, else as the card of its weights does."""
        card = self.card(cell["weights"], cell["backbone"])
        rule = cell["preprocessing"] or card.get("preprocessing")
        if not rule:
            raise StudyError(
                f"the card of weights '{cell['weights']}' ({cell['backbone']}) names no preprocessing, nor does cell "
                f"'{cell['cell']}'. Name it under radiology.weights.{cell['weights']}."
            )
        return rule

    def refuse_seen(self, cell: Mapping) -> None:
        """Refuse weights that were trained on patients, exams or images of the dataset."""
        card = self.card(cell["weights"], cell["backbone"])
        refuse_shared(card, self.datasets[cell["dataset"]], f"weights '{cell['weights']}'")

    def fit(self, cell: dict, split: int, seed: int) -> Fit:
        """Name a fit by the hash of all that its result depends on; the job and other fits are not among it.

        Groups and names of the images are: numbers of the row and the card of kept weights are made of them.
        """
        data, card = self.datasets[cell["dataset"]], self.card(cell["weights"], cell["backbone"])
        rows = self.rows(cell["dataset"], cell["grouping"], split)
        digests, options, y = self.digests(cell["dataset"]), self.options, data.y.tolist()
        groups, names = self.groups(cell["dataset"]), self.names(cell["dataset"])
        said = {
            "cell": {key: cell[key] for key in KEYS},
            "place": [split, seed],
            "seed": options.seed,
            "code": options.code,
            "moves": dataclasses.asdict(options.moves) if cell["augment"] else None,
            "weights": [card["sha256"], card["architecture"], self.rule(cell)],
            "target": [data.classes, data.positive],
            **{
                name: [[digests[row], y[row], str(groups[row]), *names[row]] for row in members]
                for name, members in rows.items()
            },
            "images": data.images["image_id"].tolist(),
        }
        return Fit(cell, split, seed, identity_hash(said))

    def kept(self, fit: Fit) -> dict | None:
        """Read the record of a fit that was done before; None without one, or without weights that are wanted.

        A fit that diverged has no weights; they are not asked for.
        """
        try:
            record = read_json(self.folder / f"{fit.key}.json")
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        wanted = self.options.keep_weights and not record["reason"]
        return None if wanted and not weights.card_path(self.weights_file(fit)).exists() else record

    def weights_file(self, fit: Fit) -> Path:
        """Return where the classifier of a fit is kept until the job is done."""
        return self.folder / f"{fit.key}.weights.safetensors"


def image_names(data: Dataset) -> list[tuple[str, ...]]:
    """Name every image by all that tells that another one is the same, or of the same person.

    Returns
    -------
    list of tuple of str
        By row: ``patient:ID`` and ``exam:ID`` where they are known, and ``image:SHA256`` of the pixels as given. The
        dataset is no part of them: a patient of one hospital may be in two of its datasets.
    """
    columns = [(kind, data.images[column]) for kind, column in NAMES if column in data.images]
    named = [[None if pd.isna(value) else f"{kind}:{value}" for value in values] for kind, values in columns]
    return [tuple(name for name in names if name is not None) for names in zip(*named, strict=True)]


def all_names(data: Dataset, rows: Iterable[int] | None = None) -> set[str]:
    """Collect the names (:func:`image_names`) of these rows of a dataset, or of all."""
    named = image_names(data)
    return {name for row in (range(len(named)) if rows is None else rows) for name in named[row]}


def refuse_shared(card: Mapping, data: Dataset, what: str, rows: Iterable[int] | None = None) -> None:
    """Refuse weights if a patient, an exam or an image to evaluate has trained them.

    Parameters
    ----------
    card : mapping
        Of the weights.
    data : Dataset
    what : str
        Names the weights.
    rows : iterable of int, optional
        Images to evaluate; all by default.

    Raises
    ------
    LeakageError
        Says how many of each kind, the first of them, and what to do if equal ids mean different people.
    """
    seen = set(card["participants"])
    both = sorted(name for name in all_names(data, rows) if participant_hash(name) in seen)
    if not both:
        return
    counts = Counter(name.split(":", 1)[0] for name in both)
    shared = ", ".join(f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind, _ in NAMES if counts[kind])
    first = next(name for kind, _ in NAMES for name in both if name.startswith(f"{kind}:"))
    remedy = "Take them out of the dataset, or use weights that never saw them."
    if set(counts) - {"image"}:
        remedy += " If ids of unrelated people are equal by chance, as '1' is, give those of one dataset a prefix."
    raise LeakageError(f"{shared} of dataset '{data.name}' trained {what}, the first is '{first}'. {remedy}")


def digest_rows(pixels: np.ndarray) -> list[str]:
    """Hash every image."""
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in pixels]
