"""What one training step is for networks that read whole volumes: Models Genesis, LSSL and the multi-task SFCN."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.models.autoencoder import Autoencoder
from workflow_scripts.lib.models.sfcn import CHANNELS, SFCN
from workflow_scripts.lib.models.unet import UNet
from workflow_scripts.lib.pretrain import genesis, losses, multitask, parallel
from workflow_scripts.lib.pretrain.augment import augment
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.settings import Settings

SHIFT = 2  # voxels along each axis (Peng et al. 2021)


class GenesisLevel(nn.Module):
    """Rebuild a volume from what Models Genesis has made of it.

    Parameters
    ----------
    settings : Settings
    source : PatchSource
        Of the training scans, by rule ``unit``.

    References
    ----------
    Zhou et al., Models Genesis, Med. Image Anal. 2021.
    """

    def __init__(self, settings: Settings, source: PatchSource):
        super().__init__()
        self.settings, self.source, self.distortion = settings, source, genesis.Genesis()
        self.network = UNet(**settings.method.size)
        self.to(source.device, memory_format=torch.channels_last_3d)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Distort these volumes, rebuild them and compute the mean squared error."""
        inputs, targets = genesis.distort(self.source.batch(rows), self.distortion, parallel.local_generator(generator))
        with torch.autocast(inputs.device.type, **self.settings.autocast):
            rebuilt = self.network(inputs.contiguous(memory_format=torch.channels_last_3d))
        loss = functional.mse_loss(rebuilt.float(), targets)
        return loss, {"reconstruction": loss.detach()}


class LongitudinalLevel(nn.Module):
    """Rebuild both scans of a pair and turn their difference into one direction.

    Parameters
    ----------
    settings : Settings
    source : PatchSource
        Of the training scans, by rule ``zscore``.
    pairs : numpy.ndarray
        Pairs x 2, rows of ``source``: the earlier and the later scan of a participant.

    References
    ----------
    Zhao et al., Longitudinal self-supervised learning, Med. Image Anal. 2021.
    """

    def __init__(self, settings: Settings, source: PatchSource, pairs: np.ndarray):
        super().__init__()
        self.settings, self.source, self.pairs = settings, source, pairs
        self.network = Autoencoder(source.shape, **settings.method.size)
        self.to(source.device, memory_format=torch.channels_last_3d)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Take the pairs with these numbers through the autoencoder and compute the loss."""
        own = parallel.local_generator(generator)
        state = own.get_state()
        views = []
        for scans in self.pairs[rows].T:
            # both scans of a pair are turned alike, or the difference would tell the turn
            own.set_state(state)
            views.append(augment(self.source.batch(scans), self.settings.augmentation, own))
        both = torch.cat(views)
        with torch.autocast(both.device.type, **self.settings.autocast):
            z = self.network.encode(both.contiguous(memory_format=torch.channels_last_3d))
            rebuilt = self.network.decode(z)
        with torch.autocast(both.device.type, enabled=False):
            earlier, later = z.float().chunk(2)
            return losses.lssl(
                earlier, later, self.network.unit_direction, rebuilt.float(), both, self.settings.method.direction
            )


class MultitaskLevel(nn.Module):
    """Learn several labels of a scan at once; entries that are missing take no part.

    Parameters
    ----------
    settings : Settings
    source, validation : PatchSource
        Of the scans that train and of those that choose the epoch.
    values, validation_values : numpy.ndarray
        Scans x targets, float32, encoded and standardised, NaN where missing.

    References
    ----------
    Leonardsen et al. 2025; Peng et al., Med. Image Anal. 2021.
    """

    def __init__(
        self,
        settings: Settings,
        source: PatchSource,
        validation: PatchSource,
        values: np.ndarray,
        validation_values: np.ndarray,
    ):
        super().__init__()
        self.settings, self.source, self.validation = settings, source, validation
        self.values, self.validation_values = (
            torch.from_numpy(part).to(source.device) for part in (values, validation_values)
        )
        self.network = SFCN(multitask.head_width(settings.method.targets), **sfcn_size(settings.method.width))
        self.network.set_intensity(*source.intensity())
        self.to(source.device, memory_format=torch.channels_last_3d)

    def _logits(self, volumes: torch.Tensor) -> torch.Tensor:
        with torch.autocast(volumes.device.type, **self.settings.autocast):
            return self.network(volumes.contiguous(memory_format=torch.channels_last_3d)).float()

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Predict the labels of these scans and compute the weighted, masked loss."""
        own = parallel.local_generator(generator)
        volumes = shift(augment(self.source.batch(rows), self.settings.augmentation, own), SHIFT, own)
        logits = parallel.gather(self._logits(volumes))
        values = parallel.gather(self.values[torch.as_tensor(rows, device=volumes.device)])
        return multitask.loss(logits, values, self.settings.method.targets)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Compute the losses of the validation scans, as they are; the lower, the better the epoch."""
        targets = self.settings.method.targets
        logits = predict(self._logits, self.validation, self.settings.schedule.batch)
        _, report = multitask.loss(logits, self.validation_values, targets)
        losses_of = {name: value.item() for name, value in report.items()}
        return {"criterion": multitask.criterion(logits, self.validation_values, targets), **losses_of}


def sfcn_size(first: int | None) -> dict[str, tuple[int, ...]]:
    """Scale the published channels of the SFCN to a first block of so many; nothing for the published network."""
    return {} if first is None else {"channels": tuple(max(1, width * first // CHANNELS[0]) for width in CHANNELS)}


def shift(volumes: torch.Tensor, largest: int, generator: torch.Generator) -> torch.Tensor:
    """Move each volume by up to so many voxels along every axis; what leaves on one side comes in at the other.

    Volumes have an empty margin, so that nothing but zeros goes around.

    Parameters
    ----------
    volumes : torch.Tensor
        Batch x 1 x D x H x W.
    largest : int
    generator : torch.Generator
        On the device of the volumes.
    """
    moves = torch.randint(-largest, largest + 1, (len(volumes), 3), generator=generator, device=volumes.device)
    return torch.stack(
        [volume.roll(tuple(move), (1, 2, 3)) for volume, move in zip(volumes, moves.tolist(), strict=True)]
    )


@torch.no_grad()
def predict(network: nn.Module, source: PatchSource, batch: int) -> torch.Tensor:
    """Take all volumes of a source through a network: scans x outputs, float32, on the device."""
    groups = np.array_split(np.arange(len(source)), -(-len(source) // batch))
    return torch.cat([network(source.batch(rows)).float() for rows in groups])
