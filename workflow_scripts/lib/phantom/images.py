"""The phantom's four sets of 2D images, as their user would have them: a table beside pictures, and the truth of it.

`lesions` and `slices` are targets, `textures` and `shapes` sources to pretrain on. Every patient is in one set alone.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from workflow_scripts.lib.phantom import copies, lesions, slices, source_images
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic
from workflow_scripts.lib.study.seeds import generator
from workflow_scripts.lib.study.tables import write_table

SETS = ("lesions", "slices", "textures", "shapes")
LESION_LABELS = ("benign", "malignant")
TRUTH = (
    "image_id",
    "patient_id",
    "label",
    "original",
    "change",
    "conflict",
    "true_label",
    "noisy_label",
    "centre_x",
    "centre_y",
    "radius",
    "cue",
)


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """A simulated set: ``images`` (schema ``image_list``), ``truth`` (``planted_images``), pictures by their path."""

    images: pd.DataFrame
    truth: pd.DataFrame
    pictures: dict[str, np.ndarray]  # uint8, by path relative to the table; masks are 0 and 255


def simulate(name: str, settings: dict, seed: int) -> ImageSet:
    """Simulate a set.

    Parameters
    ----------
    name : str
        One of :data:`SETS`.
    settings : dict
        Config section ``phantom.images``: ``size`` and a section for each set.
    seed : int
        The study's seed.

    Returns
    -------
    ImageSet

    Raises
    ------
    StudyError
        If there is no such set, or too few images to copy.
    """
    makers = {"lesions": _lesions, "slices": _slices, "textures": _textures, "shapes": _shapes}
    if name not in makers:
        raise StudyError(f"phantom images '{name}' are unknown; expected one of {', '.join(SETS)}.")
    return makers[name](settings, seed)


def write(made: ImageSet, folder: str | os.PathLike, truth: str | os.PathLike) -> None:
    """Write a set as its user would have it, and what was planted in it.

    Parameters
    ----------
    made : ImageSet
    folder : path
        Gets ``images.tsv`` and ``pictures/``.
    truth : path
        The table of planted truth.
    """
    folder = Path(folder)
    for path, picture in made.pictures.items():
        with atomic(folder / path) as temporary:
            Image.fromarray(picture).save(temporary)
    write_table(made.truth, truth, "planted_images")
    write_table(made.images, folder / "images.tsv", "image_list")


def _assemble(rows: list[dict], pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> ImageSet:
    """Name the files of a set's images and share out columns between the table and the truth."""
    table, files = pd.DataFrame(rows), {}
    table["path"] = [f"pictures/{image}.png" for image in table["image_id"]]
    files.update(zip(table["path"], pictures, strict=True))
    if masks is not None:
        shown = [mask.any() for mask in masks]
        names = [f"pictures/{image}_mask.png" for image in table["image_id"]]
        table["mask"] = [name if any_ else None for name, any_ in zip(names, shown, strict=True)]
        files |= {
            name: 255 * mask.astype(np.uint8) for name, mask, any_ in zip(names, masks, shown, strict=True) if any_
        }
    defaults = {"original": None, "change": None, "conflict": False, "noisy_label": False, "true_label": table["label"]}
    numbers = {"centre_x": np.nan, "centre_y": np.nan, "radius": np.nan, "cue": np.nan}
    for column, value in (defaults | numbers).items():
        table[column] = table.get(column, value)
    listed = [c for c in ("image_id", "path", "label", "patient_id", "exam_id", "slice", "mask") if c in table]
    return ImageSet(table[listed], table[list(TRUTH)], files)


def _draw_labels(
    count: int, labels: tuple[str, str], noise: float, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the labels of patients or exams: true ones (half and half), given ones, and whose were drawn at random.

    Of the labels drawn at random half are the true ones, among either, so that chance does not move the ceiling.
    """
    true = random.permutation(np.resize(labels, count))
    noisy, given = np.zeros(count, bool), true.copy()
    for label in labels:
        chosen = random.permutation(np.flatnonzero(true == label))
        chosen = chosen[: round(noise * len(chosen))]
        noisy[chosen] = True
        given[chosen] = np.resize(labels, len(chosen))
    return true, given, noisy


def _patients_of(images: int, patients: int, most: int, random: np.random.Generator) -> np.ndarray:
    """Give each image a patient: each patient has one at least and ``most`` at most."""
    if not patients <= images <= most * patients:
        raise StudyError(
            f"config phantom.images: {images} images of {patients} patients with at most {most} each. "
            "Change the numbers so that they can be shared out."
        )
    further = random.permutation(np.repeat(np.arange(patients), most - 1))[: images - patients]
    return np.sort(np.concatenate([np.arange(patients), further]))


def _lesions(settings: dict, seed: int) -> ImageSet:
    """Simulate ultrasound images of lesions, with copies."""
    own = settings["lesions"]
    random = generator(seed, "images", "lesions", "table")
    patient_of = _patients_of(own["images"], own["patients"], own["images_a_patient"], random)
    # patients without a lesion come last: they have no label to draw, and ids are shuffled later
    with_lesion = own["patients"] - round(own["normal"] * own["patients"])
    true, given, noisy = _draw_labels(with_lesion, LESION_LABELS, own["label_noise"], random)
    cues = np.where(true == "malignant", -1, 1) * own["cue"] / 2 + random.normal(0, own["cue_sd"], with_lesion)
    rows = []
    for patient in patient_of:
        shown = {"label": "normal", "true_label": "normal", "noisy_label": False, "cue": None}
        if patient < with_lesion:
            shown = {"label": given[patient], "true_label": true[patient], "noisy_label": bool(noisy[patient])}
            shown["cue"] = float(cues[patient])
        rows.append({"patient": patient, **shown})
    keys = (seed, "images", "lesions")
    planned = _plan_copies(rows, own, generator(*keys, "plan"))
    made = []
    for number, row in enumerate(rows):
        patient_keys = (*keys, "patient", row["patient"])
        made.append(lesions.render(settings["size"], row["cue"], own["grain"], patient_keys, (*keys, "image", number)))
    for row in planned:
        made.append(copies.copy(*made[row["original"]], row["change"], generator(*keys, "copy", row["original"])))
    rows = [row | lesions.measure(mask) for row, (_, mask) in zip(rows + planned, made, strict=True)]
    return _name_lesions(rows, made, random)


def _plan_copies(rows: list[dict], own: dict, random: np.random.Generator) -> list[dict]:
    """Choose what to copy, how, and under which label: each copy is of another image and a patient of its own."""
    changes = [change for change in copies.CHANGES for _ in range(own["copies"].get(change, 0))]
    known = [index for index, row in enumerate(rows) if row["cue"] is not None]
    if len(changes) > len(known) or own["conflicts"] > len(changes):
        raise StudyError(
            f"config phantom.images.lesions: {len(changes)} copies, {own['conflicts']} under another label, of "
            f"{len(known)} images with a lesion. Plant fewer copies, or conflicts, or more images."
        )
    sources = random.choice(known, len(changes), replace=False)
    conflicts = random.permutation(len(changes)) < own["conflicts"]
    planned = []
    for place, (index, change, conflict) in enumerate(zip(sources, changes, conflicts, strict=True)):
        label = rows[index]["label"]
        if conflict:
            label = LESION_LABELS[label == LESION_LABELS[0]]
        row = {"patient": own["patients"] + place, "label": label, "original": int(index)}
        planned.append(rows[index] | row | {"change": change, "conflict": bool(conflict)})
    return planned


def _name_lesions(rows: list[dict], made: list[tuple], random: np.random.Generator) -> ImageSet:
    """Shuffle images and patients, so that neither order nor ids tell copies, and name them."""
    order = random.permutation(len(rows))
    names = {int(row): f"lesion-{place:04d}" for place, row in enumerate(order, start=1)}
    people = random.permutation(max(row["patient"] for row in rows) + 1) + 1
    named = []
    for index in order:
        row = dict(rows[index])
        row["patient_id"] = f"us-{people[row.pop('patient')]:04d}"
        original = row.pop("original", None)
        named.append(
            {"image_id": names[int(index)], "original": None if original is None else names[int(original)]}
            | {"change": None, "conflict": False}
            | row
        )
    return _assemble(named, *zip(*(made[index] for index in order), strict=True))


def _slices(settings: dict, seed: int) -> ImageSet:
    """Simulate knee slices in exams; files are named as MRNet's are, by exam, plane and slice."""
    own = settings["slices"]
    random = generator(seed, "images", "slices", "table")
    true, given, noisy = _draw_labels(own["exams"], ("no", "yes"), own["label_noise"], random)
    counts = random.integers(1, own["slices_an_exam"] + 1, own["exams"])
    rows, pictures, keys = [], [], (seed, "images", "slices")
    for exam in range(own["exams"]):
        knee = slices.draw_knee(settings["size"], generator(*keys, "exam", exam))
        first = int(random.integers(8, 20))
        gap = float(np.clip(own["cue"] + random.normal(0, own["cue_sd"]), 0, 1)) if true[exam] == "yes" else 0.0
        for place in range(counts[exam]):
            number = first + place
            depth = (place - (counts[exam] - 1) / 2) / 2
            picture, where = slices.render(knee, gap, depth, generator(*keys, "slice", exam, number))
            ids = {"image_id": f"{exam + 1:04d}_sagittal_{number}", "patient_id": f"knee-{exam + 1:04d}"}
            ids |= {"exam_id": f"{exam + 1:04d}", "slice": number, "label": given[exam]}
            rows.append({**ids, "true_label": true[exam], "noisy_label": bool(noisy[exam]), "cue": gap, **where})
            pictures.append(picture)
    return _assemble(rows, pictures)


def _textures(settings: dict, seed: int) -> ImageSet:
    """Simulate frames of speckle whose class is their grain."""
    own = settings["textures"]
    classes = source_images.texture_classes(own["classes"])
    grain = settings["lesions"]["grain"]
    rows, pictures = [], []
    for number in range(own["images"]):
        label, ratio, scale = classes[number % len(classes)]
        keys = (seed, "images", "textures", number)
        pictures.append(source_images.render_texture(settings["size"], ratio, grain, scale * grain, keys))
        ids = {"image_id": f"texture-{number + 1:04d}", "patient_id": f"tx-{number + 1:04d}"}
        rows.append({**ids, "label": label, "cue": ratio})
    return _assemble(rows, pictures)


def _shapes(settings: dict, seed: int) -> ImageSet:
    """Simulate scenes whose class is the shape of the things in them."""
    own = settings["shapes"]
    classes = source_images.shape_classes(own["classes"])
    rows, pictures = [], []
    for number in range(own["images"]):
        label = classes[number % len(classes)]
        pictures.append(source_images.render_shapes(settings["size"], label, (seed, "images", "shapes", number)))
        ids = {"image_id": f"shape-{number + 1:04d}", "patient_id": f"sh-{number + 1:04d}"}
        rows.append({**ids, "label": label})
    return _assemble(rows, pictures)
