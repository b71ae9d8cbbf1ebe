"""Models Genesis: volumes are distorted in four ways, and a network learns to give the originals back.

Whole batches are distorted in torch, on the device where they are; each sample draws its own parameters from the
generator that is passed in. Parameters are drawn apart from where they are applied, so that each distortion can be
checked on its own. Written from the paper; probabilities and sizes that it leaves open are those of its authors' runs.

References
----------
Zhou et al., Models Genesis, Med. Image Anal. 67 (2021) 101840, section 2.
"""

import dataclasses
import math

import torch
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

FLIPS = 3  # at most, each along a random axis
BOXES = 5  # at most, of a painting
MARGIN = 3  # voxels that a box keeps from the border
SMALLEST = 14  # voxels along an axis: with fewer, the largest box and its margin do not fit


@dataclasses.dataclass(frozen=True)
class Genesis:
    """How often a sample is distorted, and how; the defaults are those of the publication.

    Attributes
    ----------
    flip : float
        Probability of each further flip, of three at most; input and target are flipped alike.
    shuffle : float
        Probability that voxels change places within small windows.
    windows : int
        How many, published for 64 x 64 x 32 voxels. Sides are 1 to a tenth of the volume's, so that the same
        number suits any size: at 96 voxels a side windows hold 1.4 times the voxels of the volume, published 1.9.
    nonlinear : float
        Probability that intensities go through a random curve.
    inverted : float
        Of these, the share whose curve falls, so that bright becomes dark.
    points : int
        Points of the curve, between which it is straight.
    paint : float
        Probability that boxes are painted over with noise.
    inpaint : float
        Of these, the share whose boxes are painted (inner context is missing); of the others, all but the
        boxes is painted (outer context is missing).
    again : float
        Probability of each further box, of five at most.
    """

    flip: float = 0.4
    shuffle: float = 0.5
    windows: int = 10_000
    nonlinear: float = 0.9
    inverted: float = 0.5
    points: int = 1000
    paint: float = 0.9
    inpaint: float = 0.2
    again: float = 0.95

    def __post_init__(self):
        for name in ("flip", "shuffle", "nonlinear", "inverted", "paint", "inpaint", "again"):
            if not 0 <= getattr(self, name) <= 1:
                raise StudyError(f"Models Genesis: {name} is a probability, 0 to 1; found {getattr(self, name)}")
        if self.windows < 1 or self.points < 2:
            raise StudyError(
                f"Models Genesis needs at least 1 window and 2 points; found {self.windows} and {self.points}"
            )


def distort(cubes: torch.Tensor, settings: Genesis, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Make the input and the target of a training step from a batch of volumes.

    Parameters
    ----------
    cubes : torch.Tensor
        Batch x 1 x D x H x W, floating point, 0 to 1; left as they are.
    settings : Genesis
    generator : torch.Generator
        On the device of the volumes.

    Returns
    -------
    inputs, targets : torch.Tensor
        Shape, type and device of ``cubes``, 0 to 1: distorted, and at most flipped.

    Raises
    ------
    StudyError
        For volumes of fewer than 14 voxels along an axis.
    """
    samples, shape = len(cubes), cubes.shape[2:]
    if min(shape) < SMALLEST:
        raise StudyError(
            f"Models Genesis: volumes have {' x '.join(map(str, shape))} voxels; the boxes that it paints need "
            f"{SMALLEST} along each axis. Use a finer grid (grid.spacing_mm)."
        )

    def chance(probability: float) -> torch.Tensor:
        return _uniform((samples,), generator) < probability

    targets = flip(cubes, draw_flips(samples, settings.flip, generator))
    inputs = shuffle(targets, chance(settings.shuffle), settings.windows, generator)
    x, y = curve(_uniform((samples, 2, 2), generator), chance(settings.inverted), settings.points)
    inputs = torch.where(_as_volumes(chance(settings.nonlinear)), remap(inputs, x, y), inputs)
    inside = chance(settings.inpaint)
    painted = chance(settings.paint)[:, None, None, None] & painted_voxels(shape, inside, settings.again, generator)
    noise = torch.rand(cubes.shape, dtype=cubes.dtype, device=cubes.device, generator=generator)
    return torch.where(painted[:, None], noise, inputs), targets


def _as_volumes(values: torch.Tensor) -> torch.Tensor:
    """Give one number a sample the axes of a batch of volumes."""
    return values[:, None, None, None, None]


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _integers(low: torch.Tensor, high: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw whole numbers from low to high, both included, elementwise."""
    share = _uniform(torch.broadcast_shapes(low.shape, high.shape), generator)
    return torch.minimum(low + (share * (high - low + 1)).long(), high)


def draw_flips(samples: int, probability: float, generator: torch.Generator) -> torch.Tensor:
    """Draw along which axes samples are flipped: samples x 3, bool.

    Flips go on while each draw falls below the probability, three at most, each along one axis of three at
    random; two along one axis undo each other.
    """
    goes_on = (_uniform((samples, FLIPS), generator) < probability).cumprod(1)
    axes = torch.randint(3, (samples, FLIPS), generator=generator, device=generator.device)
    return (functional.one_hot(axes, 3) * goes_on[:, :, None]).sum(1) % 2 == 1


def flip(cubes: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    """Flip each sample along its own axes (samples x 3, bool)."""
    for axis in range(3):
        cubes = torch.where(_as_volumes(axes[:, axis]), cubes.flip(axis + 2), cubes)
    return cubes


def shuffle(cubes: torch.Tensor, chosen: torch.Tensor, windows: int, generator: torch.Generator) -> torch.Tensor:
    """Let voxels change places within random windows of the chosen samples.

    Published as a loop over windows: each is read from the original, permuted, and written to the result, over
    what windows before it wrote. What a voxel ends with is thus decided by the last window that covers it, and
    all windows can be worked out at once: same windows and permutations, same result.

    Parameters
    ----------
    cubes : torch.Tensor
        Batch x 1 x D x H x W.
    chosen : torch.Tensor
        Batch, bool.
    windows : int
    generator : torch.Generator

    Returns
    -------
    torch.Tensor
        As ``cubes``.
    """
    shape, result = cubes.shape[2:], cubes.clone(memory_format=torch.contiguous_format)
    # one sample at a time: the voxels of all windows of a batch would fill the memory
    for sample in chosen.nonzero().flatten().tolist():
        starts, sides = draw_windows(windows, shape, generator)
        keys = torch.randint(2**32, (int(sides.prod(1).sum()),), generator=generator, device=generator.device)
        places, sources = displaced(starts, sides, keys, shape)
        result[sample].view(-1)[places] = cubes[sample].reshape(-1)[sources]
    return result


def draw_windows(windows: int, shape: tuple[int, ...], generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw windows anywhere in a volume: first voxels and sides, windows x 3 each.

    Sides are 1 to a tenth of the volume's, but up to 2 in volumes below 20 voxels, where none could move else.
    """
    size = torch.tensor(shape, device=generator.device)
    sides = _integers(
        torch.ones(windows, 3, dtype=torch.long, device=size.device), (size // 10).clamp(min=2), generator
    )
    return _integers(torch.zeros_like(sides), size - sides, generator), sides


def displaced(
    starts: torch.Tensor, sides: torch.Tensor, keys: torch.Tensor, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find which voxels windows move, and from where.

    Parameters
    ----------
    starts, sides : torch.Tensor
        Windows x 3, from :func:`draw_windows`.
    keys : torch.Tensor
        One whole number below 2^32 for each voxel of each window, windows one after the other, voxels in the
        order of memory. Sorted, those of a window are its permutation.
    shape : tuple of int
        Of the volume.

    Returns
    -------
    places, sources : torch.Tensor
        Voxel numbers, each place once: the result at ``places`` is the original at ``sources``.
    """
    voxels, window = _list_voxels(starts, sides, shape)
    order = ((window << 32) + keys).argsort()
    last = torch.zeros(math.prod(shape), dtype=torch.long, device=keys.device)
    last = last.scatter_reduce(0, voxels, window, "amax")
    visible = (last[voxels] == window).nonzero()[:, 0]
    return voxels[visible], voxels[order[visible]]


def _list_voxels(
    starts: torch.Tensor, sides: torch.Tensor, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """List the voxel numbers of all windows, one window after the other, and the window of each."""
    # lines along the last axis first: a fifth of the divisions
    lines = sides[:, 0] * sides[:, 1]
    owner = torch.repeat_interleave(lines)
    number = torch.arange(len(owner), device=owner.device) - (lines.cumsum(0) - lines)[owner]
    start, side = starts[owner], sides[owner]
    row, column = start[:, 0] + number // side[:, 1], start[:, 1] + number % side[:, 1]
    begins = (row * shape[1] + column) * shape[2] + start[:, 2]
    line = torch.repeat_interleave(side[:, 2])
    within = torch.arange(len(line), device=line.device) - (side[:, 2].cumsum(0) - side[:, 2])[line]
    return begins[line] + within, owner[line]


def curve(controls: torch.Tensor, inverted: torch.Tensor, points: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute points of cubic Bezier curves from (0, 0) to (1, 1), or mirrored, from (0, 1) to (1, 0).

    With control points in the unit square both coordinates rise along the curve, so that it is a function. The
    falling one reads the heights from the other end: y(1 - t) stands over x(t).

    Parameters
    ----------
    controls : torch.Tensor
        Batch x 2 x 2: two control points, each x and y, 0 to 1.
    inverted : torch.Tensor
        Batch, bool.
    points : int

    Returns
    -------
    x, y : torch.Tensor
        Batch x points, x rising.
    """
    t = torch.linspace(0, 1, points, dtype=controls.dtype, device=controls.device)
    first, second = controls.unbind(1)
    along = 3 * (1 - t) ** 2 * t * first[..., None] + 3 * (1 - t) * t**2 * second[..., None] + t**3
    # rounding may step back by a last bit
    x, y = along.cummax(-1).values.unbind(1)
    return x, torch.where(inverted[:, None], y.flip(1), y)


def remap(cubes: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Send each sample's intensities through its own piecewise straight curve (x, y: batch x points, x rising)."""
    values, x, y = cubes.flatten(1), x.to(cubes.dtype), y.to(cubes.dtype)
    piece = torch.searchsorted(x[:, 1:-1].contiguous(), values)
    x0, x1, y0, y1 = (ends.gather(1, piece + end) for ends in (x, y) for end in (0, 1))
    share = ((values - x0) / (x1 - x0).clamp(min=torch.finfo(x.dtype).tiny)).clamp(0, 1)
    return torch.lerp(y0, y1, share).view_as(cubes)


def draw_boxes(
    shape: tuple[int, ...], inside: torch.Tensor, again: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Draw the boxes of paintings: first voxels and sides (samples x 5 x 3), and which of them count (samples x 5).

    In-painting has boxes of a sixth to a third of the volume along each axis, none at all in one of twenty
    samples; out-painting keeps boxes of three to four sevenths, always one.
    """
    size = torch.tensor(shape, device=generator.device)
    inner = inside[:, None, None].expand(-1, BOXES, 3)
    low = torch.where(inner, size // 6, size - 4 * size // 7)
    high = torch.where(inner, size // 3, size - 3 * size // 7)
    sides = _integers(low, high, generator)
    starts = _integers(torch.full_like(sides, MARGIN), size - sides - MARGIN, generator)
    goes_on = _uniform((len(inside), BOXES), generator) < again
    goes_on[:, 0] |= ~inside
    return starts, sides, goes_on.cumprod(1).bool()


def painted_voxels(
    shape: tuple[int, ...], inside: torch.Tensor, again: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw which voxels noise replaces: those of the boxes where ``inside``, else all others.

    Returns
    -------
    torch.Tensor
        Batch x D x H x W, bool.
    """
    starts, sides, counts = draw_boxes(shape, inside, again, generator)
    return cover(shape, starts, sides, counts) == inside[:, None, None, None]


def cover(shape: tuple[int, ...], starts: torch.Tensor, sides: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mark the voxels of the boxes that count (see :func:`draw_boxes`): batch x D x H x W, bool."""
    ranges = []
    for axis, length in enumerate(shape):
        place = torch.arange(length, device=starts.device)
        first = starts[:, :, axis, None]
        ranges.append((place >= first) & (place < first + sides[:, :, axis, None]))
    depth, height, width = ranges
    depth = depth & counts[:, :, None]
    covered = torch.zeros(len(starts), *shape, dtype=torch.bool, device=starts.device)
    for box in range(starts.shape[1]):
        covered |= depth[:, box, :, None, None] & height[:, box, None, :, None] & width[:, box, None, None, :]
    return covered
