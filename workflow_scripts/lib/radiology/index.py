"""Read the pictures of a dataset: arrays and their table, what was dropped and why, and counts."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.lib.radiology.inputs import list_images, refuse_empty_class
from workflow_scripts.lib.radiology.labels import LabelMap, read_label_map
from workflow_scripts.lib.radiology.listing import Listing
from workflow_scripts.lib.radiology.pictures import (
    PictureError,
    read_masks,
    read_picture,
    resize_mask,
    resize_picture,
)
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import load_schema

LOGGER = logging.getLogger(__name__)
LISTED = 20  # images that a refusal lists


@dataclass(frozen=True)
class Index:
    """A dataset that was read.

    Attributes
    ----------
    images, dropped, counts : pandas.DataFrame
        Schemas ``image_index``, ``image_dropped`` and ``image_counts``.
    pixels : numpy.ndarray
        uint8 (n, C, S, S) in the order of ``images``.
    masks : numpy.ndarray
        uint8 (n, S, S) of 0 and 1.
    """

    images: pd.DataFrame
    dropped: pd.DataFrame
    counts: pd.DataFrame
    pixels: np.ndarray
    masks: np.ndarray


def index_images(name: str, entry: dict, options: dict) -> Index:
    """Read a dataset; pictures that cannot be used are set aside with the reason, the others go on.

    Parameters
    ----------
    name : str
        The dataset's name in config.
    entry : dict
        Its entry (see :func:`inputs.list_images`).
    options : dict
        ``size`` (side in pixels), ``colour`` (grey or rgb), ``aspect`` (stretch or pad), ``max_excluded_fraction``.

    Returns
    -------
    Index
        Depends on what the files hold, not on the order of a table's rows.

    Raises
    ------
    StudyError
        If more pictures are set aside than ``max_excluded_fraction`` allows, or too few are left.
    """
    labels, listing = read_label_map(name, entry), list_images(name, entry)
    wanted = listing.images[listing.images["y"].notna()].reset_index(drop=True)
    size, channels = options["size"], 3 if options["colour"] == "rgb" else 1
    pixels = np.zeros((len(wanted), channels, size, size), np.uint8)
    masks = np.zeros((len(wanted), size, size), np.uint8)
    rows, aside = [], list(listing.aside)
    for image in wanted.to_dict("records"):
        place = len(rows)
        try:
            row, pixels[place], masks[place] = _read_image(image, options, listing.normal_is_empty)
        except PictureError as error:
            aside.append((image["image_id"], image["file"], str(error)))
            LOGGER.warning("%s is set aside: %s", image["image_id"], error)
        else:
            rows.append({**row, "row": place})
    images = _as_table(rows)
    _refuse_too_many(entry["path"], aside, len(rows), options["max_excluded_fraction"])
    refuse_empty_class(name, entry, images["y"], labels)
    dropped = _list_dropped(listing.images, aside)
    counts = _count(listing, images, labels)
    for note in listing.notes:
        LOGGER.info("%s", note)
    if coloured := int((images["coloured"] > 0).sum()):
        LOGGER.info("images with coloured pixels: %d of %d", coloured, len(images))
    return Index(images, dropped, counts, pixels[: len(rows)], masks[: len(rows)])


def _read_image(image: dict, options: dict, normal_is_empty: bool) -> tuple[dict, np.ndarray, np.ndarray]:
    """Read one image and its masks at the study's size."""
    size, aspect = options["size"], options["aspect"]
    picture = read_picture(image["path"], options["colour"])
    mask = read_masks(image["masks"], (picture.width, picture.height))
    if image["masks"] and not mask.any() and not (normal_is_empty and image["label"] == "normal"):
        raise PictureError("mask: empty; leave it out where there is no lesion")
    small = resize_mask(mask, size, aspect)
    if mask.any() and not small.any():
        LOGGER.warning("%s: its lesion is smaller than a pixel at size %d; no mask is used", image["image_id"], size)
    row = {column: image[column] for column in ("image_id", "label", "y", "patient_id", "exam_id", "slice")}
    row |= {"has_mask": bool(small.any()), "width": picture.width, "height": picture.height}
    row |= {"coloured": picture.coloured, "split_given": image["split_given"], "sha256": picture.sha256}
    return row, resize_picture(picture.pixels, size, aspect), small


def _as_table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(load_schema("image_index")["properties"]))
    words = ("image_id", "label", "patient_id", "exam_id", "split_given", "sha256")
    numbers = {"y": "int64", "row": "int64", "coloured": "float64", "has_mask": "bool", "slice": "Int64"}
    return table.astype(dict.fromkeys(words, "str") | numbers)


def _refuse_too_many(path: str, aside: list[tuple[str, str, str]], kept: int, limit: float) -> None:
    """Stop where more was set aside than config allows, with the list."""
    if len(aside) > limit * (len(aside) + kept):
        lines = "\n".join(f"  {image_id}: {reason}" for image_id, _, reason in sorted(aside)[:LISTED])
        more = f"\n  and {len(aside) - LISTED} more" if len(aside) > LISTED else ""
        raise StudyError(
            f"{path}: {len(aside)} of {len(aside) + kept} images were set aside, more than radiology: "
            f"max_excluded_fraction {limit} allows. Mend the files, drop their rows, or raise the limit:\n{lines}{more}"
        )


def _list_dropped(listed: pd.DataFrame, aside: list[tuple[str, str, str]]) -> pd.DataFrame:
    """List what config leaves out and what was set aside, sorted by image."""
    out = listed[listed["y"].isna()]
    rows = [
        (image_id, file, f"label {label}: drop in config")
        for image_id, file, label in zip(out["image_id"], out["file"], out["label"], strict=True)
    ]
    return pd.DataFrame(sorted([*rows, *aside]), columns=["image_id", "file", "reason"])


def _count(listing: Listing, images: pd.DataFrame, labels: LabelMap) -> pd.DataFrame:
    """Count what became of the images of each label."""
    rows = []
    for label, found in listing.images.groupby("label"):
        kept = images[images["label"] == label]
        y = labels.classes.get(label)
        left_out = len(found) if y is None else 0
        rows.append(
            {
                "label": label,
                "y": y,
                "found": len(found),
                "dropped": left_out,
                "set_aside": len(found) - left_out - len(kept),
                "images": len(kept),
                "patients": _distinct(kept["patient_id"]),
                "exams": _distinct(kept["exam_id"]),
                "with_mask": int(kept["has_mask"].sum()),
                "coloured": int((kept["coloured"] > 0).sum()),
                "note": labels.note(label),
            }
        )
    table = pd.DataFrame(rows)
    return table.astype({"y": "Int64", "patients": "Int64", "exams": "Int64"})


def _distinct(ids: pd.Series) -> int | None:
    """Count distinct ids; None where no image has one."""
    return int(ids.nunique()) or None
