"""The 18 regions of Reynolds et al.: their boxes in MNI space and the features that belong to each.

The paper names the regions, not the boxes (its Supplementary Table 1 is not public). The boxes hold every voxel of
the region's Desikan-Killiany and aseg labels with a 6 mm margin, sizes are multiples of 8 mm and both sides mirror.
Only the horns of the lateral ventricle and its choroid plexus reach out of the subcortical boxes, by a tenth at most.
"""

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.study.errors import StudyError

# region -> size in mm, first voxel centre of the left and the right box in MNI mm (x, y, z)
BOXES = {
    "medial_temporal": ((56, 120, 72), (-60, -88, -58), (5, -88, -58)),
    "lateral_temporal": ((56, 112, 88), (-76, -79, -58), (21, -79, -58)),
    "parietal": ((80, 112, 88), (-74, -106, -2), (-5, -106, -2)),
    "occipital": ((72, 80, 72), (-63, -114, -28), (-8, -114, -28)),
    "subcortical": ((56, 80, 64), (-46, -46, -29), (-9, -46, -29)),
    "cingulate": ((32, 120, 72), (-27, -64, -18), (-4, -64, -18)),
    "medial_frontal": ((48, 128, 120), (-39, -50, -37), (-8, -50, -37)),
    "anterior_frontal": ((64, 80, 96), (-60, 0, -37), (-3, 0, -37)),
    "posterior_frontal": ((72, 96, 104), (-70, -40, -18), (-1, -40, -18)),
}
assert [f"{region}_{side}" for region in BOXES for side in "LR"] == PATCHES

# whole volumes -> size in mm, first voxel centre in MNI mm. "whole" is the centre of the FSL template's grid that SFCN
# is trained on; like the published crop it ends at z = -61, so the tips of cerebellum and brain stem (0.3 % of the
# template brain) lie outside. "cube" holds all of the brain and is stored at 2 mm or coarser: 96 voxels a side.
VOLUMES = {
    "whole": ((160, 192, 160), (-80, -113, -61)),
    "cube": ((192, 192, 192), (-96, -114, -78)),
}

# region -> cortical structures of its hemisphere; the paper gives the parietal list, the rest follows the boxes
CORTEX = {
    "medial_temporal": ["entorhinal", "parahippocampal", "fusiform", "temporalpole"],
    "lateral_temporal": [
        "superiortemporal",
        "middletemporal",
        "inferiortemporal",
        "bankssts",
        "transversetemporal",
        "insula",
    ],
    "parietal": ["postcentral", "supramarginal", "superiorparietal", "inferiorparietal", "precuneus"],
    "occipital": ["lateraloccipital", "lingual", "cuneus", "pericalcarine"],
    "cingulate": [
        "rostralanteriorcingulate",
        "caudalanteriorcingulate",
        "posteriorcingulate",
        "isthmuscingulate",
    ],
    "medial_frontal": ["superiorfrontal", "paracentral", "medialorbitofrontal"],
    "anterior_frontal": ["rostralmiddlefrontal", "frontalpole", "lateralorbitofrontal", "parsorbitalis"],
    "posterior_frontal": ["precentral", "caudalmiddlefrontal", "parsopercularis", "parstriangularis"],
}
# region -> aseg structures of its hemisphere
SUBCORTEX = {
    "medial_temporal": ["Hippocampus", "Amygdala", "Inf-Lat-Vent"],
    "subcortical": [
        "Thalamus",
        "Caudate",
        "Putamen",
        "Pallidum",
        "Accumbens-area",
        "VentralDC",
        "Lateral-Ventricle",
        "choroid-plexus",
    ],
}
# region -> midline structures, inside the boxes of both sides
MIDLINE = {
    "subcortical": ["3rd-Ventricle", "CSF"],
    "cingulate": ["CC_Posterior", "CC_Mid_Posterior", "CC_Central", "CC_Mid_Anterior", "CC_Anterior"],
}


def patch_slices(spacing: float) -> dict[str, tuple[slice, slice, slice]]:
    """Return the box of each patch on the template grid.

    Parameters
    ----------
    spacing : float
        Grid spacing in mm; it must divide 8, so that box sizes stay whole.

    Raises
    ------
    StudyError
        For a spacing that does not divide 8 mm.
    """
    grid = _grid(spacing)
    return {
        f"{region}_{side}": _slices(size, start, grid)
        for region, (size, left, right) in BOXES.items()
        for side, start in (("L", left), ("R", right))
    }


def volume_slices(spacing: float) -> dict[str, tuple[slice, slice, slice]]:
    """Return the boxes of the whole volumes, ``whole`` and ``cube``, on the template grid.

    Parameters
    ----------
    spacing : float
        Grid spacing in mm; it must divide 8, so that box sizes stay whole.

    Raises
    ------
    StudyError
        For a spacing that does not divide 8 mm.
    """
    grid = _grid(spacing)
    return {name: _slices(size, start, grid) for name, (size, start) in VOLUMES.items()}


def _grid(spacing: float) -> Grid:
    if 8 / spacing % 1:
        raise StudyError(f"grid: spacing_mm {spacing} does not divide 8 mm; choose 1, 2, 4 or 8")
    return Grid(spacing)


def _slices(size: tuple[int, int, int], start: tuple[int, int, int], grid: Grid) -> tuple[slice, slice, slice]:
    """Put a box, size and first voxel centre in mm, onto the grid."""
    first = np.round((np.array(start) - grid.affine[:3, 3]) / grid.spacing).astype(int)
    count = (np.array(size) / grid.spacing).astype(int)
    # a coarse grid may end a voxel early: shift inwards, the size is what the encoder relies on
    first = np.minimum(first, np.array(grid.shape) - count)
    return tuple(slice(int(a), int(a + n)) for a, n in zip(first, count, strict=True))


def assign_features(features: list[str]) -> pd.DataFrame:
    """Say which features belong to which patch.

    Parameters
    ----------
    features : list of str
        Names as in the feature table: ``lh_entorhinal_volume``, ``lh_DKT_entorhinal_thickness``,
        ``Left-Hippocampus``, ``CC_Central``...

    Returns
    -------
    pandas.DataFrame
        ``feature``, ``patch``: two rows for a midline feature, an empty patch where none covers it (cerebellum).
    """
    homes: dict[str, list[str]] = {}
    for side, hemisphere, prefix in (("L", "lh", "Left"), ("R", "rh", "Right")):
        for region, structures in CORTEX.items():
            for structure in structures:
                # the DKT atlas draws other borders in the same places
                for name in (structure, f"DKT_{structure}"):
                    for measure in ("volume", "thickness"):
                        homes[f"{hemisphere}_{name}_{measure}"] = [f"{region}_{side}"]
        for region, structures in SUBCORTEX.items():
            homes.update({f"{prefix}-{structure}": [f"{region}_{side}"] for structure in structures})
    for region, structures in MIDLINE.items():
        homes.update({structure: [f"{region}_L", f"{region}_R"] for structure in structures})
    rows = [(feature, patch) for feature in features for patch in homes.get(feature, [None])]
    return pd.DataFrame(rows, columns=["feature", "patch"])
