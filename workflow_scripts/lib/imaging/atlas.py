"""The Desikan-Killiany + aseg atlas on a grid, and the names of the regional features made from it."""

import re
from functools import cache

import numpy as np
from scipy import ndimage

from workflow_scripts.lib.imaging import packaged
from workflow_scripts.lib.imaging.grid import Grid, resample

# aseg rows that the 104 features leave out: vessels and chiasm, usually zero, and whole-hemisphere white matter
LEFT_OUT = ("vessel", "non-WM-hypointensities", "Optic-Chiasm", "Cerebral-White-Matter", "unknown", "Unknown")
FLUID = ("Ventricle", "Inf-Lat-Vent", "CSF", "choroid-plexus")
WHITE = ("White-Matter", "CC_", "hypointensities")
# structures whose voxels are of mixed intensity: every tissue inside the outline counts
MIXED = ("Brain-Stem", "VentralDC", "Thalamus", "Pallidum")


def spread_labels(labels: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Give every unlabelled brain voxel the code of the nearest labelled one (the atlas ribbon is thin)."""
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    return np.where(brain, labels[tuple(nearest)], 0)


def feature_name(structure: str) -> str | None:
    """Name the volume feature of an atlas structure as FreeSurfer's tables do; None if it is no feature.

    ``ctx-lh-entorhinal`` becomes ``lh_entorhinal_volume``; aseg names stay, with the newer ``Thalamus``.
    """
    if any(word in structure for word in LEFT_OUT):
        return None
    cortex = re.fullmatch(r"ctx-([lr]h)-(.+)", structure)
    if cortex:
        return f"{cortex[1]}_{cortex[2]}_volume"
    return structure.replace("-Proper", "")


def tissue_of(structure: str) -> str:
    """Say which tissue of a structure counts as its volume: grey, white, csf or any."""
    if any(word in structure for word in FLUID):
        return "csf"
    if any(word in structure for word in WHITE) and "Cerebellum-Cortex" not in structure:
        return "white"
    return "any" if any(word in structure for word in MIXED) else "grey"


@cache
def feature_structures() -> dict[int, tuple[str, str]]:
    """Map atlas codes to (feature name, tissue): 68 cortical and 36 aseg volumes."""
    _, names = packaged.atlas()
    named = {code: (feature_name(name), tissue_of(name)) for code, name in names.items()}
    return {code: (name, tissue) for code, (name, tissue) in named.items() if name}


@cache
def template(spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample the template brain, its mask and the spread atlas onto a grid.

    Returns
    -------
    t1 : float32, 0 to 1; mask : bool; labels : int32 codes, nearest label in every brain voxel.
    """
    grid = Grid(spacing)
    t1 = resample(packaged.mni_map("t1"), grid) / 255
    mask = ndimage.binary_fill_holes(t1 > 0.12)
    image, _ = packaged.atlas()
    labels = spread_labels(resample(image, grid, order=0).astype(np.int32), mask)
    return (t1 * mask).astype(np.float32), mask, labels
