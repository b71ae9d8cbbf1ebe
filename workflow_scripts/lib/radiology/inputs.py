"""What users have becomes a list of images with classes; whatever can be refused without opening a picture is."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.radiology.folders import list_busi, list_mrnet
from workflow_scripts.lib.radiology.labels import LabelMap, read_label_map
from workflow_scripts.lib.radiology.listing import Listing
from workflow_scripts.lib.radiology.tables import list_table
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.keep import file_state

KINDS = {"table": list_table, "busi": list_busi, "mrnet": list_mrnet}


def list_images(name: str, entry: dict) -> Listing:
    """List the images of a dataset, sorted by image_id, with their class.

    Parameters
    ----------
    name : str
        The dataset's name in config.
    entry : dict
        Its entry: ``kind``, ``path``, ``classes``, ``drop``, ``positive``.

    Returns
    -------
    Listing
        Its images have a further column ``y``: the class, None for labels that the config drops.

    Raises
    ------
    StudyError
        If the table or folder cannot be used, a label is neither mapped nor dropped, or a class has no image.
    LeakageError
        If a patient or an exam stands in two sets that the user fixed.
    """
    labels = read_label_map(name, entry)
    if entry.get("kind") not in KINDS:
        raise StudyError(
            f"radiology.datasets.{name}.kind: found {entry.get('kind')!r}, expected one of {', '.join(KINDS)}."
        )
    listing = KINDS[entry["kind"]](Path(entry["path"]))
    images = listing.images.sort_values("image_id", ignore_index=True)
    _refuse_unknown_labels(name, entry, images["label"], labels)
    images["y"] = pd.Series([labels.classes.get(label) for label in images["label"]], dtype=object)
    refuse_empty_class(name, entry, images["y"].dropna(), labels)
    _refuse_two_sets(entry["path"], images[images["y"].notna()])
    unused = sorted(set(labels.classes) - set(images["label"]))
    notes = [*listing.notes, *labels.notes]
    notes += [f"label '{label}' is in classes, but no image has it" for label in unused]
    return replace(listing, images=images, notes=notes)


def _refuse_unknown_labels(name: str, entry: dict, given: pd.Series, labels: LabelMap) -> None:
    counts = given.value_counts().sort_index()
    unknown = [label for label in counts.index if label not in labels.classes and label not in labels.drop]
    if unknown:
        found = ", ".join(f"{label} ({count})" for label, count in counts.items())
        raise StudyError(
            f"{entry['path']}: label '{unknown[0]}' is neither in classes nor in drop of radiology.datasets.{name}. "
            f"Labels found: {found}. Give it a class number, or add it to drop."
        )


def refuse_empty_class(name: str, entry: dict, classes: pd.Series, labels: LabelMap) -> None:
    """Refuse a dataset in which a class has no image, or all images are of one class."""
    missing = sorted(set(range(labels.count)) - set(classes))
    if not missing:
        return
    words = ", ".join(label for label, number in labels.classes.items() if number in missing)
    found = "no image" if classes.empty else f"images of class {', '.join(map(str, sorted(set(classes))))} only"
    raise StudyError(
        f"{entry['path']}: found {found}, expected every class 0 to {labels.count - 1} of "
        f"radiology.datasets.{name}.classes; missing: {words}. Add such images, or correct classes."
    )


def _refuse_two_sets(path: str, images: pd.DataFrame) -> None:
    """Refuse a patient or an exam that the user has put into two sets."""
    fixed = images[images["split_given"].notna()]
    for column, what in (("patient_id", "patient"), ("exam_id", "exam")):
        sets = fixed[fixed[column].notna()].groupby(column)["split_given"].unique()
        torn = sets[sets.map(len) > 1]
        if len(torn):
            both = " and in ".join(sorted(torn.iloc[0]))
            raise LeakageError(
                f"{path}, column 'set': {what} {torn.index[0]} is in {both} ({len(torn)} such in all). Scores on "
                f"what training has seen are too good: give every {what} one set."
            )


def hash_state(name: str, entry: dict) -> str:
    """Hash what tells whether a dataset's files have changed: names, sizes, times of change.

    For the ``params`` of the rule that reads them: no picture is opened. A dataset that cannot be listed has the hash
    of nothing; the rule itself will say why.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    try:
        listing = list_images(name, entry)
    except StudyError:
        return digest.hexdigest()[:12]
    masks = [mask for masks in listing.images["masks"] for mask in masks]
    for file in [*listing.tables, *listing.images["path"], *masks]:
        digest.update(f"{file}\0{file_state(file)}\n".encode())
    return digest.hexdigest()[:12]
