"""Linear registration to the template, and its check."""

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, matrix_of, to_ants
from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.refine import refine
from workflow_scripts.lib.imaging.volumes import conform, crop_to
from workflow_scripts.lib.study.errors import StudyError

BASIN_MM = 4.0  # coarse enough to be cheap, fine enough to end within a millimetre of the optimum


def estimate(brain: np.ndarray, affine: np.ndarray, spacing: float, parameters: int = 7) -> np.ndarray:
    """Estimate the linear transform to the template by mutual information.

    ANTs' Similarity at 4 mm, then the optimum on a lattice of ``spacing`` (:mod:`refine`).

    Parameters
    ----------
    brain : numpy.ndarray
        float32, X x Y x Z, skull-stripped; averaged to half of ``spacing`` where it is finer.
    affine : numpy.ndarray
        4 x 4, voxel to scan world.
    spacing : float
        Of the points of the template at which images are compared, mm.
    parameters : {7, 9}
        Rotation and shift, with one scale or with one scale along each axis of the template.

    Returns
    -------
    numpy.ndarray
        4 x 4, template world to scan world, mm; the same to the bit for the same input.

    Raises
    ------
    RuntimeError
        ITK's own, e.g. if brain and template do not overlap at all.
    """
    if parameters not in (7, 9):
        raise StudyError(f"grid: parameters: found {parameters}, expected 7 or 9.")
    if not (brain > 0).any():
        raise RuntimeError("no voxel of the brain is above zero")
    with Workspace() as prefix:
        images = (to_ants(*fixed_brain(BASIN_MM)), to_ants(*coarsen(brain, affine, BASIN_MM)))
        found = ants.registration(*images, "Similarity", outprefix=prefix)
        start = matrix_of(found["fwdtransforms"][0])
    # no finer than half the lattice: what lies between its points must not matter
    resolution = max(1.0, spacing / 2)
    return refine(*coarsen(brain, affine, resolution), start, spacing, resolution, parameters)


def fixed_brain(spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the template brain on a grid, cut to three voxels around it, and its affine."""
    t1, mask, _ = template(spacing)
    return crop_to(t1, Grid(spacing).affine, mask, pad=3)


def coarsen(brain: np.ndarray, affine: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Average a brain down to a spacing if it is finer; a coarser one stays as it is."""
    if nib.affines.voxel_sizes(affine).min() > 0.95 * spacing:
        return brain, affine
    return conform(nib.Nifti1Image(brain, affine), spacing)


def apply(brain: np.ndarray, affine: np.ndarray, transform: np.ndarray, grid: Grid) -> np.ndarray:
    """Resample a brain onto the template grid in one interpolation; float32, never negative."""
    to_scan = np.linalg.inv(affine) @ transform @ grid.affine
    # voxels of the grid in voxels of the scan, along the scan's axes: average over them where they are larger
    size = np.linalg.norm(to_scan[:3, :3], axis=1)
    smooth = ndimage.gaussian_filter(brain, np.sqrt(np.maximum(size**2 - 1, 0) / 12))
    moved = ndimage.affine_transform(smooth, to_scan, output_shape=grid.shape, order=1, mode="constant", cval=0)
    return np.maximum(moved, 0).astype(np.float32)


def overlap(volume: np.ndarray, spacing: float) -> float:
    """Dice coefficient of a registered brain's mask with the template's, 0 to 1."""
    _, mask, _ = template(spacing)
    if not (volume > 0).any():
        return 0.0
    inside = ndimage.binary_fill_holes(volume > 0.2 * np.quantile(volume[volume > 0], 0.9))
    return float(2 * (inside & mask).sum() / (inside.sum() + mask.sum()))


def scale_of(transform: np.ndarray) -> float:
    """Return the scale factor of a transform: of three, the geometric mean."""
    return float(np.cbrt(np.linalg.det(transform[:3, :3])))


def numbers(transform: np.ndarray) -> dict[str, float]:
    """Describe a transform for the table of registered scans.

    Returns
    -------
    dict
        ``scale``; ``scale_x``, ``scale_y``, ``scale_z`` along the template's axes; ``rotation_degrees``;
        ``transform_00`` to ``transform_23``, the matrix from template world to scan world in mm.
    """
    scales = np.linalg.norm(transform[:3, :3], axis=0)
    turn = transform[:3, :3] / scales
    angle = np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
    described = {"scale": scale_of(transform)}
    described |= {f"scale_{axis}": float(scale) for axis, scale in zip("xyz", scales, strict=True)}
    described["rotation_degrees"] = float(angle)
    return described | {f"transform_{i}{j}": float(transform[i, j]) for i in range(3) for j in range(4)}


def distance(transform: np.ndarray, other: np.ndarray, spacing: float = 8.0) -> np.ndarray:
    """Distance in mm between the images of the template's brain voxels under two transforms."""
    _, mask, _ = template(spacing)
    points = nib.affines.apply_affine(Grid(spacing).affine, np.argwhere(mask))
    difference = nib.affines.apply_affine(transform, points) - nib.affines.apply_affine(other, points)
    return np.linalg.norm(difference, axis=1)
