"""Where a scan's voxels lie in the body: what its header says of it, and whether the header agrees with itself.

A NIfTI header holds two statements, qform (a rigid placement) and sform (any affine), each with a code that is 0 where
the statement was never made: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/qsform.html
"""

import itertools

import nibabel as nib
import numpy as np

from workflow_scripts.lib.study.errors import StudyError

SIZE_TOLERANCE = 0.01  # 1 % of a voxel's edge, 3 % of a volume
RIGHT_ANGLE_TOLERANCE = 0.01  # cosine; scanners reach 1e-4, half a degree is a sheared volume
CONVERT = "Convert the scan from DICOM again"


def check_orientation(image: nib.spatialimages.SpatialImage) -> None:
    """Refuse a volume whose header leaves left and right, or the voxels' size, open.

    Parameters
    ----------
    image : nibabel image
        NIfTI, MGH or another format; of the others only the axes are checked.

    Raises
    ------
    StudyError
        If no orientation is stated, qform and sform contradict each other about left and right or about sizes, or the
        axes are not at right angles. Where they differ by a rotation or a shift alone, the sform holds.
    """
    if isinstance(image, nib.Nifti1Pair):
        _check_forms(image)
    elif isinstance(image, nib.MGHImage):
        if not _mgh_states_orientation(image):
            raise StudyError(
                "the header says that its orientation is not known (goodRASFlag 0): left and right would be a guess. "
                f"{CONVERT}"
            )
    elif isinstance(image, nib.AnalyzeImage):
        raise StudyError(
            "the format ANALYZE 7.5 does not say which side is left: it would be a guess. "
            f"{CONVERT}, to NIfTI, or convert the file with a tool to which you state the orientation"
        )
    _check_angles(image.affine)


def _mgh_states_orientation(image: nib.MGHImage) -> bool:
    """Read goodRASFlag from the file: nibabel puts a default where it is 0 and keeps no trace of it."""
    if image.get_filename() is None:
        return True
    with nib.openers.ImageOpener(image.get_filename()) as file:
        return file.read(30)[28:] != bytes(2)


def _check_forms(image: nib.Nifti1Pair) -> None:
    """Check the two statements of a NIfTI header against each other."""
    header = image.header
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        raise StudyError(
            "the header does not say how the voxels lie in the body (the codes of qform and sform are both 0): left "
            f"and right would be a guess. {CONVERT}, or, if you know the orientation, write it to the sform, code 1"
        )
    if int(header["sform_code"]) == 0:
        return
    sform, pixdim = header.get_sform(), np.asarray(header.get_zooms()[:3], float)
    sizes = nib.affines.voxel_sizes(sform)
    if np.any(np.abs(sizes / pixdim - 1) > SIZE_TOLERANCE):
        raise StudyError(
            f"voxels are {_say_sizes(sizes)} mm by the sform but {_say_sizes(pixdim)} mm by pixdim: volumes would be "
            "wrong by one of them. Give the scan in its own space, before any scaling to a template, or correct the "
            "header"
        )
    qform = _stated_qform(header)
    if qform is not None and np.linalg.det(qform[:3, :3]) * np.linalg.det(sform[:3, :3]) < 0:
        raise StudyError(
            f"qform and sform contradict each other about left and right (axes {_say_axes(qform)} and "
            f"{_say_axes(sform)}). Find out which one is true, for instance by another scan of the person, and copy it "
            "over the other"
        )


def _stated_qform(header: nib.Nifti1Header) -> np.ndarray | None:
    """Read the qform; None where its code is 0."""
    try:
        return header.get_qform(coded=True)[0]
    except ValueError as error:
        raise StudyError(
            f"the qform is no rotation ({error}). {CONVERT}, or copy the sform over the qform if you trust it"
        ) from error


def _check_angles(affine: np.ndarray) -> None:
    """Refuse axes that are not at right angles."""
    axes = affine[:3, :3] / nib.affines.voxel_sizes(affine)
    for one, two in itertools.combinations(range(3), 2):
        cosine = float(axes[:, one] @ axes[:, two])
        if abs(cosine) > RIGHT_ANGLE_TOLERANCE:
            raise StudyError(
                f"axes {'ijk'[one]} and {'ijk'[two]} are {np.rad2deg(np.arccos(cosine)):.1f} degrees apart, expected "
                "90: the volume was sheared. Give the scan in its own space, before any affine registration"
            )


def _say_sizes(sizes: np.ndarray) -> str:
    return " x ".join(f"{size:.4g}" for size in sizes)


def _say_axes(affine: np.ndarray) -> str:
    return "".join(nib.aff2axcodes(affine))


def form_difference(image: nib.spatialimages.SpatialImage) -> float:
    """Measure how far apart qform and sform put the volume's corners.

    Returns
    -------
    float
        Largest distance in mm; 0 where only one of them is stated, or the format has only one.
    """
    if not isinstance(image, nib.Nifti1Pair):
        return 0.0
    qform, sform = _stated_qform(image.header), image.header.get_sform(coded=True)[0]
    if qform is None or sform is None:
        return 0.0
    corners = np.array(list(itertools.product(*[(0, n - 1) for n in image.shape[:3]])))
    apart = nib.affines.apply_affine(qform, corners) - nib.affines.apply_affine(sform, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def tilt_degrees(affine: np.ndarray) -> float:
    """Measure the angle in degrees between the stored axes and the nearest ones of the world: 0 if not oblique."""
    return float(np.rad2deg(nib.affines.obliquity(affine)).max())
