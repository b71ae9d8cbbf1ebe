"""Statistics of one subject: every feature that the folder of FreeSurfer or FastSurfer gives.

Where the files are: https://surfer.nmr.mgh.harvard.edu/fswiki/ReconAllOutputFiles and
https://deep-mi.org/FastSurfer/dev/overview/OUTPUT_FILES.html.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.lib.imaging.stats.parse import StatsFile, parse_stats
from workflow_scripts.lib.imaging.stats.regional import ATLAS_NAMES, segmentation_features, surface_features
from workflow_scripts.lib.imaging.stats.structures import CALLOSUM, HEMISPHERES
from workflow_scripts.lib.imaging.stats.version import fastsurfer_version, freesurfer_version
from workflow_scripts.lib.imaging.stats.whole_brain import read_icv, read_numbers
from workflow_scripts.lib.study.errors import StudyError

TOOLS = {"freesurfer": "FreeSurfer", "fastsurfer": "FastSurfer"}
ASEG_FILE, BRAIN_FILE = "aseg.stats", "brainvol.stats"
# FastSurfer's segmentation, the newest name first; with the corpus callosum painted in where it was
FAST_SEGMENTATIONS = (
    "aseg+DKT.VINN.withCC.stats",
    "aseg+DKT.VINN.stats",
    "aseg+DKT.stats",
    "aparc.DKTatlas+aseg.deep.volume.stats",
    "aseg.VINN.stats",
)
# tool -> atlas -> names of the surfaces' statistics after the hemisphere, the newest first
SURFACES = {
    "freesurfer": {"DK": ("aparc.stats",), "DKT": ("aparc.DKTatlas.stats", "aparc.DKTatlas40.stats")},
    "fastsurfer": {"DKT": ("aparc.DKTatlas.mapped.stats",), "DK": ("aparc.stats",)},
}
FAST_MARKS = (*FAST_SEGMENTATIONS, *(f"{side}.aparc.DKTatlas.mapped.stats" for side in HEMISPHERES))
FREE_MARKS = (ASEG_FILE, *(f"{side}.aparc.stats" for side in HEMISPHERES))


@dataclass(frozen=True)
class SubjectStats:
    """What the statistics of a subject say.

    Attributes
    ----------
    features : dict of str to float
        Thickness in mm, volumes in mm3, exactly as printed; a structure without a row is absent.
    icv : float or None
        Intracranial volume in mm3; None where the tool estimated none.
    tool, version : str
    stream : {"cross", "long"}
    numbers : dict of str to float
        For quality control, see :func:`whole_brain.read_numbers`; of FastSurfer also ``surfaces`` and
        ``callosum_segmented`` (1 or 0).
    """

    features: dict[str, float]
    icv: float | None
    tool: str
    version: str
    stream: str
    numbers: dict[str, float] = field(default_factory=dict)


def read_subject(folder: str | Path, tool: str) -> SubjectStats:
    """Read the statistics in a subject folder.

    Parameters
    ----------
    folder : path
        Holds ``stats``; ``NAME.long.BASE`` is of the longitudinal stream.
    tool : {"freesurfer", "fastsurfer"}

    Raises
    ------
    StudyError
        With file and line: a missing hemisphere, a damaged file, files of another tool, run or person.
    """
    folder = Path(os.path.abspath(folder)) if str(folder) in (".", "..") else Path(folder)
    if tool not in TOOLS:
        raise StudyError(f"tool '{tool}' is not known; choose one of {', '.join(TOOLS)}")
    stats = folder / "stats"
    if not stats.is_dir():
        raise StudyError(f"{folder} has no folder stats. Give a folder that a finished run of {TOOLS[tool]} made.")
    _check_tool(stats, tool)
    surfaces = _read_surfaces(stats, tool)
    segmentation = _read_segmentation(stats, tool, bool(surfaces))
    files = [segmentation, *(file for _, _, file in surfaces)]
    _check_person(folder, files)
    features, numbers = segmentation_features(segmentation, "DKT"), read_numbers(_with_brain_file(stats, segmentation))
    if any(atlas == "DKT" for _, atlas, _ in surfaces):
        features = {name: value for name, value in features.items() if "_DKT_" not in name}
    for hemisphere, atlas, file in surfaces:
        features |= surface_features(file, hemisphere, atlas)
    if tool == "fastsurfer":
        version = fastsurfer_version([segmentation, *_others(stats, segmentation)])
        numbers |= {"surfaces": float(bool(surfaces)), "callosum_segmented": _has_callosum(segmentation)}
    else:
        version = freesurfer_version(files, folder)
    stream = "long" if ".long." in folder.name else "cross"
    return SubjectStats(features, read_icv(files), TOOLS[tool], version, stream, numbers)


def _there(path: Path) -> bool:
    """Tell whether a file is there; a link to nothing counts, so that it is reported and not overlooked."""
    return path.exists() or path.is_symlink()


def _check_tool(stats: Path, tool: str) -> None:
    """Refuse statistics of the other tool, and a folder without any that is read."""
    fast = [name for name in FAST_MARKS if _there(stats / name)]
    free = [name for name in FREE_MARKS if _there(stats / name)]
    if tool == "freesurfer" and fast:
        raise StudyError(
            f"{stats} has {fast[0]}, which FastSurfer writes and FreeSurfer does not. Give the folder as kind "
            "fastsurfer."
        )
    if tool == "fastsurfer" and free and not fast:
        raise StudyError(
            f"{stats} has {free[0]} and none of the files that only FastSurfer writes, such as {FAST_MARKS[2]}. Give "
            "the folder as kind freesurfer."
        )
    if not (fast or free):
        raise StudyError(
            f"{stats} has none of the statistics that are read (found {_some_names(stats)}). Expected "
            f"{ASEG_FILE if tool == 'freesurfer' else FAST_MARKS[2]}: run {TOOLS[tool]} to its end."
        )


def _some_names(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "") if names else "nothing"


def _read_segmentation(stats: Path, tool: str, with_surfaces: bool) -> StatsFile:
    """Read the volumes of the segmentation; FastSurfer's surfaces write ``aseg.stats`` as FreeSurfer does."""
    names = [ASEG_FILE]
    if tool == "fastsurfer":
        # without surfaces the cortex is in FastSurfer's own file only
        names = [ASEG_FILE, *FAST_SEGMENTATIONS] if with_surfaces else [*FAST_SEGMENTATIONS, ASEG_FILE]
    for name in names:
        if _there(stats / name):
            return parse_stats(stats / name)
    raise StudyError(f"{stats} has no {names[0]}. Run {TOOLS[tool]} to its end, or copy the file too.")


def _read_surfaces(stats: Path, tool: str) -> list[tuple[str, str, StatsFile]]:
    """Read both hemispheres' surface statistics: (hemisphere, atlas, file)."""
    found = []
    for atlas, names in SURFACES[tool].items():
        for name in names:
            paths = {side: stats / f"{side}.{name}" for side in HEMISPHERES}
            sides = [side for side, path in paths.items() if _there(path)]
            if len(sides) == 1:
                lacking = next(side for side in HEMISPHERES if side not in sides)
                raise StudyError(
                    f"{stats} has {sides[0]}.{name} but no {lacking}.{name}: one hemisphere of the "
                    f"{ATLAS_NAMES[atlas]} atlas is missing. Run {TOOLS[tool]} to its end, or copy the file too."
                )
            if sides:
                found += [(side, atlas, parse_stats(path)) for side, path in paths.items()]
                break
    return found


def _with_brain_file(stats: Path, segmentation: StatsFile) -> list[StatsFile]:
    path = stats / BRAIN_FILE
    return [segmentation, *([parse_stats(path)] if _there(path) else [])]


def _others(stats: Path, segmentation: StatsFile) -> list[StatsFile]:
    """Read FastSurfer's segmentation file too, if the volumes come from ``aseg.stats``, which may name no version."""
    names = [name for name in FAST_SEGMENTATIONS if _there(stats / name)]
    return [parse_stats(stats / names[0])] if names and names[0] != segmentation.path.name else []


def _has_callosum(segmentation: StatsFile) -> float:
    """Say 1 if a corpus callosum was segmented; FastSurfer prints zeros until its later steps have found it."""
    volumes = [row["Volume_mm3"] for row in segmentation.rows.values() if row["SegId"] in CALLOSUM]
    return float(any(volume > 0 for volume in volumes))


def _check_person(folder: Path, files: Sequence[StatsFile]) -> None:
    """Refuse files of two people, and files that were copied from the folder beside.

    A folder may be renamed after the run, so that another name in the headers alone proves nothing.
    """
    named = [(file, name) for file in files if (name := file.headers.get("subjectname"))]
    for file, name in named[1:]:
        if name != named[0][1]:
            raise StudyError(
                f"{file.path}: found '# subjectname {name}', expected '# subjectname {named[0][1]}' as in "
                f"{named[0][0].path.name}. The files are of two people: copy the right ones."
            )
    if not named or named[0][1] in (folder.name, *folder.name.split(".long.")):
        return
    file, name = named[0]
    other = folder.parent / os.path.basename(name)
    if (other / "stats").is_dir() and not other.samefile(folder):
        raise StudyError(
            f"{file.path}: found '# subjectname {name}', expected {folder.name}; {other} is there too, so these "
            "statistics were copied from it. Run the statistics of this subject again, or leave it out."
        )
