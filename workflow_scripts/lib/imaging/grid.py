"""The template grid: MNI152 2009c's field of view at any spacing, in RAS order."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.lib.study.errors import StudyError

# MNI152 2009c asymmetric, 1 mm: 193 x 229 x 193 voxels, centre of voxel (0, 0, 0) in mm
ORIGIN_MM = (-96.0, -132.0, -78.0)
EXTENT = (193, 229, 193)


@dataclass(frozen=True)
class Grid:
    """An isotropic RAS grid over MNI space.

    Parameters
    ----------
    spacing : float
        Voxel size in mm.
    margin : float
        Extra field of view on every side in mm (for scans that are not yet in place).
    """

    spacing: float
    margin: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y, z."""
        return tuple(int((n - 1 + 2 * self.margin) // self.spacing) + 1 for n in EXTENT)

    @property
    def affine(self) -> np.ndarray:
        """4 x 4 float64: voxel indices to world mm."""
        affine = np.diag([self.spacing, self.spacing, self.spacing, 1.0])
        affine[:3, 3] = np.array(ORIGIN_MM) - self.margin
        return affine

    def world(self) -> np.ndarray:
        """World coordinates of every voxel: float64, x * y * z * 3, mm."""
        axes = [np.arange(n) * self.spacing + start for n, start in zip(self.shape, self.affine[:3, 3], strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def resample(image: nib.Nifti1Image, grid: Grid, order: int = 1, smooth: bool = True) -> np.ndarray:
    """Resample an image of MNI space onto a grid.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        A 3D volume with a valid affine.
    grid : Grid
    order : int
        0 for labels (nearest neighbour), 1 for intensities (linear).
    smooth : bool
        Average over the coarser voxel first (Gaussian), so that thin structures keep their volume.

    Returns
    -------
    numpy.ndarray
        float32 (order 1) or the image's integers (order 0), of the grid's shape; 0 outside.
    """
    data = np.asarray(image.dataobj)
    voxel = nib.affines.voxel_sizes(image.affine)
    if order > 0:
        data = data.astype(np.float32)
        if smooth:
            # a Gaussian with the variance of a box of the new voxel less that of the old one
            sigma = np.sqrt(np.maximum(grid.spacing**2 - voxel**2, 0) / 12) / voxel
            data = ndimage.gaussian_filter(data, sigma)
    to_voxel = np.linalg.inv(image.affine) @ grid.affine
    return ndimage.affine_transform(data, to_voxel, output_shape=grid.shape, order=order, mode="constant", cval=0)


def check_volume(image: nib.Nifti1Image, name: str) -> None:
    """Refuse what is not one 3D volume with finite, varying intensities and a usable affine.

    Raises
    ------
    StudyError
        With the reason, in words that fit the table of excluded scans.
    """
    if len(image.shape) < 3 or min(image.shape[:3]) < 2 or any(n != 1 for n in image.shape[3:]):
        raise StudyError(
            f"{name}: expected one 3D volume, found shape {'x'.join(map(str, image.shape))}. Give the T1w alone"
        )
    voxel = nib.affines.voxel_sizes(image.affine)
    usable = np.all(np.isfinite(image.affine)) and voxel.min() > 0
    # unit axes span nothing if two of them fall together
    if not usable or abs(np.linalg.det(image.affine[:3, :3] / voxel)) < 1e-3:
        raise StudyError(f"{name}: the affine is not usable (voxel sizes {voxel.tolist()} mm). Convert the scan again")
    if voxel.max() > 8:
        raise StudyError(f"{name}: voxels of {voxel.max():.1f} mm are too coarse (at most 8 mm); sizes must be in mm")
    extent = np.array(image.shape[:3]) * voxel
    if extent.min() < 80:
        raise StudyError(f"{name}: field of view of {extent.min():.3g} mm is smaller than a brain; sizes must be in mm")
    if extent.max() > 700:
        raise StudyError(
            f"{name}: field of view of {extent.max():.0f} mm is larger than any head's (at most 700 mm); "
            "sizes must be in mm"
        )
    data = np.asanyarray(image.dataobj)
    if not np.all(np.isfinite(data)):
        raise StudyError(f"{name}: intensities contain NaN or infinity. Convert the scan again")
    if data.min() == data.max():
        raise StudyError(f"{name}: every voxel has the value {data.flat[0]:g}")
