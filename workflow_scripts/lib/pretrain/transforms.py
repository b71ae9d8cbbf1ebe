"""Operations on whole batches of 3D patches, each sample with its own parameters. Nothing here is random.

Patches are batch x 1 x D x H x W, float32 or float64, contiguous, on any device; parameters are tensors on the same
device with one row a sample. Functions whose name ends in an underscore change their first argument, as torch's do.
Each is checked against MONAI, TorchIO or scipy in ``tests/pretrain/test_augment_references.py``.
"""

import math

import torch
from torch.nn import functional


def rotations(angles: torch.Tensor) -> torch.Tensor:
    """Turn angles about the axes of the patch into rotations: about the first, then the second, then the third.

    Parameters
    ----------
    angles : torch.Tensor
        Samples x 3, radians.

    Returns
    -------
    torch.Tensor
        Samples x 3 x 3.
    """
    (ca, cb, cc), (sa, sb, sc) = angles.cos().unbind(1), angles.sin().unbind(1)
    # written out: products of small matrices lose digits where a GPU multiplies in reduced precision
    entries = [cb * cc, sa * sb * cc - ca * sc, ca * sb * cc + sa * sc]
    entries += [cb * sc, sa * sb * sc + ca * cc, ca * sb * sc - sa * cc]
    entries += [-sb, sa * cb, ca * cb]
    return torch.stack(entries, 1).view(-1, 3, 3)


def resample(
    patches: torch.Tensor, linear: torch.Tensor, centres: torch.Tensor, size: tuple[int, int, int]
) -> torch.Tensor:
    """Read patches at affine positions, with trilinear interpolation; beyond the border the border goes on.

    The value at voxel v of the result is that of the patch at ``centres + linear @ (v - (size - 1) / 2)``.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    linear : torch.Tensor
        Batch x 3 x 3, acting on voxels along the axes of the patch.
    centres : torch.Tensor
        Batch x 3, voxels of the patch that come to lie in the middle of the result.
    size : tuple of int
        Voxels of the result along each axis.

    Returns
    -------
    torch.Tensor
        Batch x 1 x size.
    """
    # torch reads planes with vector instructions on a CPU, volumes one voxel at a time
    by_planes = patches.device.type == "cpu" and patches.shape[2] > 1
    return (_read_planes if by_planes else _read_volumes)(patches, linear, centres, size)


def _position(
    linear: torch.Tensor, centres: torch.Tensor, size: tuple[int, int, int], axis: int, out: torch.Tensor | None = None
) -> torch.Tensor:
    """Where along an axis of the patch each voxel of the result is read: batch x size, voxels."""
    steps = [torch.arange(n, dtype=linear.dtype, device=linear.device) - (n - 1) / 2 for n in size]
    d, h, w = (linear[:, axis, k, None] * step for k, step in enumerate(steps))
    planes = centres[:, axis, None, None] + d[:, :, None] + h[:, None]
    return torch.add(planes[..., None], w[:, None, None], out=out)


def _read_volumes(
    patches: torch.Tensor, linear: torch.Tensor, centres: torch.Tensor, size: tuple[int, int, int]
) -> torch.Tensor:
    """Resample with torch's volume reader."""
    grid = patches.new_empty(len(patches), 3, *size)
    for axis, n in enumerate(patches.shape[2:]):
        # torch's grids have the last axis first and run from -1 to 1 between the outer faces of the border voxels
        _position(linear, centres, size, axis, out=grid[:, 2 - axis]).add_(0.5).mul_(2 / n).sub_(1)
    return functional.grid_sample(patches, grid.movedim(1, -1), padding_mode="border", align_corners=False)


def _read_planes(
    patches: torch.Tensor, linear: torch.Tensor, centres: torch.Tensor, size: tuple[int, int, int]
) -> torch.Tensor:
    """Resample with torch's plane reader: two neighbouring planes are read and the value lies between them.

    A volume is a tall picture, its planes one below the other, and the plane after each is a second channel of the same
    memory. Rows of tall pictures are numbers between -1 and 1: with 30,000 of them a place is exact to 0.003 voxels.
    """
    patches = patches.contiguous()
    batch, _, d, h, w = patches.shape
    pairs = patches.as_strided((batch, 2, (d - 1) * h, w), (d * h * w, h * w, w, 1))
    plane = _position(linear, centres, size, 0).clamp_(0, d - 1)
    before = plane.floor().clamp_(max=d - 2)
    grid = patches.new_empty(batch, 2, *size)
    row = _position(linear, centres, size, 1, out=grid[:, 1]).clamp_(0, h - 1)
    row.add_(before, alpha=h).mul_(2 / max((d - 1) * h - 1, 1)).sub_(1)
    _position(linear, centres, size, 2, out=grid[:, 0]).mul_(2 / max(w - 1, 1)).sub_(1)
    tall = grid.view(batch, 2, size[0] * size[1], size[2]).movedim(1, -1)
    values = functional.grid_sample(pairs, tall, padding_mode="border", align_corners=True).view(batch, 2, *size)
    return torch.lerp(values[:, 0], values[:, 1], plane.sub_(before))[:, None]


def crop(
    patches: torch.Tensor, starts: torch.Tensor, size: tuple[int, int, int], mirrored: torch.Tensor
) -> torch.Tensor:
    """Cut boxes out of patches. Copies voxels only; on a GPU it waits for the parameters.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    starts : torch.Tensor
        Batch x 3, whole numbers: first voxel of each box.
    size : tuple of int
        Of the boxes.
    mirrored : torch.Tensor
        Batch, bool: samples whose first axis is turned round before they are cut.

    Returns
    -------
    torch.Tensor
        Batch x 1 x size.
    """
    views = patches.new_empty(len(patches), patches.shape[1], *size)
    for view, patch, (z, y, x), mirror in zip(views, patches, starts.tolist(), mirrored.tolist(), strict=True):
        z, y, x = int(z), int(y), int(x)
        whole = patch.flip(1) if mirror else patch
        view.copy_(whole[:, z : z + size[0], y : y + size[1], x : x + size[2]])
    return views


def contrast_(patches: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Raise to a power after dividing by the sample's maximum, and multiply by it again: 0 and the maximum stay.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W; negative values become 0.
    gamma : torch.Tensor
        Batch, above 0.
    """
    top = patches.amax(dim=(1, 2, 3, 4), keepdim=True).clamp_(min=torch.finfo(patches.dtype).tiny)
    gamma = _per_sample(gamma)
    patches.div_(top).clamp_(min=0)
    if patches.device.type == "cpu":
        # a third of the time of a power; log(0) is minus infinity, whose exponential is 0 again
        patches.log_().mul_(gamma).exp_()
    else:
        patches.pow_(gamma)
    return patches.mul_(top)


def bias_(patches: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Multiply by a smooth field: the exponential of control points with straight lines between them.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    points : torch.Tensor
        Batch x P x P x P: logarithms of the field; the outer points lie on the border voxels.
    """
    batch, _, d, h, w = patches.shape
    p = points.shape[1]
    along_d, along_h, along_w = (_between(p, n, points) for n in (d, h, w))
    lines = torch.matmul(along_h, torch.matmul(along_d, points.reshape(batch, p, p * p)).view(batch, d, p, p))
    field = torch.matmul(lines.view(batch, d * h, p), along_w.T)
    return patches.mul_(field.view(batch, 1, d, h, w).exp_())


def _between(points: int, voxels: int, like: torch.Tensor) -> torch.Tensor:
    """Weights of control points (voxels x points) for linear interpolation."""
    places = torch.linspace(0, points - 1, voxels, dtype=like.dtype, device=like.device)
    numbers = torch.arange(points, dtype=like.dtype, device=like.device)
    return (1 - (places[:, None] - numbers).abs()).clamp_(min=0)


def blur(patches: torch.Tensor, sigma: torch.Tensor, largest: float) -> torch.Tensor:
    """Blur each sample with its own Gaussian; beyond the border the border goes on.

    One axis after the other, as a product with a matrix, whose time does not depend on the width of the Gaussian.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    sigma : torch.Tensor
        Batch: standard deviations in voxels; 0 for none.
    largest : float
        No sigma is larger; the Gaussian, sampled at whole voxels, is cut at four times that.

    Returns
    -------
    torch.Tensor
        Of the same shape.
    """
    batch, _, d, h, w = patches.shape
    radius = max(1, math.ceil(4 * largest))
    along_d, along_h, along_w = (_gaussians(sigma, n, radius) for n in (d, h, w))
    views = torch.bmm(along_d, patches.reshape(batch, d, h * w)).view(batch, d, h, w)
    views = torch.matmul(along_h[:, None], views).view(batch, d * h, w)
    return torch.bmm(views, along_w.mT).view(batch, 1, d, h, w)


def _gaussians(sigma: torch.Tensor, voxels: int, radius: int) -> torch.Tensor:
    """Weights with which each voxel of an axis takes from all: batch x voxels x voxels, rows adding up to 1."""
    numbers = torch.arange(-radius, voxels + radius, dtype=sigma.dtype, device=sigma.device)
    distance = numbers - numbers[radius:-radius, None]
    weights = torch.exp(-0.5 * (distance / sigma.clamp(min=1e-3)[:, None, None]).square())
    weights *= distance.abs() <= radius
    weights /= weights.sum(dim=2, keepdim=True)
    inside = weights[:, :, radius:-radius]
    # what reaches beyond the border takes from the border
    inside[:, :, 0] += weights[:, :, :radius].sum(dim=2)
    inside[:, :, -1] += weights[:, :, -radius:].sum(dim=2)
    return inside


def spike_(
    patches: torch.Tensor, frequencies: torch.Tensor, phases: torch.Tensor, strength: torch.Tensor
) -> torch.Tensor:
    """Add the wave that one wrong point of k-space leaves all over the image.

    The inverse Fourier transform of a point is a plane wave, so no transform is needed: a cosine of a sum is the sum of
    two products, one factor a plane's, the other a line's.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    frequencies : torch.Tensor
        Batch x 3: the point, cycles per voxel along each axis (k / n for point k of a transform of n voxels).
    phases : torch.Tensor
        Batch, radians, at the first voxel.
    strength : torch.Tensor
        Batch: amplitude of the wave as a share of the sample's mean; that of the spike over that of k-space's centre.
    """
    batch, _, d, h, w = patches.shape
    steps = [torch.arange(n, dtype=patches.dtype, device=patches.device) for n in (d, h, w)]
    along_d, along_h, along_w = (2 * math.pi * frequencies[:, k, None] * step for k, step in enumerate(steps))
    plane = (phases[:, None, None] + along_d[:, :, None] + along_h[:, None]).flatten(1)
    amplitude = patches.mean(dim=(1, 2, 3, 4)) * strength
    planes = torch.stack([plane.cos(), -plane.sin()], dim=2) * amplitude[:, None, None]
    patches.view(batch, d * h, w).baddbmm_(planes, torch.stack([along_w.cos(), along_w.sin()], dim=1))
    return patches


def noise_(patches: torch.Tensor, normal: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Add noise.

    Parameters
    ----------
    patches, normal : torch.Tensor
        Batch x 1 x D x H x W: the patches, and standard normal numbers.
    strength : torch.Tensor
        Batch: standard deviation of the noise as a share of the sample's own.
    """
    # not Tensor.std, which takes twenty times as long along one axis on a CPU
    means = patches.mean(dim=(1, 2, 3, 4), keepdim=True)
    spread = torch.linalg.vector_norm(patches - means, dim=(1, 2, 3, 4)) / math.sqrt(patches[0].numel())
    return patches.addcmul_(normal, _per_sample(strength * spread))


def white_level(patches: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Mean intensity of white matter in each patch, or the threshold below it where there is none.

    Parameters
    ----------
    patches : torch.Tensor
        Batch x 1 x D x H x W.
    classes : torch.Tensor
        Batch x 2: intensities between fluid and grey, and between grey and white matter.

    Returns
    -------
    torch.Tensor
        Batch.
    """
    white = patches >= _per_sample(classes[:, 1])
    count = white.sum(dim=(1, 2, 3, 4))
    mean = (patches * white).sum(dim=(1, 2, 3, 4)) / count.clamp(min=1)
    return torch.where(count > 0, mean, classes[:, 1])


def remap(
    patches: torch.Tensor, classes: torch.Tensor, means: torch.Tensor, spreads: torch.Tensor, normal: torch.Tensor
) -> torch.Tensor:
    """Give fluid, grey and white matter new intensities; 0 stays 0, and nothing falls below it.

    Parameters
    ----------
    patches, normal : torch.Tensor
        Batch x 1 x D x H x W: the patches, and standard normal numbers.
    classes : torch.Tensor
        Batch x 2: the lowest intensity of grey and of white matter.
    means, spreads : torch.Tensor
        Batch x 3: mean and standard deviation of fluid, grey and white matter.

    Returns
    -------
    torch.Tensor
        Of the same shape.

    References
    ----------
    Billot et al., A learning strategy for contrast-agnostic MRI segmentation, MIDL 2020: intensities drawn from a
    Gaussian for each label.
    """
    grey, white = ((patches >= _per_sample(classes[:, k])).to(patches.dtype) for k in range(2))

    def of_tissue(values: torch.Tensor) -> torch.Tensor:
        # a step at each border: several times as fast as choosing
        steps = _per_sample(values[:, 1] - values[:, 0]), _per_sample(values[:, 2] - values[:, 1])
        return torch.addcmul(_per_sample(values[:, 0]), grey, steps[0]).addcmul_(white, steps[1])

    return of_tissue(means).addcmul_(of_tissue(spreads), normal).clamp_(min=0).mul_(patches > 0)


def _per_sample(values: torch.Tensor) -> torch.Tensor:
    """Shape one value a sample so that it meets every voxel."""
    return values[:, None, None, None, None]
