"""Refusals before any compute: datasets that users bring, from lists and names alone; no picture is opened."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_scripts.lib.radiology import cells
from workflow_scripts.lib.radiology.inputs import list_images
from workflow_scripts.lib.radiology.labels import read_label_map
from workflow_scripts.lib.study.errors import StudyError


def check_datasets(section: dict, made: Iterable[str] = (), names: Iterable[str] | None = None) -> list[str]:
    """Check the datasets of config section ``radiology``.

    Parameters
    ----------
    section : dict
        With ``datasets``: name -> entry.
    made : iterable of str
        Beginnings of paths that the study makes itself; their files are not looked for.
    names : iterable of str, optional
        Datasets to check; all by default.

    Returns
    -------
    list of str
        What the user should read, each line with the name of its dataset.

    Raises
    ------
    StudyError
        With file, line, column, value and remedy (see :func:`list_images`).
    LeakageError
        If a patient or an exam stands in two sets that the user fixed.
    """
    notes = []
    datasets = section["datasets"]
    for name in datasets if names is None else names:
        entry = datasets[name]
        if str(entry["path"]).startswith(tuple(made)):
            notes += [f"{name}: {note}" for note in read_label_map(name, entry).notes]
            continue
        listing = list_images(name, entry)
        used = listing.images[listing.images["y"].notna()]
        counts = used["label"].value_counts().sort_index()
        notes.append(f"{name}: {len(used)} images: " + ", ".join(f"{label} {count}" for label, count in counts.items()))
        notes += [f"{name}: {note}" for note in listing.notes]
        notes += [f"{name}: {image_id} will be set aside: {reason}" for image_id, _, reason in listing.aside]
    return notes


def check_grids(section: dict) -> list[str]:
    """Check what grids in use ask of the rest of config section ``radiology``.

    Parameters
    ----------
    section : dict

    Returns
    -------
    list of str
        Datasets that these grids need, those that their weights are trained on included.

    Raises
    ------
    StudyError
        One message with every fault: a grid, dataset, weights or backbone that does not exist, a file of weights
        that is not there, more splits than are drawn, limits of pairs in the wrong order.
    """
    if faults := list(dict.fromkeys(_faults(section))):
        raise StudyError("config: " + "\n        ".join(faults))
    needed = [cells.needs(cells.expand(section, grid)) for grid in section["use"]]
    found = {name for need in needed for name in need["datasets"]}
    weights = {name for need in needed for name, _ in need["backbones"]}
    found |= {entry["dataset"] for name in weights if (entry := section["weights"][name])["kind"] == "trained"}
    return [name for name in section["datasets"] if name in found]


def _faults(section: dict) -> Iterator[str]:
    """Yield what is wrong with the grids and what they share, one sentence a fault."""
    built_in = ("ResNet50", "DenseNet121")
    for grid in section["use"]:
        try:
            members = cells.expand(section, grid)
        except StudyError as error:
            yield str(error)
            continue
        rule = section["grids"][grid]
        if rule["splits"] > section["splits"]["count"]:
            yield (
                f"radiology.grids.{grid}.splits: found {rule['splits']}, but radiology.splits.count draws "
                f"{section['splits']['count']}. Raise the count or lower the splits."
            )
        for name in sorted({cell["backbone"] for cell in members} - {*section["backbones"], *built_in}):
            known = ", ".join([*section["backbones"], *built_in])
            yield f"radiology.grids.{grid}: backbone '{name}' is not known. Known: {known}."
        for weights, backbone in cells.needs(members)["backbones"]:
            yield from _weights_faults(section, weights, backbone)
    for name, own in {"": {}, **section["datasets"]}.items():
        limits = {**section["grouping"], **(own.get("grouping") or {})}
        if limits["copy"] < limits["correlation"]:
            where = f"radiology.datasets.{name}.grouping" if name else "radiology.grouping"
            yield (
                f"{where}.copy: found {limits['copy']}, below correlation ({limits['correlation']}); images that are "
                "one picture twice are also alike. Raise copy."
            )
    if embedding := section["grouping"]["embedding"]:
        weights, backbone = embedding.split("/")
        if weights not in section["weights"] or backbone not in {*section["backbones"], *built_in}:
            yield f"radiology.grouping.embedding: '{embedding}' is not WEIGHTS/BACKBONE of this config. Correct it."


def _weights_faults(section: dict, weights: str, backbone: str) -> Iterator[str]:
    """Yield what is wrong with the weights of a backbone, one sentence a fault."""
    entry = section["weights"][weights]
    if entry["kind"] == "trained" and entry["dataset"] not in section["datasets"]:
        known = ", ".join(section["datasets"])
        yield f"radiology.weights.{weights}.dataset: '{entry['dataset']}' is not a dataset. Known: {known}."
    for key in ("files", "expect"):
        path = (entry.get(key) or {}).get(backbone)
        if entry["kind"] == "files" and path and not Path(path).is_file():
            yield f"radiology.weights.{weights}.{key}.{backbone}: '{path}' does not exist. Correct the path."
