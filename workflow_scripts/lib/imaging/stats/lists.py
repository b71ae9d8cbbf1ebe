"""Lists of features by name, and a feature's unit."""

import difflib
from collections.abc import Iterable

from workflow_scripts.lib.imaging.stats.structures import (
    ASEG,
    DESTRIEUX,
    DK,
    DKT,
    HEMISPHERES,
    SELDOM,
    cortical_feature,
)
from workflow_scripts.lib.study.errors import StudyError


def _cortex(regions: tuple[str, ...], measure: str, atlas: str) -> list[str]:
    return [cortical_feature(side, region, measure, atlas) for side in HEMISPHERES for region in regions]


VOLUMES = [name for number, name in ASEG.items() if number not in SELDOM]
LISTS = {
    "published": [*_cortex(DK, "thickness", "DK"), *VOLUMES],
    "volumes": [*_cortex(DK, "volume", "DK"), *VOLUMES],
    "thickness": _cortex(DK, "thickness", "DK"),
    "aseg": VOLUMES,
    "dkt": [*_cortex(DKT, "thickness", "DKT"), *VOLUMES],
    # a segmentation by MeshNet has neither choroid plexus nor lesions
    "meshnet": [
        *_cortex(DK, "volume", "DK"),
        *(name for name in VOLUMES if "choroid" not in name and "hypointensities" not in name),
    ],
    "dkt_volumes": [*_cortex(DKT, "volume", "DKT"), *VOLUMES],
    "destrieux": [*_cortex(DESTRIEUX, "thickness", "Destrieux"), *VOLUMES],
    "destrieux_thickness": _cortex(DESTRIEUX, "thickness", "Destrieux"),
}
# what may be named one by one: every measure of all atlases, and all of aseg
KNOWN = {
    *ASEG.values(),
    *(
        name
        for atlas, regions in (("DK", DK), ("DKT", DKT), ("Destrieux", DESTRIEUX))
        for m in ("thickness", "volume")
        for name in _cortex(regions, m, atlas)
    ),
}


def feature_list(name_or_names: str | list[str]) -> list[str]:
    """Give the features that a study uses.

    Parameters
    ----------
    name_or_names : str or list of str
        ``published`` (68 Desikan-Killiany thicknesses and 36 volumes of aseg: 104), ``volumes`` (68 Desikan-Killiany
        volumes and 36: 104), ``thickness`` (68), ``aseg`` (36), ``dkt`` (62 DKT thicknesses and 36: 98),
        ``dkt_volumes`` (98), ``meshnet`` (68 volumes and 33: 101), ``destrieux`` (148 Destrieux thicknesses and 36:
        184), ``destrieux_thickness`` (148); or the names themselves.

    Returns
    -------
    list of str
        Names as in the feature table.

    Raises
    ------
    StudyError
        For an unknown list, for no name at all, an unknown name and a name that is given twice.

    Notes
    -----
    The paper says 104 regional features and not which; this is the one choice of FreeSurfer's standard output that
    gives 104: all cortical thicknesses, and aseg without vessels, optic chiasm and mostly empty structures.
    """
    if isinstance(name_or_names, str):
        if name_or_names not in LISTS:
            raise StudyError(
                f"features: list '{name_or_names}' is not known; choose one of {', '.join(LISTS)}, or give a list of "
                "feature names such as [lh_entorhinal_thickness, Left-Hippocampus]."
            )
        return list(LISTS[name_or_names])
    names = list(name_or_names)
    if not names:
        raise StudyError(f"features: the list is empty; give names, or one of {', '.join(LISTS)}.")
    strange = [name for name in names if name not in KNOWN]
    if strange:
        close = difflib.get_close_matches(strange[0], sorted(KNOWN), n=1)
        hint = (
            f"Did you mean '{close[0]}'?" if close else "Names are such as lh_entorhinal_thickness, Left-Hippocampus."
        )
        raise StudyError(f"features: '{strange[0]}' in the list is no feature. {hint}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StudyError(f"features: '{twice[0]}' stands in the list more than once; name it once.")
    return names


def subset_list(name: str, wanted: str | list[str], known: Iterable[str]) -> list[str]:
    """Give the features of a subset (config ``features: subsets``).

    Parameters
    ----------
    name : str
        Of the subset.
    wanted : str or list of str
        See :func:`feature_list`.
    known : iterable of str
        Features that the study has.

    Raises
    ------
    StudyError
        A feature is not among them.
    """
    features, there = feature_list(wanted), set(known)
    strange = [feature for feature in features if feature not in there]
    if strange:
        raise StudyError(
            f"features: subsets: {name}: list: '{strange[0]}' and {len(strange) - 1} more are not among the study's "
            "features. Choose a list that lies within features: list."
        )
    return features


def check_lists(section: dict) -> None:
    """Refuse lists of features that cannot be used (:class:`StudyError`); ``section`` is config ``features``."""
    known = feature_list(section["list"])
    for name, entry in section["subsets"].items():
        subset_list(name, entry["list"] or section["list"], known)


def unit_of(feature: str) -> str:
    """Tell the unit of a feature: ``mm`` of thickness, ``mm3`` of volume."""
    return "mm" if feature.endswith("_thickness") else "mm3"
