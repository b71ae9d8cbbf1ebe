"""Regional features from the table of one file of statistics."""

from pathlib import PurePosixPath

from workflow_scripts.lib.imaging.stats.parse import StatsFile
from workflow_scripts.lib.imaging.stats.structures import (
    ASEG,
    CEREBRAL_WHITE,
    CORTEX,
    DK,
    DK_ONLY,
    DKT,
    NO_REGION,
    cortical_feature,
    segmentation_feature,
)
from workflow_scripts.lib.imaging.stats.text import REMEDY, fault
from workflow_scripts.lib.study.errors import StudyError

REGIONS = {"DK": DK, "DKT": DKT}
ATLAS_NAMES = {"DK": "Desikan-Killiany", "DKT": "DKT"}
LAST_REGION = "insula"  # of the colour table of both atlases; there is no other sign of a table's end
THICKEST_MM = 10.0  # no cortex is as thick; another column is
SURFACE_COLUMNS = {"ThickAvg": "thickness", "GrayVol": "volume"}
SEGMENTATION_COLUMNS = ("SegId", "Volume_mm3")
SUBCORTEX = ASEG | CEREBRAL_WHITE


def _require_columns(file: StatsFile, columns: tuple[str, ...]) -> None:
    lacking = [name for name in columns if name not in file.columns]
    if lacking:
        found = ", ".join(file.columns) or "no table"
        raise StudyError(f"{file.path}: no column {lacking[0]}; found {found}. {REMEDY}")


def segmentation_features(file: StatsFile, atlas: str) -> dict[str, float]:
    """Take volumes (mm3) out of the statistics of a segmentation.

    Parameters
    ----------
    file : StatsFile
        ``aseg.stats``, or FastSurfer's with the cortex.
    atlas : {"DK", "DKT"}
        Of the cortical labels, if there are any.

    Returns
    -------
    dict of str to float
        As in the file: a structure without a row is absent, an empty one is 0.

    Raises
    ------
    StudyError
        If name and number of a structure contradict each other.
    """
    _require_columns(file, SEGMENTATION_COLUMNS)
    features, numbers = {}, {name: number for number, name in SUBCORTEX.items()}
    for name, row in file.rows.items():
        number, feature = int(row["SegId"]), segmentation_feature(name)
        if number in CORTEX:
            hemisphere, region = CORTEX[number]
            known, feature = f"ctx-{hemisphere}-{region}", cortical_feature(hemisphere, region, "volume", atlas)
            agree = name == known
        else:
            known = SUBCORTEX.get(number)
            agree = known == feature or (known is None and feature not in numbers and not name.startswith("ctx-"))
        if not agree:
            raise fault(
                file.path, file.lines[name], f"SegId {number} named {name}", known or f"{name} with its own number"
            )
        if feature in features:
            raise fault(file.path, file.lines[name], f"{name} as well as {feature}", "one of them")
        if known is not None:
            features[feature] = row["Volume_mm3"]
    return features


def surface_features(file: StatsFile, hemisphere: str, atlas: str) -> dict[str, float]:
    """Take mean thickness (mm) and grey-matter volume (mm3) out of the statistics of one hemisphere.

    Parameters
    ----------
    file : StatsFile
    hemisphere : {"lh", "rh"}
    atlas : {"DK", "DKT"}

    Raises
    ------
    StudyError
        If the file is of another hemisphere or atlas, or its table has been cut.
    """
    _require_columns(file, ("StructName", *SURFACE_COLUMNS))
    if file.headers.get("hemi") != hemisphere:
        raise StudyError(
            f"{file.path}: found '# hemi {file.headers.get('hemi', '')}' in the header, expected '# hemi {hemisphere}' "
            f"as the file's name says. {REMEDY}"
        )
    annotation = PurePosixPath(file.headers.get("AnnotationFile", "")).name
    # FastSurfer links its DKT labels to ?h.aparc.annot, but not for these statistics
    if annotation and ("DKT" in annotation) != (atlas == "DKT"):
        raise StudyError(
            f"{file.path}: found '# AnnotationFile ... {annotation}' in the header, expected the "
            f"{ATLAS_NAMES[atlas]} atlas. {REMEDY}"
        )
    features = {}
    for region, row in file.rows.items():
        if region in NO_REGION:
            continue
        if region not in REGIONS[atlas]:
            raise fault(file.path, file.lines[region], f"'{region}'", f"a region of the {ATLAS_NAMES[atlas]} atlas")
        if row["ThickAvg"] > THICKEST_MM:
            raise fault(
                file.path,
                file.lines[region],
                f"a thickness of {row['ThickAvg']:g} in {region}",
                f"at most {THICKEST_MM:g} mm",
            )
        for column, measure in SURFACE_COLUMNS.items():
            features[cortical_feature(hemisphere, region, measure, atlas)] = row[column]
    if LAST_REGION not in file.rows:
        raise StudyError(
            f"{file.path}: the table ends after {len(file.rows)} regions without {LAST_REGION}, the last one; the file "
            f"was cut short. {REMEDY}"
        )
    if atlas == "DK" and not any(region in file.rows for region in DK_ONLY):
        raise StudyError(
            f"{file.path}: none of {', '.join(DK_ONLY)}; these are the regions of the DKT atlas, not of the "
            f"Desikan-Killiany atlas. {REMEDY}"
        )
    return features
