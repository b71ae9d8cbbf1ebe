"""Read what FreeSurfer or FastSurfer made before: statistics, and the brain from the volumes in ``mri``.

Nothing is computed anew. File names: https://surfer.nmr.mgh.harvard.edu/fswiki/ReconAllOutputFiles and
https://deep-mi.org/FastSurfer/dev/overview/OUTPUT_FILES.html.
"""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.lib.imaging.backends.base import WHITE_LEVEL, Preprocessed, check_brain_size, finish_brain
from workflow_scripts.lib.imaging.stats.subject import read_subject
from workflow_scripts.lib.imaging.volumes import DAMAGE, read_scan
from workflow_scripts.lib.study.errors import StudyError

# FreeSurfer's brains, best first: norm is corrected with the help of the segmentation
BRAINS = ("norm.mgz", "brain.mgz", "brainmask.mgz")
# segmentations whose labels 2 and 41 are the white matter of the hemispheres
SEGMENTATIONS = {
    "freesurfer": ("aseg.mgz", "aseg.presurf.mgz", "aparc+aseg.mgz"),
    "fastsurfer": ("aparc.DKTatlas+aseg.deep.mgz", "aseg.auto_noCCseg.mgz"),
}
WHITE_LABELS = (2, 41)


def read_existing(subject_folder: str | Path, tool: str) -> Preprocessed:
    """Read a subject folder.

    Parameters
    ----------
    subject_folder : path
        The folder that holds ``stats`` and, if the brain is wanted, ``mri``.
    tool : {"freesurfer", "fastsurfer"}

    Returns
    -------
    Preprocessed
        ``brain`` is None where no volume of the brain is there.

    Raises
    ------
    StudyError
        If the folder is missing, unfinished, has no statistics, or has a damaged file.
    """
    folder = Path(subject_folder)
    _check_folder(folder)
    stats = read_subject(folder, tool)
    numbers = dict(stats.numbers)
    image, mask = _read_freesurfer(folder / "mri") if tool == "freesurfer" else _read_fastsurfer(folder / "mri")
    icv = stats.icv
    brain = affine = None
    if image is not None:
        data, voxel_mm3 = image.get_fdata(dtype=np.float32), float(abs(np.linalg.det(image.affine)))
        brain_mm3 = float(mask.sum() * voxel_mm3)
        check_brain_size(brain_mm3)
        white = _read_white_matter(folder / "mri", tool, image)
        level = white_level(data, mask, white)
        if tool == "freesurfer" and white is None and abs(level - WHITE_LEVEL) > 0.15 * WHITE_LEVEL:
            level = WHITE_LEVEL  # FreeSurfer has scaled its volumes already: this peak is another tissue's
        brain, affine = finish_brain(data, image.affine, mask, level)
        # near 110 in FreeSurfer's volumes, anything in FastSurfer's, which are corrected but not scaled
        numbers["white_level"] = level
        numbers.setdefault("mask_ml", brain_mm3 / 1e3)
        if "brain_segmented_ml" not in numbers:
            numbers["brain_ml"] = brain_mm3 / 1e3  # the only measure of its size
        if icv is None and tool == "fastsurfer":
            # segmentation alone gives no intracranial volume; its brain mask includes the fluid around the brain
            icv, numbers["icv_is_mask"] = brain_mm3, 1.0
    return Preprocessed(brain, affine, stats.features, icv, numbers, stats.tool, stats.version)


def _check_folder(folder: Path) -> None:
    """Refuse what is no finished subject folder."""
    if not folder.is_dir():
        raise StudyError(f"{folder}: no such folder. Correct the path of the subject folder.")
    if (folder / "scripts" / "recon-all.error").exists():
        raise StudyError(
            f"{folder}: the run stopped with an error (scripts/recon-all.error; the end of scripts/recon-all.log says "
            "why). Run the subject again, or leave it out."
        )
    if running := sorted(folder.glob("scripts/IsRunning*")):
        raise StudyError(
            f"{folder}: the run has not finished (scripts/{running[0].name} is there). Wait for it; if it was killed, "
            "run the subject again."
        )


def _read_brain(path: Path) -> nib.Nifti1Image:
    """Read a volume of intensities as float32, RAS."""
    try:
        return nib.as_closest_canonical(read_scan(path))
    except StudyError as error:
        raise StudyError(f"{path}: {error}. Copy it again or run the subject again.") from error


def _read_labels(path: Path) -> nib.spatialimages.SpatialImage:
    """Read a mask or a segmentation, RAS."""
    try:
        image = nib.as_closest_canonical(nib.load(path))
        np.asanyarray(image.dataobj)
    except DAMAGE as error:
        raise StudyError(
            f"{path}: file cannot be read as an image, truncated or damaged ({error}). Copy it again or run the "
            "subject again."
        ) from error
    return image


def _read_freesurfer(mri: Path) -> tuple[nib.Nifti1Image | None, np.ndarray | None]:
    """Read the best of the brains; None, None if there is none."""
    for name in BRAINS:
        if (mri / name).exists():
            image = _read_brain(mri / name)
            # where a person erased voxels by hand, FreeSurfer's editor leaves the value 1
            return image, image.get_fdata(dtype=np.float32) > 1
    return None, None


def _read_fastsurfer(mri: Path) -> tuple[nib.Nifti1Image | None, np.ndarray | None]:
    """Read the corrected head and the brain mask; None, None if neither is there."""
    names = ("orig_nu.mgz", "mask.mgz")
    lacking = [name for name in names if not (mri / name).exists()]
    if len(lacking) == 2:
        return None, None
    if lacking:
        there = next(name for name in names if name not in lacking)
        raise StudyError(
            f"{mri} has {there} but no {lacking[0]}: the brain is made of both. Run the segmentation again (without "
            "--no_biasfield), or remove the folder mri to use the statistics alone."
        )
    image, mask = _read_brain(mri / names[0]), _read_labels(mri / names[1])
    if image.shape != mask.shape:
        raise StudyError(
            f"{mri}: orig_nu.mgz has {'x'.join(map(str, image.shape))} voxels and mask.mgz "
            f"{'x'.join(map(str, mask.shape))}. They are of different runs: run the segmentation again."
        )
    return image, np.asanyarray(mask.dataobj) > 0.5


def _read_white_matter(mri: Path, tool: str, image: nib.Nifti1Image) -> np.ndarray | None:
    """Read the white matter from the first segmentation on the brain's own grid; None if there is none."""
    for name in SEGMENTATIONS[tool]:
        if (mri / name).exists():
            labels = _read_labels(mri / name)
            if labels.shape == image.shape and np.allclose(labels.affine, image.affine, atol=1e-3):
                return np.isin(np.asanyarray(labels.dataobj), WHITE_LABELS)
    return None


def white_level(data: np.ndarray, mask: np.ndarray, white: np.ndarray | None) -> float:
    """Find the intensity of white matter in a brain.

    Parameters
    ----------
    data : numpy.ndarray
        X x Y x Z.
    mask : numpy.ndarray
        bool, the brain.
    white : numpy.ndarray, optional
        bool, white matter by a segmentation; without one, the brightest peak of the histogram is taken.

    Returns
    -------
    float
        Above zero.

    Raises
    ------
    StudyError
        If no voxel of the brain is above zero.
    """
    if white is not None and (inside := data[white & mask]).size > 1000:
        level = float(np.median(inside))
        if level > 0:
            return level
    inside = data[mask & (data > 0)]
    if inside.size == 0:
        raise StudyError("no voxel of the brain is above zero")
    # a few bright vessels must not stretch the bins
    counts, edges = np.histogram(inside, bins=200, range=(0, float(np.quantile(inside, 0.999))))
    smooth = ndimage.gaussian_filter1d(counts.astype(float), 4)
    peaks = np.flatnonzero((smooth[1:-1] >= smooth[:-2]) & (smooth[1:-1] > smooth[2:])) + 1
    # grey and white matter both stand out in a T1w brain; white is the brighter one
    high = [peak for peak in peaks if smooth[peak] > 0.3 * smooth.max()] or [int(smooth.argmax())]
    return float((edges[high[-1]] + edges[high[-1] + 1]) / 2)
