"""Weights trained here: a backbone learns the classes of a source dataset, and starts grids on other datasets."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.evaluate.image_scores import measure
from workflow_scripts.lib.models import registry, weights
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.models.preprocessing import RULES
from workflow_scripts.lib.pretrain.loop import train
from workflow_scripts.lib.pretrain.optimize import Schedule
from workflow_scripts.lib.radiology import augment
from workflow_scripts.lib.radiology.cache import Cache, Frozen, Pictures
from workflow_scripts.lib.radiology.dataset import Dataset
from workflow_scripts.lib.radiology.job import all_names, digest_rows
from workflow_scripts.lib.radiology.level import MINUTES, CellLevel, Task
from workflow_scripts.lib.radiology.splits import read_split
from workflow_scripts.lib.study import ids, seeds
from workflow_scripts.lib.study.errors import StudyError

SCHEDULE = ("epochs", "batch", "learning_rate", "optimizer", "weight_decay", "momentum", "nesterov", "warmup", "clip")
LOG = ("epoch", "steps", "learning_rate", "loss", "valid_accuracy", "valid_loss", "chosen")


class SourceLevel(CellLevel):
    """A classifier all of whose layers learn; the epoch with the best validation accuracy counts, then the lowest loss.

    The loss alone would choose the first epochs: with few images probabilities grow too sure while features still gain.
    """

    def validate(self) -> dict[str, float]:
        """Measure the validation images."""
        y = self.task.y[self.task.rows["validation"]]
        found = measure(y, self.probabilities("validation"), self.task.positive)
        if not np.isfinite(found["loss"]):
            return {"criterion": np.nan, "loss": np.nan, "accuracy": np.nan}
        # whole numbers of right images decide, and a loss below 1 between equal ones
        criterion = -round(found["accuracy"] * len(y)) + found["loss"] / (1 + found["loss"])
        return {"criterion": criterion, "loss": found["loss"], "accuracy": found["accuracy"]}


@dataclasses.dataclass(frozen=True)
class Source:
    """Names and settings of a training.

    Attributes
    ----------
    weights, backbone : str
        Names in config.
    entry : mapping
        ``radiology.weights.NAME`` of kind ``trained``: dataset, preprocessing, augment, and the schedule.
    sizes : mapping or None
        ``radiology.backbones.NAME``; None for a backbone that is built in.
    moves : augment.Moves
    seed : int
        Seed of the study.
    code : str
        Hash of the code; a checkpoint of other code is not gone on with.
    """

    weights: str
    backbone: str
    entry: Mapping
    sizes: Mapping | None
    moves: augment.Moves
    seed: int
    code: str = ""

    @property
    def rule(self) -> str:
        """How pixels are prepared, for good: a property of the weights."""
        rule = self.entry.get("preprocessing") or "imagenet_rgb"
        if rule not in RULES:
            raise StudyError(f"radiology.weights.{self.weights}.preprocessing is {rule}, expected {', '.join(RULES)}")
        return rule

    @property
    def keys(self) -> tuple:
        """Name the draws."""
        return self.seed, "pretrain_backbone", self.weights, self.backbone

    @property
    def schedule(self) -> Schedule:
        """Half a cosine over all steps, after a warm-up; every setting of the entry that a schedule knows."""
        given = {key: self.entry[key] for key in SCHEDULE if self.entry.get(key) is not None}
        return Schedule(**given, keep_last=True, checkpoint_epochs=10**6, checkpoint_minutes=MINUTES)


def train_backbone(
    source: Source, data: Dataset, splits: pd.DataFrame, checkpoint: Path, output: Path, device: torch.device
) -> pd.DataFrame:
    """Train a backbone on the classes of a dataset and write the backbone alone, with its card.

    The validation images are those of the first split by groups; all others train, as nothing is tested here.

    Parameters
    ----------
    source : Source
    data : Dataset
    splits : pandas.DataFrame
        Schema ``image_splits``.
    checkpoint, output : path
        ``output`` is the ``.safetensors`` file. The card names all patients, exams and images of the dataset (hashed),
        so that a grid on one of them refuses these weights. An interrupted training goes on from ``checkpoint`` and
        gives the same bytes; one of other data, settings or code starts anew.
    device : torch.device

    Returns
    -------
    pandas.DataFrame
        One row an epoch: epoch, steps, learning_rate, loss, valid_accuracy, valid_loss, chosen.

    Raises
    ------
    LeakageError
        If a group stands in two sets of the split.
    StudyError
        If the training diverges, or the entry is impossible.
    """
    level = _level(source, data, splits, device)
    rows, schedule = level.task.rows, source.schedule
    known, hooks = _identity(source, data, level), {"validate": level.validate, "tell": level.tell}
    log = train(level, level.step, len(rows["train"]), schedule, source.keys, device, checkpoint, known, **hooks)
    table = pd.DataFrame(log)[list(LOG)]
    chosen = next(row for row in log if row["chosen"])
    card = {
        "input": {"size": data.size, "channels": 3, "dataset": data.name, "classes": data.classes},
        "intensity": f"pixels from 0 to 255 by rule {source.rule}: {RULES[source.rule].title}",
        "preprocessing": source.rule,
        "participants": ids.participant_hashes(all_names(data)),
        "participants_known": True,
        "seed": source.seed,
        "metrics": {key: chosen[key] for key in ("epoch", "valid_accuracy", "valid_loss")},
        "source": f"trained by this workflow on the {data.classes} classes of dataset {data.name}",
    }
    weights.save_weights(level.classifier.backbone, output, card)
    return table


def _identity(source: Source, data: Dataset, level: SourceLevel) -> dict:
    """Collect all that a training depends on beside its schedule and the names of its draws."""
    return {
        "code": source.code,
        "entry": {key: value for key, value in source.entry.items() if key != "title"},
        "rule": source.rule,
        "moves": dataclasses.asdict(source.moves),
        "architecture": level.classifier.architecture,
        "pixels": digest_rows(data.pixels),
        "shape": list(data.pixels.shape),
        "images": data.images["image_id"].tolist(),  # moves are drawn by these, and by the dataset's name
        "dataset": [data.name, data.classes, data.positive],
        "y": data.y.tolist(),
        **{name: members.tolist() for name, members in level.task.rows.items()},
    }


def _level(source: Source, data: Dataset, splits: pd.DataFrame, device: torch.device) -> SourceLevel:
    split = read_split(splits, data, "groups", 0)
    rows = {"train": np.sort(np.concatenate([split["train"], split["test"]])), "validation": split["validation"]}
    torch.manual_seed(seeds.derive_seed(*source.keys, "weights"))
    backbone = registry.build(spec(source.backbone, {source.backbone: dict(source.sizes)} if source.sizes else None))
    classifier = Classifier(backbone, {"name": "Linear", "classes": data.classes}).to(device)
    classifier.batch_norm = "adapted"
    classifier.train()
    pictures = Pictures(data.name, data.images["image_id"], data.pixels, source.moves, source.seed, device)
    augmented = bool(source.entry.get("augment", True))
    frozen = Frozen(pictures, classifier.backbone, 0, source.rule, 0, Cache(0), (source.weights, source.backbone))
    task = Task(data.y, rows, data.classes, data.positive, source.entry.get("balance", "none"), augmented, source.keys)
    return SourceLevel(classifier, frozen, task)
