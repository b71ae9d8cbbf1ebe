"""Scans that are broken on purpose, so that quality control has something to find."""

from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.lib.study.errors import StudyError


def save_with_fault(image: nib.Nifti1Image, fault: str | None, path: str | Path) -> None:
    """Write a scan, broken in one way if asked.

    Parameters
    ----------
    image : nibabel.Nifti1Image
    fault : {None, "truncated", "zero", "four_dimensional"}
        A file cut off in the middle, no signal at all, or two volumes in one file.
    path : path
    """
    path = Path(path)
    if fault == "zero":
        image = nib.Nifti1Image(np.zeros(image.shape, np.int16), image.affine)
    elif fault == "four_dimensional":
        image = nib.Nifti1Image(np.stack([np.asarray(image.dataobj)] * 2, axis=-1), image.affine)
    elif fault not in (None, "truncated"):
        raise StudyError(f"phantom: fault '{fault}' is unknown")
    nib.save(image, path)
    if fault == "truncated":
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
