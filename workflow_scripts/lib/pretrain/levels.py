"""What one training step on two views is at each level (patch, image), and how trained encoders are used."""

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.projector import make_projector
from workflow_scripts.lib.pretrain import losses, parallel
from workflow_scripts.lib.pretrain.augment import augment
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.settings import Method, Settings
from workflow_scripts.lib.study.errors import StudyError


def two_view_loss(
    method: Method,
    h: tuple[torch.Tensor, torch.Tensor],
    a: tuple[torch.Tensor, torch.Tensor] | None,
    projector: nn.Module | None,
    stacked: bool,
    components: int | None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Compute the loss of two views of a batch of images, in float32, outside autocast.

    Parameters
    ----------
    method : Method
        Of objective rnce, simclr or barlow.
    h : tuple of torch.Tensor
        Images x width, twice: this process's part of the batch; the loss is that of the whole batch.
    a : tuple of torch.Tensor or None
        Images x d_a, twice. Without them R-NCE is its contrastive term alone.
    projector : torch.nn.Module or None
    stacked, components
        See :func:`losses.r_nce`.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.
    dict of str to torch.Tensor
        What to log.
    """
    with torch.autocast(h[0].device.type, enabled=False):
        h1, h2 = (parallel.gather(view.float()) for view in h)
        if a is not None:
            return losses.r_nce(
                h1,
                h2,
                *(parallel.gather(features) for features in a),
                temperature=method.temperature,
                stacked=stacked,
                scale=method.reconstruction,
                weight=method.weight,
                ridge=method.ridge,
                components=components,
                projector=projector,
            )
        z1, z2 = (h1, h2) if projector is None else (projector(h1), projector(h2))
        if method.objective == "barlow":
            return losses.barlow_twins(z1, z2, method.redundancy)
        nce = losses.nt_xent(z1, z2, method.temperature)
        with torch.no_grad():
            geometry = {**losses.geometry(z1, z2), "spread": losses.spread(torch.cat([z1, z2]))}
        return nce, {"nce": nce.detach(), **geometry}


class PatchLevel(nn.Module):
    """One location (or the whole volume): encoder, projector, and a step on two augmented views.

    Parameters
    ----------
    settings : Settings
    source : PatchSource
        Of the training scans.
    auxiliary : numpy.ndarray or None
        Scans x d_a, standardised; the features of this location. None without guidance.
    """

    def __init__(self, settings: Settings, source: PatchSource, auxiliary: np.ndarray | None):
        super().__init__()
        self.settings, self.source = settings, source
        self.encoder = PatchEncoder(settings.representation)
        self.projector = make_projector(settings.representation) if settings.method.projector else None
        self.encoder.set_intensity(*source.intensity())
        self.auxiliary = None if auxiliary is None else torch.from_numpy(auxiliary).to(source.device)
        self.to(source.device, memory_format=torch.channels_last_3d)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Take both views of these scans through the encoder and compute the loss."""
        patches, augmentation = self.source.batch(rows), self.settings.augmentation
        classes = self.source.classes(rows) if augmentation.labels > 0 else None
        own = parallel.local_generator(generator)
        views = torch.cat([augment(patches, augmentation, own, classes) for _ in range(2)])
        with torch.autocast(patches.device.type, **self.settings.autocast):
            h = self.encoder(views.contiguous(memory_format=torch.channels_last_3d)).chunk(2)
        a = None
        if self.auxiliary is not None:
            a = (self.auxiliary[torch.as_tensor(rows, device=patches.device)],) * 2
        return two_view_loss(self.settings.method, h, a, self.projector, True, self.settings.components)


class ImageLevel(nn.Module):
    """Aggregator, projector, and a step on two random subsets of the locations of each scan.

    Parameters
    ----------
    settings : Settings
    tokens : numpy.ndarray
        Scans x locations x width, float32: training scans through the frozen patch encoders.
    auxiliary : numpy.ndarray or None
        Scans x d_a, standardised; all features that some location covers. None without guidance.
    covered : numpy.ndarray or None
        Locations x d_a, bool: which features a location covers.
    device : torch.device
    """

    def __init__(
        self,
        settings: Settings,
        tokens: np.ndarray,
        auxiliary: np.ndarray | None,
        covered: np.ndarray | None,
        device: torch.device,
    ):
        super().__init__()
        _, locations, width = tokens.shape
        self.settings, self.covered, self.device = settings, covered, device
        self.tokens = torch.from_numpy(tokens).to(device)
        self.auxiliary = None if auxiliary is None else torch.from_numpy(auxiliary).to(device)
        self.aggregator = Aggregator(locations, width)
        self.aggregator.set_statistics(torch.from_numpy(tokens))
        self.projector = make_projector(width) if settings.method.projector else None
        self.to(device)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Split the locations once for the batch, aggregate both halves and compute the loss."""
        chosen = torch.as_tensor(rows, device=self.device)
        tokens = self.tokens[chosen]
        # the same split in every process: it belongs to the batch
        subsets = split_locations(tokens.shape[1], self.covered, generator)
        h = tuple(self.aggregator(tokens[:, subset], subset) for subset in subsets)
        a = None
        if self.auxiliary is not None:
            mine = self.auxiliary[chosen]
            a = tuple(mine[:, torch.from_numpy(self.covered[subset].any(axis=0))] for subset in subsets)
        return two_view_loss(self.settings.method, h, a, self.projector, False, self.settings.components)


def split_locations(
    locations: int, covered: np.ndarray | None, generator: torch.Generator
) -> tuple[list[int], list[int]]:
    """Put each location into one of two subsets with probability one half.

    Drawn again while a subset is empty (2 in 2^18 with 18 locations) or covers no feature.

    Parameters
    ----------
    locations : int
    covered : numpy.ndarray or None
        Locations x features, bool; None if features do not matter.
    generator : torch.Generator

    Returns
    -------
    tuple of list of int
        Both subsets, ascending; together all locations.

    Raises
    ------
    StudyError
        If fewer than two locations (that cover features) exist.
    """
    useful = np.ones(locations, dtype=bool) if covered is None else covered.any(axis=1)
    if useful.sum() < 2:
        raise StudyError(f"{int(useful.sum())} locations have auxiliary features; two subsets need at least 2")
    while True:
        first = (torch.rand(locations, generator=generator, device=generator.device) < 0.5).cpu().numpy()
        if (useful & first).any() and (useful & ~first).any():
            return np.flatnonzero(first).tolist(), np.flatnonzero(~first).tolist()


@torch.no_grad()
def refresh_normalisation(encoder: nn.Module, source: PatchSource, batch: int, at_most: int = 2048) -> None:
    """Measure the statistics of batch normalisation anew on training patches as they are, not augmented.

    The running averages lag behind by tens of steps, which in a short training is all of it, and they
    are those of augmented views, while encoders are used on patches that are not.

    Parameters
    ----------
    encoder : torch.nn.Module
        Changed in place; left in evaluation mode.
    source : PatchSource
        Of the training scans.
    batch : int
        Patches at a time.
    at_most : int
        Use so many scans, evenly chosen.
    """
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm3d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over all batches
    rows = np.unique(np.linspace(0, len(source) - 1, min(len(source), at_most)).round().astype(int))
    encoder.train()
    # equal parts: each counts the same in the average
    for part in np.array_split(rows, max(1, -(-len(rows) // batch))):
        encoder(source.batch(part).contiguous(memory_format=torch.channels_last_3d))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    encoder.eval()


@torch.no_grad()
def encode(encoder: nn.Module, source: PatchSource, batch: int = 32, flip: bool = False) -> np.ndarray:
    """Encode all patches or volumes of a source with a frozen encoder.

    Parameters
    ----------
    encoder : torch.nn.Module
        With a method ``features``; else its output is taken.
    source : PatchSource
    batch : int
        Scans at a time.
    flip : bool
        Whether left and right are swapped before.

    Returns
    -------
    numpy.ndarray
        Scans x width, float32.
    """
    encoder.eval()
    features = getattr(encoder, "features", encoder)
    groups = np.array_split(np.arange(len(source)), -(-len(source) // batch))
    parts = []
    for rows, following in zip(groups, [*groups[1:], None], strict=True):
        volumes = source.batch(rows)
        if following is not None:
            source.prefetch(following)
        volumes = volumes.flip(2) if flip else volumes
        parts.append(features(volumes.contiguous(memory_format=torch.channels_last_3d)).float().cpu())
    return torch.cat(parts).numpy()
