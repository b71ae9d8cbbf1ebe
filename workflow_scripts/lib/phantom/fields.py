"""Smooth deformations: velocity fields with a wanted volume change, random ones, and their exponentials.

Fields are torch float32 tensors of shape 3 x X x Y x Z in voxels of their grid. A stationary velocity
v moves anatomy by exp(v); images are pulled back with exp(-v) (Arsigny et al. 2006, log-Euclidean).
"""

import numpy as np
import torch
from scipy import fft, ndimage
from torch.nn import functional


def velocity_for_divergence(divergence: np.ndarray) -> torch.Tensor:
    """Return the irrotational velocity whose divergence is given.

    Solves the Poisson equation with Neumann borders by the type II cosine transform; v is the gradient.

    Parameters
    ----------
    divergence : numpy.ndarray
        X x Y x Z, log volume change per voxel; its mean is taken away (the skull does not move).

    Returns
    -------
    torch.Tensor
        float32, 3 x X x Y x Z, in voxels.
    """
    target = fft.dctn(divergence - divergence.mean(), type=2, norm="ortho")
    waves = [2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in divergence.shape]
    eigenvalues = waves[0][:, None, None] + waves[1][None, :, None] + waves[2][None, None, :]
    eigenvalues[0, 0, 0] = 1.0
    target /= eigenvalues
    target[0, 0, 0] = 0.0
    potential = fft.idctn(target, type=2, norm="ortho")
    return torch.from_numpy(np.stack(np.gradient(potential)).astype(np.float32))


def random_velocity(
    shape: tuple[int, int, int], spacing: float, scales: list[tuple[float, float]], random: np.random.Generator
) -> torch.Tensor:
    """Draw a smooth random velocity: a sum of Gaussian random fields.

    Parameters
    ----------
    shape, spacing : grid of the field, spacing in mm.
    scales : list of (sigma_mm, rms_mm)
        Width of the smoothing kernel and root mean square of the displacement of each part.
    random : numpy.random.Generator

    Returns
    -------
    torch.Tensor
        float32, 3 x X x Y x Z, in voxels.
    """
    total = np.zeros((3, *shape), np.float32)
    for sigma, rms in scales:
        # drawn on a grid no finer than the kernel needs, then enlarged: most of the cost goes away
        coarse = max(1.0, sigma / spacing / 1.5)
        small = tuple(int(np.ceil(n / coarse)) + 4 for n in shape)
        for axis in range(3):
            field = ndimage.gaussian_filter(random.standard_normal(small), sigma / spacing / coarse)
            field *= rms / spacing / field.std()
            zoomed = torch.from_numpy(field.astype(np.float32))[None, None]
            size = tuple(int(np.ceil(n * coarse)) for n in small)
            big = functional.interpolate(zoomed, size=size, mode="trilinear", align_corners=False)
            total[axis] += big[0, 0, : shape[0], : shape[1], : shape[2]].numpy()
    return torch.from_numpy(total)


def without_pose(field: torch.Tensor, weight: np.ndarray) -> torch.Tensor:
    """Take translation, rotation and scale out of a field, by least squares over the brain.

    What is left is anatomy; the pose of a scan is then the planted pose and nothing else.

    Parameters
    ----------
    field : torch.Tensor
        3 x X x Y x Z.
    weight : numpy.ndarray
        X x Y x Z, where to fit (a brain mask).
    """
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in weight.shape], indexing="ij")).astype(np.float64)
    inside = weight > 0.5
    points = grid[:, inside]
    centre = points.mean(axis=1, keepdims=True)

    def basis(x: np.ndarray) -> np.ndarray:
        """7 columns (3 shifts, 3 rotations, 1 scale) for stacked x, y, z displacements."""
        one, nil = np.ones(x.shape[1]), np.zeros(x.shape[1])
        shifts = [np.concatenate(row) for row in ([one, nil, nil], [nil, one, nil], [nil, nil, one])]
        turns = [np.concatenate(row) for row in ([nil, -x[2], x[1]], [x[2], nil, -x[0]], [-x[1], x[0], nil])]
        return np.stack([*shifts, *turns, x.reshape(-1)], axis=1)

    values = field.numpy()[:, inside].astype(np.float64).reshape(-1)
    matrix = basis(points - centre)
    weights = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ values, rcond=None)[0]
    everywhere = basis(grid.reshape(3, -1) - centre) @ weights
    return field - torch.from_numpy(everywhere.reshape(field.shape).astype(np.float32))


def sample(
    volumes: torch.Tensor, points: torch.Tensor, mode: str = "bilinear", padding: str = "border"
) -> torch.Tensor:
    """Sample volumes at voxel coordinates.

    Parameters
    ----------
    volumes : torch.Tensor
        C x X x Y x Z.
    points : torch.Tensor
        3 x A x B x C, voxel coordinates in ``volumes``.
    mode : {"bilinear", "nearest"}
    padding : {"border", "zeros"}

    Returns
    -------
    torch.Tensor
        C x A x B x C.
    """
    sizes = torch.tensor(volumes.shape[1:], dtype=points.dtype).view(3, 1, 1, 1)
    unit = 2 * points / (sizes - 1) - 1
    # grid_sample wants the last axis first
    grid = unit.flip(0).permute(1, 2, 3, 0)[None]
    return functional.grid_sample(volumes[None], grid, mode=mode, padding_mode=padding, align_corners=True)[0]


def identity(shape: tuple[int, int, int]) -> torch.Tensor:
    """Voxel coordinates of every voxel: float32, 3 x X x Y x Z."""
    return torch.stack(torch.meshgrid(*[torch.arange(n, dtype=torch.float32) for n in shape], indexing="ij"))


def exponential(velocity: torch.Tensor, steps: int = 6) -> torch.Tensor:
    """Integrate a stationary velocity by scaling and squaring.

    Returns
    -------
    torch.Tensor
        Displacement u with exp(v)(x) = x + u(x), 3 x X x Y x Z, in voxels.
    """
    points = identity(tuple(velocity.shape[1:]))
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = displacement + sample(displacement, points + displacement)
    return displacement
