"""What one training step and one validation of a classifier of images are."""

import dataclasses

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.evaluate.image_scores import measure
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.pretrain.optimize import Schedule
from workflow_scripts.lib.radiology.cache import Frozen, autocast
from workflow_scripts.lib.study import seeds

DECAYS = {"beta": "beta", "cosine": "epoch cosine", "none": "none"}
MINUTES = 5.0  # between checkpoints of a fit


@dataclasses.dataclass(frozen=True)
class Task:
    """What is to be learned, and from which images.

    Attributes
    ----------
    y : numpy.ndarray
        Class of every image of the dataset, int64 (n,).
    rows : dict of str to numpy.ndarray
        Set -> rows of the dataset.
    classes, positive : int
        How many there are, and the one whose probability is the score.
    balance : {'none', 'loss', 'sampler'}
        Rare classes weigh as much as common ones in the loss, or are drawn as often, or neither.
    augment : bool
    keys : tuple
        Study seed and names, for draws.
    """

    y: np.ndarray
    rows: dict[str, np.ndarray]
    classes: int
    positive: int
    balance: str
    augment: bool
    keys: tuple


class CellLevel(nn.Module):
    """A classifier, the images of a split, and a step on a batch of those that train.

    Parameters
    ----------
    classifier : Classifier
        With its unfreezing applied.
    frozen : Frozen
        Gives what its first layer that learns reads; of all images if batch normalisation adapts.
    task : Task
    """

    def __init__(self, classifier: Classifier, frozen: Frozen, task: Task):
        super().__init__()
        self.classifier, self.frozen, self.task, self.epoch = classifier, frozen, task, 0
        self.device = frozen.pictures.device
        if self.device.type == "cuda":
            self.to(self.device, memory_format=torch.channels_last)
        self.targets = torch.tensor(task.y, device=self.device)
        self.weights = class_weights(task.y[task.rows["train"]], task.classes) if task.balance == "loss" else None
        self.weights = None if self.weights is None else torch.from_numpy(self.weights).float().to(self.device)
        self._drawn: tuple[int, np.ndarray] | None = None

    def tell(self, epoch: int) -> None:
        """Note which epoch (counted from 0) the next steps belong to; augmented views and samples depend on it."""
        self.epoch = epoch

    def logits(self, rows: np.ndarray, epoch: int | None) -> torch.Tensor:
        """Give the logits of images as they are (epoch None), or as moved in an epoch: (B, classes) float32."""
        inputs, backbone = self.frozen(rows, epoch), self.classifier.backbone
        with autocast(self.device, self.frozen.precision):
            vectors = backbone.run(inputs, self.frozen.first, len(backbone.groups))
        return self.classifier.head(vectors.float())

    def step(self, rows: np.ndarray, _: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the cross entropy of these training images (places in the training set)."""
        chosen = self.sample()[rows]
        logits = self.logits(chosen, self.epoch if self.task.augment else None)
        targets = self.targets[torch.tensor(chosen, device=self.device)]
        return functional.cross_entropy(logits, targets, self.weights), {}

    def sample(self) -> np.ndarray:
        """Give the images that an epoch goes through: all that train, or as many drawn with classes in equal parts."""
        rows = self.task.rows["train"]
        if self.task.balance != "sampler":
            return rows
        if self._drawn is None or self._drawn[0] != self.epoch:
            y = self.task.y[rows]
            chances = class_weights(y, self.task.classes)[y]
            draws = seeds.generator(*self.task.keys, "sampler", self.epoch)
            self._drawn = self.epoch, draws.choice(rows, len(rows), p=chances / chances.sum())
        return self._drawn[1]

    @torch.no_grad()
    def probabilities(self, name: str, batch: int = 64) -> np.ndarray:
        """Give the probabilities of the classes for the images of a set as they are: (n, classes) float64.

        The network must be in evaluation mode.
        """
        rows = self.task.rows[name]
        parts = [self.logits(rows[at : at + batch], None) for at in range(0, len(rows), batch)]
        return torch.cat(parts).double().softmax(1).cpu().numpy()

    def validate(self) -> dict[str, float]:
        """Measure the validation images: the criterion of the epoch, AUC, accuracy and loss."""
        y = self.task.y[self.task.rows["validation"]]
        found = measure(y, self.probabilities("validation"), self.task.positive)
        criterion = criterion_of(found["auc"], found["loss"], y == self.task.positive)
        return {"criterion": criterion, **{name: found[name] for name in ("auc", "accuracy", "loss")}}


def class_weights(y: np.ndarray, classes: int) -> np.ndarray:
    """Weigh classes so that each counts the same in total: n / (classes n_k), float64; 0 for one without image."""
    counts = np.bincount(y, minlength=classes)
    return np.where(counts > 0, len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)


def criterion_of(auc: float, loss: float, positive: np.ndarray) -> float:
    r"""Put AUC and loss into one number to minimise: the AUC decides, the loss decides between equal AUCs.

    .. math:: c = -2 n_1 n_0 A + \frac{L}{1 + L}

    The first term is a whole number (an AUC counts pairs, ties as halves), the second lies between 0 and 1.

    Parameters
    ----------
    auc, loss : float
    positive : numpy.ndarray
        Whether an image has the positive class, bool (n,).

    Returns
    -------
    float
        NaN if the AUC or the loss is.
    """
    if not np.isfinite([auc, loss]).all():
        return float("nan")
    ones = int(positive.sum())
    return -float(round(2 * ones * (len(positive) - ones) * auc)) + loss / (1 + loss)


def schedule_of(cell: dict) -> Schedule:
    """Turn the settings of a cell into the schedule of the study's training loop.

    As in the seed's code, all parameters decay, the rate falls by epochs, and the last batch counts.
    """
    return Schedule(
        epochs=cell["epochs"],
        batch=cell["batch"],
        learning_rate=cell["learning_rate"],
        optimizer=cell["optimizer"],
        weight_decay=cell["weight_decay"],
        momentum=cell["momentum"] or 0.0,
        nesterov=bool(cell["nesterov"]),
        decay=DECAYS[cell["lr_decay"]],
        beta=cell["beta"] or 1.0,
        warmup=0.0,
        decay_all=True,
        keep_last=True,
        # results are kept at once; only an interrupted fit needs a checkpoint
        checkpoint_epochs=10**6,
        checkpoint_minutes=MINUTES,
        checkpoint_end=False,
    )
