"""What frozen layers make of the images, computed once and shared by the fits of a job, where that is exact.

It is exact where nothing before the first layer that learns can change: its parameters are frozen and its batch
normalisation uses stored statistics. Augmentation is no obstacle, since a view depends on image and epoch alone
(:mod:`workflow_scripts.lib.radiology.augment`): one set of features an epoch.

The last bits of a convolution depend on how many images go through it together. On a CPU all go through in blocks of
one size, kept or not, so that features are the same bytes whoever asks for them with which others. On a GPU, where
small blocks would be slow and kernels differ anyway, they are the same up to rounding.
"""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.models.modes import evaluating
from workflow_scripts.lib.models.preprocessing import prepare
from workflow_scripts.lib.radiology import augment

BLOCK = 16  # images that go through frozen layers together on a CPU, always; the last ones are filled up
GPU_BLOCK = 64  # at most, on a GPU


class Pictures:
    """The images of a dataset on the device, and views of them.

    Parameters
    ----------
    name : str
        Of the dataset.
    image_ids : sequence of str
    pixels : numpy.ndarray
        (n, C, S, S) uint8.
    moves : augment.Moves
    seed : int
        Seed of the study.
    device : torch.device
    """

    def __init__(self, name, image_ids, pixels, moves: augment.Moves, seed: int, device: torch.device):
        self.name, self.image_ids, self.moves, self.seed, self.device = name, list(image_ids), moves, seed, device
        self.pixels = torch.from_numpy(np.array(pixels)).to(device)
        self._drawn: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.image_ids)

    def view(self, rows: np.ndarray, epoch: int | None, rule: str) -> torch.Tensor:
        """Prepare images for a network: (B, 3, S, S) float32; as they are (epoch None), or as moved in an epoch."""
        images = self.pixels[torch.tensor(rows, device=self.device)]
        if epoch is not None:
            if epoch not in self._drawn:
                self._drawn[epoch] = augment.draw(self.moves, self.image_ids, epoch, self.seed, self.name)
            images = augment.apply(images, self._drawn[epoch][rows], self.moves)
        images = prepare(images, rule)
        # convolutions of a GPU are faster so; on a CPU it would change last bits only
        return images.contiguous(memory_format=torch.channels_last) if self.device.type == "cuda" else images


class Cache:
    """Features in memory, up to a limit; what was used longest ago makes room.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int):
        self.limit = int(limit)
        self._spaces: OrderedDict[tuple, dict] = OrderedDict()

    @property
    def used(self) -> int:
        """Bytes of what is kept now."""
        return sum(part.nbytes for space in self._spaces.values() for part in space.values())

    def may_hold(self, size: int) -> bool:
        """Whether so many bytes may be kept; depends on nothing that was kept before."""
        return size <= self.limit

    def get(self, space: tuple, view: int | None, make) -> torch.Tensor:
        """Give a view of a space, made by ``make()`` if it is not there; other spaces make room for it."""
        views = self._spaces.setdefault(space, {})
        self._spaces.move_to_end(space)
        if view not in views:
            made = make()
            while self.used + made.nbytes > self.limit and len(self._spaces) > 1:
                self._spaces.popitem(last=False)
            views[view] = made
        return views[view]


class Frozen:
    """The frozen first layers of a backbone: gives what the first layer that learns reads.

    Parameters
    ----------
    pictures : Pictures
    backbone : torch.nn.Module
        With ``groups`` and ``run``; as it was loaded.
    first : int
        Number of the first group that learns; the number of groups if none does.
    rule : str
        Preprocessing.
    epochs : int
        How many augmented views a fit uses; 0 without augmentation.
    cache : Cache
    space : tuple
        Names weights and all else that the features depend on, beside what is given here.
    precision : {'float32', 'bfloat16'}
        Of the convolutions; what is given is float32.
    """

    def __init__(self, pictures, backbone: nn.Module, first, rule, epochs, cache: Cache, space, precision="float32"):
        self.pictures, self.backbone, self.first, self.rule = pictures, backbone, first, rule
        self.cache, self.precision = cache, precision
        self.space = (*space, pictures.name, rule, first, precision)
        size = self._run(np.arange(1), None).nbytes * len(pictures)
        self.cached = first > 0 and cache.may_hold(size * (1 + epochs))
        self.plain_cached = first > 0 and cache.may_hold(size)

    def __call__(self, rows: np.ndarray, epoch: int | None) -> torch.Tensor:
        """Give what the first layer that learns reads of these images: (B, ...) float32, without gradient."""
        if not (self.cached or (epoch is None and self.plain_cached)):
            return self._compute(rows, epoch)
        everything = np.arange(len(self.pictures))
        kept = self.cache.get(self.space, epoch, lambda: self._compute(everything, epoch))
        return kept[torch.tensor(rows, device=kept.device)]

    def _compute(self, rows: np.ndarray, epoch: int | None) -> torch.Tensor:
        if self.first == 0:  # the images themselves
            return self._run(rows, epoch)
        if self.pictures.device.type != "cpu":
            return torch.cat([self._run(rows[at : at + GPU_BLOCK], epoch) for at in range(0, len(rows), GPU_BLOCK)])
        full = np.resize(rows, -(-len(rows) // BLOCK) * BLOCK)  # filled up with rows of its own
        return torch.cat([self._run(full[at : at + BLOCK], epoch) for at in range(0, len(full), BLOCK)])[: len(rows)]

    @torch.no_grad()
    def _run(self, rows: np.ndarray, epoch: int | None) -> torch.Tensor:
        inputs = self.pictures.view(rows, epoch, self.rule)
        with evaluating(self.backbone), autocast(self.pictures.device, self.precision):
            return self.backbone.run(inputs, 0, self.first).float()


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which convolutions run in the precision of a cell."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
