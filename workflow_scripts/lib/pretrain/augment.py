"""Random augmentations of whole batches of 3D patches, in torch, on the device where the patches are.

Each sample of a batch draws its own parameters; each transform is applied to a sample with its own
probability. Everything random comes from the generator that is passed in. Of the published list (R-NCE
paper, section 4.3) these are here: rotation, crop, noise, Gaussian blur, bias field, flip and contrast.
"""

import dataclasses
import math

import torch
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

CONTROL_POINTS = 4  # of a bias field along each axis: smooth over a patch, as receive fields are


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly, and how often, patches are changed. The defaults change nothing.

    Attributes
    ----------
    probability : float
        With which each transform other than crop and flip is applied to a sample.
    rotation : float
        Largest rotation about each axis, degrees.
    scaling : float
        Largest relative change of size, the same along all axes: 0.1 is 0.9 to 1.1.
    crop : float
        Share of each axis that is kept, at a random place; 1 keeps all. Cropped patches are smaller.
    flip : float
        Probability of a left-right flip. A flipped patch shows the other hemisphere's shape.
    contrast : float
        Largest gamma; gamma is drawn between its inverse and itself on a logarithmic scale. 1 is none.
    bias : float
        Standard deviation of the logarithm of the bias field at its control points.
    blur : float
        Largest standard deviation of the Gaussian, voxels.
    noise : float
        Largest standard deviation of Gaussian noise, as a share of the sample's own.
    """

    probability: float = 0.5
    rotation: float = 0.0
    scaling: float = 0.0
    crop: float = 1.0
    flip: float = 0.0
    contrast: float = 1.0
    bias: float = 0.0
    blur: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        if not 0 < self.crop <= 1:
            raise StudyError(f"augmentation: crop is the share of an axis that is kept, in (0, 1]; found {self.crop}")
        if not 0 <= self.scaling < 1 or self.contrast < 1:
            raise StudyError(
                f"augmentation: scaling must be in [0, 1) and contrast at least 1; found {self.scaling} and "
                f"{self.contrast}"
            )


def augment(patches: torch.Tensor, settings: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Make one random view of each patch of a batch.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W, floating point, not negative. The first axis of the grid is left-right.
    settings : Augmentation
    generator : torch.Generator
        On the device of the patches.

    Returns
    -------
    torch.Tensor
        Batch x 1 x D' x H' x W', D' = max(1, round(crop x D)) and so on; same type and device.
    """
    draw = _Draw(len(patches), generator, patches, settings.probability)
    views = _move(patches, settings, draw)
    if settings.contrast > 1:
        views = _contrast(views, draw.applied(draw.uniform(1, math.log(settings.contrast))).exp())
    if settings.bias > 0:
        views = _bias(views, settings.bias, draw)
    if settings.blur > 0:
        views = _blur(views, draw.applied(draw.uniform(1, settings.blur).abs())[:, 0], settings.blur)
    if settings.noise > 0:
        level = draw.applied(draw.uniform(1, settings.noise).abs())
        spread = views.flatten(1).std(dim=1, keepdim=True)
        views = views + draw.normal(views.shape) * (level * spread)[:, :, None, None, None]
    return views


class _Draw:
    """Random numbers for the samples of one batch."""

    def __init__(self, samples: int, generator: torch.Generator, like: torch.Tensor, probability: float):
        self.samples, self.generator, self.probability = samples, generator, probability
        self.options = {"dtype": like.dtype, "device": like.device, "generator": generator}

    def uniform(self, count: int, bound: float) -> torch.Tensor:
        """Samples x count numbers between -bound and bound."""
        return bound * (2 * torch.rand(self.samples, count, **self.options) - 1)

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, **self.options)

    def chance(self, probability: float) -> torch.Tensor:
        """Samples x 1: 1 with this probability, else 0."""
        return (torch.rand(self.samples, 1, **self.options) < probability).to(self.options["dtype"])

    def applied(self, parameters: torch.Tensor) -> torch.Tensor:
        """Set the parameters (samples x count) to 0, no change, for samples that are spared."""
        return parameters * self.chance(self.probability)


def rotations(angles: torch.Tensor) -> torch.Tensor:
    """Turn angles about the three axes (samples x 3, radians) into matrices (samples x 3 x 3)."""
    cos, sin = angles.cos(), angles.sin()
    one, zero = torch.ones_like(cos[:, 0]), torch.zeros_like(cos[:, 0])
    (cx, cy, cz), (sx, sy, sz) = cos.unbind(1), sin.unbind(1)
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], 1).view(-1, 3, 3)
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).view(-1, 3, 3)
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], 1).view(-1, 3, 3)
    return about_z @ about_y @ about_x


def _move(patches: torch.Tensor, settings: Augmentation, draw: _Draw) -> torch.Tensor:
    """Rotate, scale, crop and flip in one resampling, so that patches are interpolated once."""
    full = patches.shape[2:]
    kept = [max(1, round(settings.crop * n)) for n in full]
    if kept == list(full) and settings.rotation == settings.scaling == settings.flip == 0:
        return patches
    turn = rotations(draw.applied(draw.uniform(3, math.radians(settings.rotation))))
    zoom = 1 + draw.applied(draw.uniform(1, settings.scaling))
    mirror = 1 - 2 * draw.chance(settings.flip)
    # torch's grids have the last axis first and run from -1 to 1 whatever the size: rotate in voxels
    size = patches.new_tensor(full[::-1])
    share = patches.new_tensor(kept[::-1]) / size
    shift = draw.uniform(3, 1.0) * (1 - share)
    linear = (size[None, :] * share)[:, None, :] * turn * zoom[:, :, None] / size[None, :, None]
    matrix = torch.cat([linear, shift[:, :, None]], dim=2)
    # the mirror acts on where values are read: left-right is the first axis of the patch, the last of a grid
    flips = torch.cat([torch.ones_like(mirror), torch.ones_like(mirror), mirror], dim=1)
    grid = functional.affine_grid(flips[:, :, None] * matrix, [len(patches), 1, *kept], align_corners=False)
    return functional.grid_sample(patches, grid, padding_mode="border", align_corners=False)


def _contrast(views: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Raise to the power gamma (samples x 1) after dividing by the sample's maximum, and multiply it again."""
    top = views.amax(dim=(1, 2, 3, 4), keepdim=True).clamp(min=torch.finfo(views.dtype).tiny)
    return top * (views.clamp(min=0) / top).pow(gamma[:, :, None, None, None])


def _bias(views: torch.Tensor, strength: float, draw: _Draw) -> torch.Tensor:
    """Multiply by a smooth field: the exponential of interpolated normal numbers at a few control points."""
    points = draw.normal((len(views), 1, CONTROL_POINTS, CONTROL_POINTS, CONTROL_POINTS))
    points = points * draw.applied(torch.full_like(points[:, 0, 0, 0, :1], strength))[:, :, None, None, None]
    return views * functional.interpolate(points, views.shape[2:], mode="trilinear", align_corners=True).exp()


def _blur(views: torch.Tensor, sigma: torch.Tensor, largest: float) -> torch.Tensor:
    """Blur each sample with its own Gaussian (sigma in voxels, 0 for none), one axis after the other."""
    radius = max(1, math.ceil(2.5 * largest))
    offsets = torch.arange(-radius, radius + 1, dtype=views.dtype, device=views.device)
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]).square())
    weights = (weights / weights.sum(dim=1, keepdim=True))[:, :, None, None, None, None]
    for axis in (2, 3, 4):
        # replicate the border by hand: padded convolutions with one kernel a sample are slow on a CPU
        length = views.shape[axis]
        index = (torch.arange(length, device=views.device)[:, None] + offsets.long()).clamp(0, length - 1)
        views = sum(weights[:, k] * views.index_select(axis, index[:, k]) for k in range(len(offsets)))
    return views
