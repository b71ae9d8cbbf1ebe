"""Reading scans and bringing them to a known orientation and voxel size."""

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.lib.imaging.grid import check_volume
from workflow_scripts.lib.study.errors import StudyError

# what nibabel and the decompressors raise at files that are not whole images
DAMAGE = (
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
    nib.wrapstruct.WrapStructError,
    EOFError,
    OSError,
    ValueError,
    zlib.error,
)


def read_scan(path: str | Path) -> nib.Nifti1Image:
    """Read a T1w volume wholly into memory and refuse what cannot be one.

    Returns
    -------
    nibabel.Nifti1Image
        float32, 3D, in its own orientation.

    Raises
    ------
    StudyError
        With the reason: no such file, truncated, not NIfTI or MGH, four-dimensional, constant, ...
    """
    path = Path(path)
    if not path.exists():
        raise StudyError("file not found")
    try:
        image = nib.load(path)
        data = np.asanyarray(image.dataobj)
    except DAMAGE as error:
        raise StudyError(f"file cannot be read as an image, truncated or damaged ({error})") from error
    if not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        raise StudyError(f"voxels of type {data.dtype} are not intensities")
    check_volume(image, "image")
    return nib.Nifti1Image(data.reshape(data.shape[:3]).astype(np.float32), image.affine)


def conform(image: nib.Nifti1Image, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Bring a volume to RAS order and, where it is finer or unequal, to isotropic voxels.

    A volume that is RAS and within 1 % of the spacing keeps its samples: no needless interpolation.

    Returns
    -------
    data : float32, X x Y x Z; affine : 4 x 4 in the same world as before.
    """
    image = nib.as_closest_canonical(image)
    data = image.get_fdata(dtype=np.float32)
    voxel = nib.affines.voxel_sizes(image.affine)
    if np.allclose(voxel, spacing, rtol=0.01):
        return data, image.affine
    sigma = np.sqrt(np.maximum(spacing**2 - voxel**2, 0) / 12) / voxel
    shape = tuple(int(np.ceil(n * size / spacing)) for n, size in zip(data.shape, voxel, strict=True))
    affine = image.affine @ np.diag([*(spacing / voxel), 1.0])
    # the first voxel's outer edge stays where it was
    affine[:3, 3] = (image.affine @ np.append((spacing / voxel - 1) / 2, 1.0))[:3]
    to_old = np.linalg.inv(image.affine) @ affine
    data = ndimage.affine_transform(ndimage.gaussian_filter(data, sigma), to_old, output_shape=shape, order=1)
    return data, affine


def foreground(data: np.ndarray) -> np.ndarray:
    """Tell a subject from the background: the largest object above a tenth of the bright voxels' level.

    Returns
    -------
    numpy.ndarray
        bool, X x Y x Z, holes filled.
    """
    positive = data[data > 0]
    if positive.size == 0:
        raise StudyError("no voxel is above zero")
    objects, count = ndimage.label(data > 0.1 * np.quantile(positive, 0.98))
    if count == 0:
        raise StudyError("no object stands out from the background")
    sizes = np.bincount(objects.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(objects == sizes.argmax())


def crop_to(data: np.ndarray, affine: np.ndarray, mask: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut a volume to the bounding box of a mask and a few voxels more; the world stays."""
    places = np.argwhere(mask)
    low = np.maximum(places.min(axis=0) - pad, 0)
    high = np.minimum(places.max(axis=0) + pad + 1, mask.shape)
    moved = affine.copy()
    moved[:3, 3] = (affine @ np.append(low, 1.0))[:3]
    return data[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], moved


def save_volume(data: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Write a volume as int16 NIfTI with a scale (half the size of float32, 0.002 % of the range lost)."""
    image = nib.Nifti1Image(data, affine)
    image.set_data_dtype(np.int16)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    nib.save(image, path)
