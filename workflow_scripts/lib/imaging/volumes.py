"""Reading scans and bringing them to a known orientation and voxel size."""

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.lib.imaging.grid import check_volume
from workflow_scripts.lib.imaging.orientation import check_orientation, form_difference, tilt_degrees
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
# files that are no image but often stand in the place of one: where a mark lies, the mark, what to do
IMPOSTORS = (
    (0, b"version https://git-lfs", "the file is a pointer of Git LFS, not the scan. Get the scan with: git lfs pull"),
    (0, b"/annex/objects/", "the file is a pointer of git-annex, not the scan. Get the scan with: datalad get"),
    (128, b"DICM", "the file is DICOM, one slice or several. Convert the series to NIfTI, for instance with dcm2niix"),
)
FEWEST_VALUES = (
    32  # a subject's labels are a few dozen at most among the voxels looked at; 8-bit scans have 100 and more
)
LARGEST = 1e30  # far inside float32, whose sums of squares must stay finite too


def read_scan(path: str | Path) -> nib.Nifti1Image:
    """Read a T1w volume wholly into memory and refuse what cannot be one.

    Parameters
    ----------
    path : path
        NIfTI or MGH, any voxel type, byte order, scale and orientation.

    Returns
    -------
    nibabel.Nifti1Image
        float32, 3D, in its own orientation; where the background was below zero, it is now at zero. qform, sform and
        their codes are the file's.

    Raises
    ------
    StudyError
        With the reason: no such file, truncated, four-dimensional, constant, orientation not known, ...
    """
    path = Path(path)
    image, data = _load(path)
    if not np.issubdtype(data.dtype, np.number) or np.iscomplexobj(data):
        raise StudyError(f"voxels of type {data.dtype.name} are not intensities. Give the T1w magnitude image")
    check_volume(image, "image")
    check_orientation(image)
    data = data.reshape(data.shape[:3])
    _check_intensities(data)
    # float64 beyond float32 becomes infinite, so the range is brought down first
    highest = max(abs(float(data.max())), abs(float(data.min())))
    data = (data / highest if highest > LARGEST else data).astype(np.float32)
    if data.min() < 0:
        # scans with mean 0, or with an offset: what surrounds the head is the zero of everything later
        data -= min(_background(data), 0)
    scan = nib.Nifti1Image(data, image.affine)
    if isinstance(image, nib.Nifti1Pair):
        header = image.header
        scan.set_sform(header.get_sform(), int(header["sform_code"]), update_affine=False)
        if header["qform_code"] > 0:
            scan.set_qform(header.get_qform(), int(header["qform_code"]), update_affine=False)
    return scan


def _load(path: Path) -> tuple[nib.spatialimages.SpatialImage, np.ndarray]:
    """Load an image and its voxels; a failure is put into the words of the likeliest cause."""
    if path.is_symlink() and not path.exists():
        raise StudyError(
            "the file is a link to what is not here. If it is of DataLad or git-annex, get it with: datalad get"
        )
    if not path.exists():
        raise StudyError("file not found")
    try:
        image = nib.load(path)
        return image, np.asanyarray(image.dataobj)
    except DAMAGE as error:
        for place, mark, reason in IMPOSTORS:
            if path.is_file() and _bytes_at(path, place, len(mark)) == mark:
                raise StudyError(reason) from error
        reason = " ".join(str(error).split())
        raise StudyError(f"file cannot be read as an image, truncated or damaged ({reason})") from error


def _bytes_at(path: Path, place: int, count: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(place)
        return file.read(count)


def _check_intensities(data: np.ndarray) -> None:
    """Refuse masks and label maps, which have few different values however many voxels are looked at."""
    count = len(np.unique(data[::3, ::3, ::3]))
    if count < FEWEST_VALUES:
        raise StudyError(
            f"only {count} different intensities: this is a mask or a map of labels. Give the T1w image itself"
        )


def _background(data: np.ndarray) -> float:
    """Find the intensity around the head: the median of the six faces of the volume."""
    faces = [np.take(data, place, axis).ravel() for axis in range(3) for place in (0, -1)]
    return float(np.median(np.concatenate(faces)))


def inspect_scan(image: nib.Nifti1Image) -> dict[str, float]:
    """Measure what quality control should know of how a scan was stored.

    Parameters
    ----------
    image : nibabel.Nifti1Image
        As :func:`read_scan` gives it.

    Returns
    -------
    dict
        ``voxel_min_mm``, ``voxel_max_mm``; ``tilt_degrees`` of the stored axes against the world's;
        ``form_difference_mm``, how far apart qform and sform put a corner of the volume.
    """
    voxel = nib.affines.voxel_sizes(image.affine)
    return {
        "voxel_min_mm": float(voxel.min()),
        "voxel_max_mm": float(voxel.max()),
        "tilt_degrees": tilt_degrees(image.affine),
        "form_difference_mm": form_difference(image),
    }


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
