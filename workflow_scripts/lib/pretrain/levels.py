"""What one training step is at each level (patch, image), and how trained encoders are used."""

import dataclasses

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.projector import make_projector
from workflow_scripts.lib.pretrain import losses
from workflow_scripts.lib.pretrain.augment import Augmentation, augment
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.study.errors import StudyError

OBJECTIVES = ("rnce", "simclr")


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train; a config may have several of the same objective.

    Attributes
    ----------
    objective : {'rnce', 'simclr'}
    temperature : float
    projector : bool
        Whether the contrastive term sees the representation through a head that is thrown away. SimCLR
        has one as published by its authors; the R-NCE paper applies its losses to the representation.
    reconstruction, weight, ridge
        ``scale``, ``weight`` and ``ridge`` of :func:`losses.r_nce`; unused by SimCLR.
    """

    objective: str
    temperature: float = 0.2
    projector: bool = False
    reconstruction: str = "per_entry"
    weight: float = 1.0
    ridge: float = 1e-4

    def __post_init__(self):
        if self.objective not in OBJECTIVES:
            raise StudyError(f"objective '{self.objective}' is not known; choose one of {', '.join(OBJECTIVES)}")
        if self.temperature <= 0 or self.ridge <= 0:
            raise StudyError(f"temperature and ridge must be above 0; found {self.temperature} and {self.ridge}")

    def loss(
        self,
        h: tuple[torch.Tensor, torch.Tensor],
        a: tuple[torch.Tensor, torch.Tensor] | None,
        projector: nn.Module | None,
        stacked: bool,
        components: int | None,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Compute the loss of two views (images x width each) and what to log; float32, outside autocast."""
        with torch.autocast(h[0].device.type, enabled=False):
            h1, h2 = h[0].float(), h[1].float()
            if self.objective == "rnce":
                return losses.r_nce(
                    h1,
                    h2,
                    a[0],
                    a[1],
                    temperature=self.temperature,
                    stacked=stacked,
                    scale=self.reconstruction,
                    weight=self.weight,
                    ridge=self.ridge,
                    components=components,
                    projector=projector,
                )
            z1, z2 = (h1, h2) if projector is None else (projector(h1), projector(h2))
            nce = losses.nt_xent(z1, z2, self.temperature)
            with torch.no_grad():
                report = {"nce": nce.detach(), **losses.geometry(z1, z2)}
            return nce, report


class PatchLevel(nn.Module):
    """One location: encoder, projector, and a step on two augmented views of its patches.

    Parameters
    ----------
    method : Method
    source : PatchSource
        Of the training scans.
    auxiliary : numpy.ndarray or None
        Scans x d_a, standardised; the features of this location. None for SimCLR.
    augmentation : Augmentation
    representation : int
    precision : {'float32', 'bfloat16'}
        Of the convolutions; the loss is always in float32.
    components : int or None
        See :func:`losses.leading_components`.
    """

    def __init__(
        self,
        method: Method,
        source: PatchSource,
        auxiliary: np.ndarray | None,
        augmentation: Augmentation,
        representation: int,
        precision: str = "float32",
        components: int | None = None,
    ):
        super().__init__()
        self.encoder = PatchEncoder(representation)
        self.projector = make_projector(representation) if method.projector else None
        self.encoder.set_intensity(*source.intensity())
        self.method, self.source, self.augmentation, self.components = method, source, augmentation, components
        self.half = precision == "bfloat16"
        self.auxiliary = None if auxiliary is None else torch.from_numpy(auxiliary).to(source.device)
        self.to(source.device, memory_format=torch.channels_last_3d)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Take both views of these scans through the encoder and compute the loss."""
        patches = self.source.batch(rows)
        views = torch.cat([augment(patches, self.augmentation, generator) for _ in range(2)])
        with torch.autocast(patches.device.type, torch.bfloat16, enabled=self.half):
            h = self.encoder(views.contiguous(memory_format=torch.channels_last_3d)).chunk(2)
        a = None if self.auxiliary is None else self.auxiliary[torch.as_tensor(rows, device=patches.device)]
        return self.method.loss(h, (a, a), self.projector, True, self.components)


class ImageLevel(nn.Module):
    """Aggregator, projector, and a step on two random subsets of the locations of each scan.

    Parameters
    ----------
    method : Method
    tokens : numpy.ndarray
        Scans x locations x width, float32: training scans through the frozen patch encoders.
    auxiliary : numpy.ndarray or None
        Scans x d_a, standardised; all features that some location covers. None for SimCLR.
    covered : numpy.ndarray or None
        Locations x d_a, bool: which features a location covers.
    device : torch.device
    components : int or None
        See :func:`losses.leading_components`.
    """

    def __init__(
        self,
        method: Method,
        tokens: np.ndarray,
        auxiliary: np.ndarray | None,
        covered: np.ndarray | None,
        device: torch.device,
        components: int | None = None,
    ):
        super().__init__()
        _, locations, width = tokens.shape
        self.method, self.covered, self.components, self.device = method, covered, components, device
        self.tokens = torch.from_numpy(tokens).to(device)
        self.auxiliary = None if auxiliary is None else torch.from_numpy(auxiliary).to(device)
        self.aggregator = Aggregator(locations, width)
        self.aggregator.set_statistics(torch.from_numpy(tokens))
        self.projector = make_projector(width) if method.projector else None
        self.to(device)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Split the locations once for the batch, aggregate both halves and compute the loss."""
        tokens = self.tokens[torch.as_tensor(rows, device=self.device)]
        subsets = split_locations(tokens.shape[1], self.covered, generator)
        h = tuple(self.aggregator(tokens[:, subset], subset) for subset in subsets)
        a = None
        if self.auxiliary is not None:
            mine = self.auxiliary[torch.as_tensor(rows, device=self.device)]
            a = tuple(mine[:, torch.from_numpy(self.covered[subset].any(axis=0))] for subset in subsets)
        return self.method.loss(h, a, self.projector, False, self.components)


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
def refresh_normalisation(encoder: PatchEncoder, source: PatchSource, batch: int, at_most: int = 2048) -> None:
    """Measure the statistics of batch normalisation anew on training patches as they are, not augmented.

    The running averages lag behind by tens of steps, which in a short training is all of it, and they
    are those of augmented views, while encoders are used on patches that are not.

    Parameters
    ----------
    encoder : PatchEncoder
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
def encode(encoder: PatchEncoder, source: PatchSource, batch: int = 32) -> np.ndarray:
    """Encode all patches of a source with a frozen encoder: scans x representation, float32."""
    encoder.eval()
    parts = []
    for rows in np.array_split(np.arange(len(source)), -(-len(source) // batch)):
        parts.append(encoder(source.batch(rows).contiguous(memory_format=torch.channels_last_3d)).cpu())
    return torch.cat(parts).numpy()
