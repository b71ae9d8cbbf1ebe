"""What one training step and one validation of a binary network are."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.pretrain.augment import augment


class FitLevel(nn.Module):
    """A network, the scans of a sample, and a step on a batch of those that train.

    Parameters
    ----------
    options : Options
    network : torch.nn.Module
        Gives the log odds of a batch from a list of arrays, see :class:`networks.Classifier`.
    sources : sequence of ResidentSource
        In the order of the network's arrays; shared by all fits.
    rows : dict of str to numpy.ndarray
        Set -> rows of the sources.
    labels : dict of str to numpy.ndarray
        Set -> float32, 0 or 1.
    """

    def __init__(
        self,
        options: Options,
        network: nn.Module,
        sources: Sequence[ResidentSource],
        rows: dict[str, np.ndarray],
        labels: dict[str, np.ndarray],
    ):
        super().__init__()
        self.options, self.sources, self.rows, self.labels = options, tuple(sources), rows, labels
        self.network, self.device = network, self.sources[0].device
        self.targets = torch.from_numpy(labels["train"]).to(self.device)
        self.to(self.device, memory_format=torch.channels_last_3d)

    def views(self, chosen: np.ndarray, generator: torch.Generator) -> list[torch.Tensor]:
        """Give the augmented arrays of these rows; all arrays of a scan are moved alike, as its head would move."""
        mild, largest, parts = self.options.augmentation, self.options.shift, []
        size = (len(chosen), 3)
        for source in self.sources:
            classes = source.classes(chosen) if mild.labels > 0 else None
            parts.append(augment(source.batch(chosen), mild, generator, classes))
        if not largest:
            return parts
        moves = torch.randint(-largest, largest + 1, size, generator=generator, device=generator.device)
        return [shift(part, moves) for part in parts]

    def logits(self, arrays: Sequence[torch.Tensor]) -> torch.Tensor:
        """Give the log odds of a batch, float32."""
        arrays = [array.contiguous(memory_format=torch.channels_last_3d) for array in arrays]
        with torch.autocast(self.device.type, **self.options.autocast):
            return self.network(arrays).float()

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the cross entropy of these training scans, each counting the same whatever its class."""
        logits = self.logits(self.views(self.rows["train"][rows], generator))
        targets = self.targets[torch.as_tensor(rows, device=self.device)]
        return functional.binary_cross_entropy_with_logits(logits, targets), {}

    @torch.no_grad()
    def score(self, name: str) -> np.ndarray:
        """Give the log odds of the scans of a set as they are, float64; the network must be in evaluation mode."""
        rows = self.rows[name]
        groups = np.array_split(rows, -(-len(rows) // self.options.schedule.batch))
        parts = [self.logits([source.batch(group) for source in self.sources]) for group in groups]
        return torch.cat(parts).double().cpu().numpy()

    def validate(self) -> dict[str, float]:
        """Score the validation scans: the criterion of the epoch, AUC and cross entropy."""
        y, scores = self.labels["validation"], self.score("validation")
        auc, loss = auc_of(y, scores), cross_entropy(y, scores)
        return {"criterion": criterion(auc, loss, y), "auc": auc, "loss": loss}


def auc_of(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counting one half; NaN with one class or a score that is none."""
    if not np.isfinite(scores).all():
        return float("nan")
    return float(auc_rows(scores[None], y, np.ones((1, len(y)), dtype=bool))[0])


def cross_entropy(y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean of log(1 + exp(s)) - y s over log odds s."""
    return float(np.mean(np.logaddexp(0.0, scores) - y * scores))


def criterion(auc: float, loss: float, y: np.ndarray) -> float:
    r"""Put AUC and loss into one number to minimise: the AUC decides, the loss decides between equal AUCs.

    .. math:: c = -2 n_1 n_0 A + \frac{L}{1 + L}

    The first term is a whole number (an AUC counts pairs, and ties as halves), the second lies between 0 and 1.

    Parameters
    ----------
    auc, loss : float
    y : numpy.ndarray
        The labels, 0 or 1.

    Returns
    -------
    float
        NaN if the AUC or the loss is.
    """
    if not np.isfinite([auc, loss]).all():
        return float("nan")
    positive = int((y > 0.5).sum())
    return -float(round(2 * positive * (len(y) - positive) * auc)) + loss / (1 + loss)


def shift(volumes: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
    """Move each volume by whole voxels along every axis; what comes in is the value at the border.

    With an empty margin, as whole volumes have it, this is the shift of multi-task pretraining
    (:func:`pretrain.volumes.shift`), where voxels go around. Patches have none: what lies beside them is not stored.

    Parameters
    ----------
    volumes : torch.Tensor
        Batch x 1 x D x H x W.
    moves : torch.Tensor
        Batch x 3, whole voxels, on the same device: nothing has to be read back from a GPU.
    """
    index = []
    for axis, size in enumerate(volumes.shape[2:]):
        places = torch.arange(size, device=volumes.device)[None] - moves[:, axis, None]
        shape = [len(volumes), 1, 1, 1]
        shape[axis + 1] = size
        index.append(places.clamp(0, size - 1).view(shape))
    batch = torch.arange(len(volumes), device=volumes.device).view(-1, 1, 1, 1)
    return volumes[:, 0][batch, index[0], index[1], index[2]][:, None]
