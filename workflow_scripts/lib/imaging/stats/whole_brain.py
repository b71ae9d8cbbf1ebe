"""Measures of the whole brain: intracranial volume, and numbers for quality control."""

import math
from collections.abc import Sequence

from workflow_scripts.lib.imaging.stats.parse import StatsFile
from workflow_scripts.lib.imaging.stats.text import fault
from workflow_scripts.lib.study.errors import StudyError

# FreeSurfer before 5.2 called its estimate ICV
ICV = {"eTIV": "EstimatedTotalIntraCranialVol", "ICV": "IntraCranialVol"}
SMALLEST_ICV_MM3 = 1e5
# surface statistics of one run print the same estimate, rounded otherwise by a few mm3
SAME_RUN = 1e-4
VOLUMES_ML = {"cortex_ml": "CortexVol", "brain_segmented_ml": "BrainSegVol", "mask_ml": "MaskVol"}
COUNT = "unitless"
HOLES = {"lh": "lhSurfaceHoles", "rh": "rhSurfaceHoles"}


def _take(file: StatsFile, name: str, unit: str) -> float | None:
    """Give a measure; None if the file does not have it."""
    if name not in file.measures:
        return None
    _, value, found, line = file.measures[name]
    if found != unit or not math.isfinite(value):
        raise fault(file.path, line, f"{name} of {value:g} {found}", f"a number of {unit}")
    if unit == COUNT and (value < 0 or value % 1):
        raise fault(file.path, line, f"{name} of {value:g}", "a whole number")
    return value


def _icv_of(file: StatsFile) -> float | None:
    """Give a file's intracranial volume in mm3; None if it has none."""
    for name, (key, _, _, line) in file.measures.items():
        if (name in ICV or key in ICV.values()) and ICV.get(name) != key:
            expected = ", ".join(f"{word}, {short}" for short, word in ICV.items())
            raise fault(file.path, line, f"'# Measure {key}, {name}'", f"one of: {expected}")
    for name in ICV:
        value = _take(file, name, "mm^3")
        if value is not None:
            if value < SMALLEST_ICV_MM3:
                raise fault(
                    file.path,
                    file.measures[name][3],
                    f"an intracranial volume of {value:g} mm^3",
                    f"at least {SMALLEST_ICV_MM3:.0f} mm^3",
                    "Look at the Talairach registration of this subject, mend it and run the statistics again.",
                )
            return value
    return None


def read_icv(files: Sequence[StatsFile]) -> float | None:
    """Give the intracranial volume in mm3 that a subject's files state; None if none does.

    Parameters
    ----------
    files : sequence of StatsFile
        The most trusted first.

    Raises
    ------
    StudyError
        If two files contradict each other: then they are not of one run.
    """
    found = [(file, value) for file in files if (value := _icv_of(file)) is not None]
    for file, value in found[1:]:
        first, reference = found[0]
        if abs(value - reference) > SAME_RUN * reference:
            raise StudyError(
                f"{file.path}: found an intracranial volume of {value:.0f} mm^3, expected {reference:.0f} mm^3 as in "
                f"{first.path.name}. The files are of different runs or people: run the statistics of this subject "
                "again."
            )
    return found[0][1] if found else None


def read_numbers(files: Sequence[StatsFile]) -> dict[str, float]:
    """Give what a subject's files say of the whole brain; only what is there.

    Parameters
    ----------
    files : sequence of StatsFile
        The most trusted first.

    Returns
    -------
    dict of str to float
        ``cortex_ml``, ``brain_segmented_ml``, ``mask_ml``; ``lh_surface_holes``, ``rh_surface_holes`` before they were
        mended, and the Euler numbers that follow from them, ``lh_euler`` and ``rh_euler`` (2 - 2 x holes).
    """
    numbers = {}
    for file in reversed(files):
        for name, measure in VOLUMES_ML.items():
            if (value := _take(file, measure, "mm^3")) is not None:
                numbers[name] = value / 1e3
        for hemisphere, measure in HOLES.items():
            if (value := _take(file, measure, COUNT)) is not None:
                numbers[f"{hemisphere}_surface_holes"] = value
                numbers[f"{hemisphere}_euler"] = 2 - 2 * value
    return numbers
