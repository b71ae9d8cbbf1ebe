"""Similarity registration to the template, its check and its picture."""

import nibabel as nib
import numpy as np
from PIL import Image
from scipy import ndimage

from workflow_scripts.lib.imaging.ants_tools import Workspace, ants, matrix_of, to_ants
from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.volumes import crop_to


def estimate(brain: np.ndarray, affine: np.ndarray, spacing: float) -> np.ndarray:
    """Estimate the similarity transform (7 degrees of freedom, mutual information) to the template.

    Parameters
    ----------
    brain : numpy.ndarray
        float32, X x Y x Z, skull-stripped.
    affine : numpy.ndarray
        4 x 4, voxel to scan world.
    spacing : float
        Grid of the template in mm on which to estimate.

    Returns
    -------
    numpy.ndarray
        4 x 4, template world to scan world, mm.
    """
    t1, mask, _ = template(spacing)
    fixed, fixed_affine = crop_to(t1, Grid(spacing).affine, mask, pad=3)
    with Workspace() as prefix:
        result = ants.registration(to_ants(fixed, fixed_affine), to_ants(brain, affine), "Similarity", outprefix=prefix)
        return matrix_of(result["fwdtransforms"][0])


def apply(brain: np.ndarray, affine: np.ndarray, transform: np.ndarray, grid: Grid) -> np.ndarray:
    """Resample a brain onto the template grid in one interpolation; float32, never negative."""
    voxel = nib.affines.voxel_sizes(affine) / np.cbrt(np.linalg.det(transform[:3, :3]))
    sigma = np.sqrt(np.maximum(grid.spacing**2 - voxel**2, 0) / 12) / voxel
    to_scan = np.linalg.inv(affine) @ transform @ grid.affine
    smooth = ndimage.gaussian_filter(brain, sigma)
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
    """Return the scale factor of a similarity transform."""
    return float(np.cbrt(np.linalg.det(transform[:3, :3])))


def distance(transform: np.ndarray, other: np.ndarray, spacing: float = 8.0) -> np.ndarray:
    """Distance in mm between the images of the template's brain voxels under two transforms."""
    _, mask, _ = template(spacing)
    points = nib.affines.apply_affine(Grid(spacing).affine, np.argwhere(mask))
    difference = nib.affines.apply_affine(transform, points) - nib.affines.apply_affine(other, points)
    return np.linalg.norm(difference, axis=1)


def picture(volume: np.ndarray, spacing: float, height: int = 160) -> Image.Image:
    """Draw three slices of a registered brain with the template's outline.

    Returns
    -------
    PIL.Image.Image
        RGB: sagittal, coronal and axial slice side by side.
    """
    _, mask, _ = template(spacing)
    level = np.quantile(volume[mask], 0.98) if mask.any() else 1.0
    # slices through hippocampus and ventricles, in MNI mm
    places = [
        round((mm - start) / spacing) for mm, start in zip((-24, -18, 4), Grid(spacing).affine[:3, 3], strict=True)
    ]
    tiles = []
    for axis, place in enumerate(places):
        grey = np.clip(np.take(volume, place, axis) / max(level, 1e-6), 0, 1).T[::-1]
        outline = np.take(mask, place, axis).T[::-1]
        factor = height / grey.shape[0]
        size = (round(grey.shape[1] * factor), height)
        tile = np.asarray(Image.fromarray((grey * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC))
        edge = np.asarray(Image.fromarray(outline.astype(np.uint8) * 255).resize(size, Image.Resampling.BICUBIC)) > 127
        edge ^= ndimage.binary_erosion(edge)
        colour = np.stack([tile] * 3, axis=-1)
        colour[edge] = (230, 159, 0)
        tiles.append(colour)
    return Image.fromarray(np.concatenate(tiles, axis=1))
