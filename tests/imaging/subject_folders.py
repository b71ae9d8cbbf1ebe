"""Small subject folders of FreeSurfer and FastSurfer: an ellipsoid of a brain, labels and a few statistics."""

from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE, SPACING = (52, 48, 56), 4.0
# stored to the left, to the feet, to the front, as both tools do
AFFINE = nib.affines.from_matvec(np.array([[-1, 0, 0], [0, 0, 1], [0, -1, 0]]) * SPACING, [100, -110, 90])
ICV = 1500000.5


def ellipsoid(scale: float) -> np.ndarray:
    """Give a bool mask around the centre; at scale 1 of 65 x 60 x 70 mm half axes."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * SPACING / (half * scale) for n, half in zip(SHAPE, (65, 60, 70), strict=True)
    ]
    return sum(part**2 for part in np.meshgrid(*axes, indexing="ij")) < 1


def brain(white: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make a brain with white matter of a given intensity.

    Returns
    -------
    data : float32; mask : bool; labels : uint8, 2 and 41 the white matter, 3 and 42 the cortex.
    """
    mask, inner = ellipsoid(1), ellipsoid(0.8)
    noise = np.random.default_rng(1).normal(0, 0.02 * white, SHAPE)
    data = np.where(mask, np.where(inner, white, 0.7 * white) + noise, 0).astype(np.float32)
    left = np.arange(SHAPE[0])[:, None, None] > SHAPE[0] / 2
    labels = np.where(mask, np.where(inner, np.where(left, 2, 41), np.where(left, 3, 42)), 0)
    return data, mask, labels.astype(np.uint8)


def save_mgz(data: np.ndarray, path: Path) -> None:
    """Write a volume as MGH, floats as they are and the rest as bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = np.float32 if data.dtype == np.float32 else np.uint8
    nib.save(nib.MGHImage(data.astype(kind), AFFINE), path)


def write_stats(path: Path, rows: dict[str, float], icv: float | None = None, extra: tuple[str, ...] = ()) -> None:
    """Write volumes in the format of mri_segstats."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["# Title Segmentation Statistics", *extra, f"# subjectname {path.parents[1].name}"]
    if icv is not None:
        name = "EstimatedTotalIntraCranialVol, eTIV, Estimated Total Intracranial Volume"
        lines.append(f"# Measure {name}, {icv:.6f}, mm^3")
    lines += [f"# NRows {len(rows)}", "# NTableCols 5", "# ColHeaders Index SegId NVoxels Volume_mm3 StructName"]
    codes = {"Left-Hippocampus": 17, "Right-Hippocampus": 53}
    for place, (name, volume) in enumerate(rows.items(), start=1):
        lines.append(f"{place} {codes[name]} {round(volume)} {volume:.1f} {name}")
    path.write_text("\n".join(lines) + "\n")


VOLUMES = {"Left-Hippocampus": 4100.5, "Right-Hippocampus": 4200.5}


def freesurfer_folder(folder: Path, image: str | None = "norm.mgz", white: float = 104.0, aseg: bool = True) -> Path:
    """Write a folder as ``recon-all`` leaves it: statistics, a brain, a segmentation."""
    data, _, labels = brain(white)
    write_stats(
        folder / "stats" / "aseg.stats", VOLUMES, ICV, ("# generating_program mri_segstats", "# cvs_version 7.4.1")
    )
    if image:
        save_mgz(data, folder / "mri" / image)
    if aseg:
        save_mgz(labels, folder / "mri" / "aseg.mgz")
    return folder


def fastsurfer_folder(folder: Path, white: float = 180.0) -> Path:
    """Write a folder as a segmentation by ``run_fastsurfer.sh`` leaves it: a corrected head, a mask, statistics."""
    data, mask, labels = brain(white)
    head = np.where(mask, data, np.where(ellipsoid(1.3), 0.4 * white, 0)).astype(np.float32)
    extra = ("# generating_program segstats.py", "# FastSurfer_version 2.3.0")
    write_stats(folder / "stats" / "aseg+DKT.stats", VOLUMES, None, extra)
    save_mgz(head + ellipsoid(1.3) * np.random.default_rng(2).random(SHAPE, np.float32), folder / "mri" / "orig_nu.mgz")
    save_mgz(mask, folder / "mri" / "mask.mgz")
    save_mgz(labels, folder / "mri" / "aparc.DKTatlas+aseg.deep.mgz")
    return folder
