"""Which feature a column of an exported table holds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workflow_scripts.lib.imaging.stats.grid import Grid
from workflow_scripts.lib.imaging.stats.structures import (
    ASEG,
    CEREBRAL_WHITE,
    CORTEX,
    DESTRIEUX,
    DK,
    DK_ONLY,
    DKT,
    cortical_feature,
    destrieux_region,
    segmentation_feature,
)
from workflow_scripts.lib.study.errors import StudyError

# the parcellation in a table's first cell -> its atlas
ATLASES = {
    "aparc": "DK",
    "aparc.DKTatlas": "DKT",
    "aparc.DKTatlas40": "DKT",
    "aparc.DKTatlas.mapped": "DKT",
    "aparc.a2009s": "Destrieux",
}
MEASURES = ("thickness", "volume")
ICV_COLUMNS = ("eTIV", "EstimatedTotalIntraCranialVol", "ICV", "IntraCranialVol")
SURFACE = re.compile(r"(?P<side>lh|rh)\.(?P<atlas>aparc(?:\.[\w.]+?)?)\.(?P<measure>\w+)")
SEGMENTATION = re.compile(r"Measure:(?P<measure>\w+)")
CORTEX_NAMES = {f"ctx-{side}-{region}": (side, region) for side, region in CORTEX.values()}
SUBCORTEX = {*ASEG.values(), *CEREBRAL_WHITE.values()}
CORTICAL_COLUMN = re.compile(r"(?P<side>lh|rh)_(?P<region>[A-Za-z_&-]+)_(?P<measure>thickness|volume)")


@dataclass(frozen=True)
class Kind:
    """What a table's first cell says.

    Attributes
    ----------
    measure : {"thickness", "volume"}
    side : {"lh", "rh"} or None
        None for a table of a segmentation.
    atlas : {"DK", "DKT", "Destrieux"} or None
    """

    measure: str
    side: str | None = None
    atlas: str | None = None


def says_kind(corner: str) -> bool:
    """Tell whether a first cell is of the sort that the tools write."""
    return bool(SURFACE.fullmatch(corner) or SEGMENTATION.fullmatch(corner))


def kind_of_table(path: str, corner: str) -> Kind:
    """Read the first cell, such as ``lh.aparc.thickness`` or ``Measure:volume``.

    Raises
    ------
    StudyError
        If the cell does not say atlas and measure, or says others than those that are read.
    """
    place = f"{path}, line 1, column 1"
    surface, segmentation = SURFACE.fullmatch(corner), SEGMENTATION.fullmatch(corner)
    if not (surface or segmentation):
        raise StudyError(
            f"{place}: found '{corner}', expected what the tools write there, such as lh.aparc.thickness or "
            "Measure:volume; without it atlas and measure cannot be told. Export the table again."
        )
    measure = (surface or segmentation)["measure"]
    if surface and surface["atlas"] not in ATLASES:
        raise StudyError(
            f"{place}: found the atlas {surface['atlas']}, expected one of {', '.join(ATLASES)}. Export another table."
        )
    allowed = MEASURES if surface else ("volume",)
    if measure not in allowed:
        raise StudyError(
            f"{place}: found the measure {measure}, expected {' or '.join(allowed)}. Export the table with --meas "
            f"{allowed[0]}."
        )
    return Kind(measure, surface["side"], ATLASES[surface["atlas"]]) if surface else Kind(measure)


def looks_like_features(names: Sequence[str], kind: Kind) -> bool:
    """Tell whether names are those of structures, and not of subjects."""
    if kind.side:
        return any(re.fullmatch(rf"{kind.side}_[\w&-]+_{kind.measure}", name) for name in names)
    return any(segmentation_feature(name) in SUBCORTEX or name in CORTEX_NAMES for name in names)


def feature_of_columns(grid: Grid, kind: Kind) -> list[tuple[int, str]]:
    """Name the features of a table.

    Parameters
    ----------
    grid : Grid
        With subjects in rows.
    kind : Kind

    Returns
    -------
    list of (int, str)
        Column and feature; columns that hold none (mean thickness, volumes of the whole brain) are left out.

    Raises
    ------
    StudyError
        If no column holds a feature, a region is not of the atlas, or two columns hold the same feature.
    """
    header = grid.cells[0]
    atlas = kind.atlas or _atlas_of_labels(grid.path, header)
    seen: dict[str, int] = {}
    for column in range(1, len(header)):
        feature = _feature(grid, kind, atlas, column)
        if feature in seen:
            raise StudyError(
                f"{grid.say(0, column)}: found '{header[column]}' as well as '{header[seen[feature]]}', which are the "
                "same; the table mixes versions of FreeSurfer. Export one table for each version."
            )
        if feature is not None:
            seen[feature] = column
    if not set(seen) - {"icv"}:
        found = ", ".join(header[1:4]) + (", ..." if len(header) > 4 else "")
        raise StudyError(
            f"{grid.path}: no column holds a feature (found {found}). Name a table of aparcstats2table or "
            "asegstats2table."
        )
    return [(column, feature) for feature, column in seen.items()]


def _feature(grid: Grid, kind: Kind, atlas: str, column: int) -> str | None:
    """Name the feature of one column, None if it holds none."""
    text = grid.cells[0][column]
    if text in ICV_COLUMNS:
        return "icv"
    if kind.side is None:
        if text in CORTEX_NAMES:
            return cortical_feature(*CORTEX_NAMES[text], "volume", atlas)
        name = segmentation_feature(text)
        return name if name in SUBCORTEX else None
    if atlas == "Destrieux":
        return _destrieux_feature(grid, kind, column)
    match = re.fullmatch(r"(lh|rh)_([a-z]+)_(\w+)", text)
    if not match or match[2] not in DK:
        return None
    if (match[1], match[3]) != (kind.side, kind.measure):
        expected = f"{kind.side}_{match[2]}_{kind.measure} as the first cell says"
    elif atlas == "DKT" and match[2] not in DKT:
        expected = "a region of the DKT atlas as the first cell says"
    else:
        return cortical_feature(kind.side, match[2], kind.measure, atlas)
    raise StudyError(f"{grid.say(0, column)}: found '{text}', expected {expected}. Export the table again.")


def _destrieux_feature(grid: Grid, kind: Kind, column: int) -> str | None:
    """Name the feature of one column of a table of the Destrieux atlas, None if it holds none."""
    text = grid.cells[0][column]
    match = CORTICAL_COLUMN.fullmatch(text)
    region = destrieux_region(match["region"]) if match else None
    if region not in DESTRIEUX:
        return None
    if (match["side"], match["measure"]) != (kind.side, kind.measure):
        expected = f"{kind.side}_{match['region']}_{kind.measure} as the first cell says"
        raise StudyError(f"{grid.say(0, column)}: found '{text}', expected {expected}. Export the table again.")
    return cortical_feature(kind.side, region, kind.measure, "Destrieux")


def _atlas_of_labels(path: str, header: Sequence[str]) -> str:
    """Tell the atlas of cortical labels in a table of a segmentation; they have the same names in both."""
    regions = {CORTEX_NAMES[name] for name in header if name in CORTEX_NAMES}
    own = any(region in DK_ONLY for _, region in regions)
    if own and len(regions) < len(CORTEX_NAMES):
        raise StudyError(
            f"{path}: found cortical regions: {len(regions)}, expected {2 * len(DK)} of the Desikan-Killiany or "
            f"{2 * len(DKT)} of the DKT atlas; it cannot be told which. Export the table with --all-segs."
        )
    return "DK" if own else "DKT"
