"""Random augmentations of whole batches of 3D patches, in torch, on the device where the patches are.

Each sample of a batch draws its own parameters; each transform is applied to a sample with its own
probability. Everything random comes from the generator that is passed in. All nine of the published list (R-NCE
paper, section 4.3) are here; what they do to voxels is in :mod:`transforms`.
"""

import dataclasses
import math
from collections.abc import Callable

import torch

from workflow_scripts.lib.pretrain import transforms
from workflow_scripts.lib.study.errors import StudyError

CONTROL_POINTS = 4  # of a bias field along each axis: smooth over a patch, as receive fields are
# cycles per voxel of a spike: beyond the middle of k-space, where it would be a bias field, up to the finest wave
SPIKE_FREQUENCIES = (0.1, 0.5)
# SynthSeg draws means between 25 and 225 and standard deviations between 5 and 25, of 255; TorchIO much the same. Here
# shares of the patch's white matter, so that the network meets intensities of the size that it is standardised for
TISSUE_MEANS = (0.1, 0.9)
TISSUE_SPREADS = (0.02, 0.1)
# voxels: borders between tissues become mixtures about one voxel wide, as in scans
PARTIAL_VOLUME = 0.5
# setting -> lowest and highest value; crop itself must be above its lowest, scaling below its highest
LIMITS = {
    "probability": (0, 1),
    "rotation": (0, 180),
    "scaling": (0, 1),
    "crop": (0, 1),
    "flip": (0, 1),
    "labels": (0, 1),
    "contrast": (1, 10),
    "bias": (0, 2),
    "blur": (0, 10),
    "spike": (0, 10),
    "noise": (0, 10),
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How strongly, and how often, patches are changed. The defaults change nothing.

    Attributes
    ----------
    probability : float
        With which each transform other than crop, flip and labels is applied to a sample.
    rotation : float
        Largest rotation about each axis, degrees.
    scaling : float
        Largest relative change of size, the same along all axes: 0.1 is 0.9 to 1.1.
    crop : float
        Share of each axis that is kept, at a random place; 1 keeps all. Cropped patches are smaller.
    flip : float
        Probability of a left-right flip. A flipped patch shows the other hemisphere's shape.
    labels : float
        Probability that fluid, grey and white matter of a sample get intensities from random Gaussians.
    contrast : float
        Largest gamma; gamma is drawn between its inverse and itself on a logarithmic scale. 1 is none.
    bias : float
        Standard deviation of the logarithm of the bias field at its control points.
    blur : float
        Largest standard deviation of the Gaussian, voxels.
    spike : float
        Largest amplitude of the wave that a spike in k-space leaves, as a share of the sample's mean.
    noise : float
        Largest standard deviation of Gaussian noise, as a share of the sample's own.
    """

    probability: float = 0.5
    rotation: float = 0.0
    scaling: float = 0.0
    crop: float = 1.0
    flip: float = 0.0
    labels: float = 0.0
    contrast: float = 1.0
    bias: float = 0.0
    blur: float = 0.0
    spike: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            fine = isinstance(value, int | float) and low <= value <= high
            if not fine or (name, value) in (("crop", 0), ("scaling", 1)):
                edges = {"crop": "above 0", "scaling": "below 1"}.get(name, "both included")
                raise StudyError(
                    f"augmentation.{name} is {value!r}; give a number from {low} to {high}, {edges} "
                    "(.docs/augmentations.md shows what it does)"
                )

    @property
    def intensities(self) -> bool:
        """Whether anything but the place of voxels may change."""
        return max(self.labels, self.bias, self.blur, self.spike, self.noise) > 0 or self.contrast > 1


@torch.no_grad()
def augment(
    patches: torch.Tensor,
    settings: Augmentation,
    generator: torch.Generator,
    classes: torch.Tensor | None = None,
) -> torch.Tensor:
    """Make one random view of each patch of a batch.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W, float32 or float64, not negative. The first axis of the grid is left-right.
        They are not changed.
    settings : Augmentation
    generator : torch.Generator
        On the device of the patches.
    classes : torch.Tensor, optional
        Batch x 2: intensities between fluid and grey, and between grey and white matter, for ``labels``.

    Returns
    -------
    torch.Tensor
        Batch x 1 x D' x H' x W', D' = max(1, round(crop x D)) and so on; same type and device. Only
        spike and noise can lead below 0.

    Raises
    ------
    StudyError
        If ``labels`` is above 0 and there are no classes.
    """
    if settings.labels > 0 and classes is None:
        raise StudyError(
            f"augmentation.labels is {settings.labels}, but these patches come without the intensities that part "
            "fluid, grey and white matter: set augmentation.labels to 0, or give patches whose store holds them "
            "(columns csf_grey and grey_white of its scans.tsv; extract the patches again if it is older)"
        )
    # a GPU under autocast would blur in 8 bits
    with torch.autocast(patches.device.type, enabled=False):
        return _views(patches, settings, generator, classes)


def _views(
    patches: torch.Tensor, settings: Augmentation, generator: torch.Generator, classes: torch.Tensor | None
) -> torch.Tensor:
    """Draw and apply, in the order in which an image comes about: anatomy, tissue, coil, resolution, acquisition."""
    draw = _Draw(patches, settings.probability, generator)
    views = _move(patches, settings, draw)
    if views is patches and settings.intensities:
        views = patches.clone(memory_format=torch.contiguous_format)
    if settings.labels > 0:
        views = _recolour(views, classes.to(views), settings.labels, draw)
    if settings.contrast > 1:
        bound = math.log(settings.contrast)
        logarithm = draw.applied(draw.between(1, -bound, bound))
        views = _on_drawn(views, logarithm, lambda some, values: transforms.contrast_(some, values[:, 0].exp()))
    if settings.bias > 0:
        views = _bend(views, settings.bias, draw)
    if settings.blur > 0:
        sigma = draw.applied(draw.between(1, 0, settings.blur))
        views = _on_drawn(views, sigma, lambda some, values: transforms.blur(some, values[:, 0], settings.blur))
    if settings.spike > 0:
        views = _strike(views, settings.spike, draw)
    if settings.noise > 0:
        level = draw.applied(draw.between(1, 0, settings.noise))
        views = _on_drawn(
            views, level, lambda some, values: transforms.noise_(some, draw.normal(some.shape), values[:, 0])
        )
    return views


class _Draw:
    """Random numbers for the samples of one batch."""

    def __init__(self, like: torch.Tensor, probability: float, generator: torch.Generator):
        self.samples, self.probability = len(like), probability
        self.options = {"dtype": like.dtype, "device": like.device, "generator": generator}

    def between(self, count: int, low: float, high: float) -> torch.Tensor:
        """Samples x count numbers, uniform."""
        return low + (high - low) * torch.rand(self.samples, count, **self.options)

    def normal(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, **self.options)

    def chance(self, probability: float) -> torch.Tensor:
        """Samples x 1, bool: true with this probability."""
        return torch.rand(self.samples, 1, **self.options) < probability

    def applied(self, parameters: torch.Tensor) -> torch.Tensor:
        """Set the parameters (samples x count) to 0, no change, for samples that are spared."""
        return parameters * self.chance(self.probability)


def _quick_to_read(values: torch.Tensor) -> bool:
    """Whether the program may look at values without waiting for a device to have computed them."""
    return values.device.type == "cpu"


def _on_drawn(
    views: torch.Tensor,
    parameters: torch.Tensor,
    operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Apply an operation to the samples whose parameters (samples x count) are not all 0.

    A CPU works on those alone. A GPU works on all, since 0 changes nothing: picking some would make it wait for the
    program, which would have to wait for the parameters.
    """
    if not _quick_to_read(views):
        return operation(views, parameters)
    rows = parameters.ne(0).any(dim=1).nonzero()[:, 0]
    if len(rows) == len(views):
        return operation(views, parameters)
    if len(rows):
        views.index_copy_(0, rows, operation(views.index_select(0, rows), parameters.index_select(0, rows)))
    return views


def _move(patches: torch.Tensor, settings: Augmentation, draw: _Draw) -> torch.Tensor:
    """Rotate, scale, crop and flip in one resampling; samples that are not turned or scaled need none."""
    full = patches.shape[2:]
    kept = tuple(max(1, round(settings.crop * n)) for n in full)
    if kept == tuple(full) and settings.rotation == settings.scaling == settings.flip == 0:
        return patches
    mirrored = draw.chance(settings.flip)[:, 0]
    bound = math.radians(settings.rotation)
    angles = draw.applied(draw.between(3, -bound, bound))
    scaling = draw.applied(draw.between(1, -settings.scaling, settings.scaling))
    # a number just below 1 may round up to a box that begins one voxel too late
    room = [n - k for n, k in zip(full, kept, strict=True)]
    places = zip(draw.between(3, 0, 1).unbind(1), room, strict=True)
    starts = torch.stack([(place * (more + 1)).floor().clamp_(max=more) for place, more in places], dim=1)

    linear = transforms.rotations(angles) * (1 + scaling)[:, :, None]
    centres = torch.stack([starts[:, axis] + (n - 1) / 2 for axis, n in enumerate(kept)], dim=1)
    # the mirror acts on where values are read: left-right is the first axis
    linear[:, 0] *= (1 - 2 * mirrored.to(linear))[:, None]
    centres[:, 0] += mirrored * (full[0] - 1 - 2 * centres[:, 0])
    if not _quick_to_read(patches):
        return transforms.resample(patches, linear, centres, kept)
    moved = torch.cat([angles, scaling], dim=1).ne(0).any(dim=1)
    rows = moved.nonzero()[:, 0]
    if len(rows) == len(patches):
        return transforms.resample(patches, linear, centres, kept)
    views = transforms.crop(patches, starts, kept, mirrored)
    if len(rows):
        some = (values.index_select(0, rows) for values in (patches, linear, centres))
        views.index_copy_(0, rows, transforms.resample(*some, kept))
    return views


def _recolour(views: torch.Tensor, classes: torch.Tensor, probability: float, draw: _Draw) -> torch.Tensor:
    """Give the tissues of some samples intensities from random Gaussians, mixed at their borders."""
    chosen = draw.chance(probability)
    means, spreads = draw.between(3, *TISSUE_MEANS), draw.between(3, *TISSUE_SPREADS)

    def paint(some: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        drawn, borders, shares, widths = values.split([1, 2, 3, 3], dim=1)
        white = transforms.white_level(some, borders)[:, None]
        painted = transforms.remap(some, borders, shares * white, widths * white, draw.normal(some.shape))
        smooth = transforms.blur(painted, torch.full_like(borders[:, 0], PARTIAL_VOLUME), PARTIAL_VOLUME)
        smooth.mul_(some > 0)
        return smooth if _quick_to_read(some) else torch.where(drawn[:, :, None, None, None] != 0, smooth, some)

    parameters = torch.cat([chosen.to(classes), classes, means, spreads], dim=1)
    return _on_drawn(views, parameters * chosen, paint)


def _bend(views: torch.Tensor, strength: float, draw: _Draw) -> torch.Tensor:
    """Multiply by the exponential of lines between normal numbers at a few control points."""
    points = strength * draw.applied(draw.normal((len(views), CONTROL_POINTS**3)))
    shape = (-1, CONTROL_POINTS, CONTROL_POINTS, CONTROL_POINTS)
    return _on_drawn(views, points, lambda some, values: transforms.bias_(some, values.view(shape)))


def _strike(views: torch.Tensor, largest: float, draw: _Draw) -> torch.Tensor:
    """Add the wave of a spike at a random point of k-space."""
    strength = draw.applied(draw.between(1, 0, largest))
    direction = torch.nn.functional.normalize(draw.normal((len(views), 3)), dim=1)
    frequencies = direction * draw.between(1, *SPIKE_FREQUENCIES)
    phases = draw.between(1, 0, 2 * math.pi)

    def add(some: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return transforms.spike_(some, values[:, 1:4], values[:, 4], values[:, 0])

    # all 0 where there is no wave: a strength of 0 is a sample that is spared
    return _on_drawn(views, torch.cat([strength, frequencies, phases], dim=1) * (strength != 0), add)
