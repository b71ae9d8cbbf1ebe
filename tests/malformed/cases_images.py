"""2D images that cannot be read, and tables of them that contradict themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.malformed.case import Case
from tests.radiology.image_files import (
    OPTIONS,
    disc,
    edit,
    grey,
    make_table,
    save,
    table_entry,
)
from workflow_scripts.lib.radiology.check import check_datasets
from workflow_scripts.lib.radiology.index import index_images
from workflow_scripts.lib.study.errors import StudyError


def refusal(entry: dict) -> str:
    """Give the message with which a dataset is refused before anything is read."""
    with pytest.raises(StudyError) as error:
        check_datasets({"datasets": {"mine": entry}})
    return str(error.value)


def aside(entry: dict) -> str:
    """Give id and reason of the one image that is set aside."""
    ((image_id, reason),) = index_images("mine", entry, OPTIONS).dropped[["image_id", "reason"]].values.tolist()
    return f"{image_id}: {reason}"


def cell(column: str, value: str) -> Callable[[Path], str]:
    """Put a value into line 4 of a table."""
    return lambda folder: refusal(table_entry(edit(make_table(folder), 2, column, value)))


def groups(column: str) -> Callable[[Path], str]:
    """Put images of one patient or exam into two sets."""
    columns = {"set": ["train", "train", "test", "test", "train", "test"], column: list("aabbcc")}
    return lambda folder: refusal(table_entry(make_table(folder, **columns)))


def config(**keys: object) -> Callable[[Path], str]:
    """Give a good table with other keys in config."""
    return lambda folder: refusal(table_entry(make_table(folder)) | keys)


def picture(content: bytes | np.ndarray, name: str = "pictures/2.png", **options) -> Callable[[Path], str]:
    """Put something else in place of a picture or a mask."""

    def provoke(folder: Path) -> str:
        path = make_table(folder)
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            save(folder / name, content, **options)
        return aside(table_entry(path))

    return provoke


def cut(folder: Path) -> str:
    path = make_table(folder)
    whole = (folder / "pictures/2.png").read_bytes()
    (folder / "pictures/2.png").write_bytes(whole[:300])
    return aside(table_entry(path))


def one_bit(folder: Path) -> str:
    path = make_table(folder)
    content = bytearray((folder / "pictures/2.png").read_bytes())
    content[200] ^= 1
    (folder / "pictures/2.png").write_bytes(content)
    return aside(table_entry(path))


def animate(folder: Path) -> str:
    path = make_table(folder)
    first, second = (Image.fromarray(grey(key)) for key in (7, 8))
    first.save(folder / "pictures/2.png", save_all=True, append_images=[second])
    return aside(table_entry(path))


def one_class(folder: Path) -> str:
    path = make_table(folder)
    for row in (1, 3, 5):
        edit(path, row, "label", "benign")
    return refusal(table_entry(path))


def many_damaged(folder: Path) -> str:
    path = make_table(folder)
    for key in (2, 4):
        (folder / f"pictures/{key}.png").write_bytes(b"")
    with pytest.raises(StudyError) as error:
        index_images("mine", table_entry(path), OPTIONS | {"max_excluded_fraction": 0.1})
    return str(error.value)


DEEP = grey(5).astype(np.uint16) * 200
CLEAR = np.dstack([grey(5)] * 3 + [np.repeat(np.uint8([255, 90]), 240).reshape(24, 20)])
# fault, outcome, how it is made, message
FAULTS = [
    (
        "no such table",
        "refused",
        lambda folder: refusal(table_entry(folder / "images.tsv")),
        "{folder}/images.tsv: no such file. Correct the path.",
    ),
    (
        "folder instead of a table",
        "refused",
        lambda folder: refusal(table_entry(folder)),
        "{folder}: is a folder, expected a table (kind table). Name the table, or another kind.",
    ),
    (
        "image without a label",
        "refused",
        cell("label", "n/a"),
        "{folder}/images.tsv, line 4, column 'label': found nothing, expected text, not an empty cell. What "
        "the image shows; config radiology.datasets.NAME.classes turns labels into classes or drops them. "
        "Correct the value or leave out the row.",
    ),
    (
        "label that config does not know",
        "refused",
        cell("label", "unclear"),
        "{folder}/images.tsv: label 'unclear' is neither in classes nor in drop of radiology.datasets.mine. "
        "Labels found: benign (2), malignant (3), unclear (1). Give it a class number, or add it to drop.",
    ),
    (
        "image_id twice",
        "refused",
        cell("image_id", "im0"),
        "{folder}/images.tsv: image_id 'im0' stands on lines 2, 4; it must name one row. Remove the repeated "
        "row or give it its own id.",
    ),
    (
        "space in an id",
        "refused",
        cell("image_id", "im 2"),
        "{folder}/images.tsv, line 4, column 'image_id': found 'im 2', expected text of the form "
        "[A-Za-z0-9][A-Za-z0-9._-]*. Id of the image in every result, made of letters, digits, dot, dash and "
        "underscore; nothing private. Correct the value or leave out the row.",
    ),
    (
        "picture missing",
        "refused",
        cell("path", "pictures/none.png"),
        "{folder}/images.tsv, line 4, column 'path': 'pictures/none.png' is not a file (1 of 6 pictures are "
        "missing). Relative paths count from the table's folder. Correct the path or remove the row.",
    ),
    (
        "mask missing",
        "refused",
        cell("mask", "masks/none.png"),
        "{folder}/images.tsv, line 4, column 'mask': 'masks/none.png' is not a file (1 of 4 masks are "
        "missing). Relative paths count from the table's folder. Correct the path, or write n/a where there "
        "is no mask.",
    ),
    (
        "unknown set",
        "refused",
        cell("set", "valid"),
        "{folder}/images.tsv, line 4, column 'set': found 'valid', expected one of train, validation, test. A "
        "set that whoever published the data fixed for the image. Correct the value or leave out the row.",
    ),
    (
        "unknown column",
        "refused",
        cell("age", "50"),
        "{folder}/images.tsv: unknown column 'age'. Known: image_id, path, label, patient_id, exam_id, slice, "
        "mask, set. Correct the name, drop the column, or (participants only) declare it in config under "
        "cohort: label_columns.",
    ),
    (
        "patient in two sets",
        "refused",
        groups("patient_id"),
        "{folder}/images.tsv, column 'set': patient c is in test and in train (1 such in all). Scores on what "
        "training has seen are too good: give every patient one set.",
    ),
    (
        "exam in two sets",
        "refused",
        groups("exam_id"),
        "{folder}/images.tsv, column 'set': exam c is in test and in train (1 such in all). Scores on what "
        "training has seen are too good: give every exam one set.",
    ),
    (
        "one class only",
        "refused",
        one_class,
        "{folder}/images.tsv: found images of class 0 only, expected every class 0 to 1 of "
        "radiology.datasets.mine.classes; missing: malignant. Add such images, or correct classes.",
    ),
    (
        "gap in the class numbers",
        "refused",
        config(classes={"benign": 0, "malignant": 2}),
        "radiology.datasets.mine.classes: found class numbers 0, 2; expected 0, 1, .. without a gap, at least "
        "two. Number them anew, for example {benign: 0, malignant: 1}.",
    ),
    (
        "positive class that is none",
        "refused",
        config(positive=2),
        "radiology.datasets.mine.positive: found 2, expected one of 0, 1 (a class number). Correct it or "
        "leave it out; the highest class is then the positive one.",
    ),
    (
        "unquoted yes and no",
        "refused",
        config(classes={False: 0, True: 1}),
        "radiology.datasets.mine: found the label False; YAML reads an unquoted no as False. Write 'no' in quotes.",
    ),
    (
        "16-bit",
        "set aside",
        picture(DEEP),
        "im2: 16-bit; expected 8-bit. Choose one grey window for all images and convert them",
    ),
    (
        "transparent pixels",
        "set aside",
        picture(CLEAR),
        "im2: 50.0% of its pixels are transparent; what lies behind them is not known. Save it without an "
        "alpha channel",
    ),
    (
        "truncated",
        "set aside",
        cut,
        "im2: truncated or damaged (Truncated File Read); copy it again",
    ),
    (
        "one bit wrong",
        "set aside",
        one_bit,
        "im2: truncated or damaged (broken PNG file (bad header checksum in b'IDAT')); copy it again",
    ),
    (
        "animated",
        "set aside",
        animate,
        "im2: 2 frames; expected one picture a file. Save the frames as images of one exam",
    ),
    (
        "tiny",
        "set aside",
        picture(grey(5, 12, 12)),
        "im2: 12 x 12 pixels; expected at least 16 on each side",
    ),
    (
        "constant",
        "set aside",
        picture(np.full((24, 20), 7, np.uint8)),
        "im2: all pixels have the value 7; export it again",
    ),
    (
        "DICOM",
        "set aside",
        picture(bytes(128) + b"DICM" + bytes(64)),
        "im2: DICOM; convert it to 8-bit PNG, with one grey window for all images",
    ),
    (
        "page of the web instead of a picture",
        "set aside",
        picture(b"<!DOCTYPE html><title>404</title>" * 5),
        "im2: no picture, or damaged from its beginning; expected 8-bit PNG, JPEG, BMP, TIFF. Convert it to "
        "PNG or copy it again",
    ),
    (
        "mask of another size",
        "set aside",
        picture(disc(30, 20), "masks/3.png"),
        "im3: mask: 20 x 30 pixels, but the image has 20 x 24; give the mask of it",
    ),
    (
        "mask empty",
        "set aside",
        picture(np.zeros((24, 20), np.uint8), "masks/3.png"),
        "im3: mask: empty; leave it out where there is no lesion",
    ),
    (
        "mask full",
        "set aside",
        picture(np.full((24, 20), 255, np.uint8), "masks/3.png"),
        "im3: mask: covers the whole image; expected 0 outside the lesion",
    ),
    (
        "mask in colour",
        "set aside",
        picture(np.dstack([disc(), grey(1), grey(2)]), "masks/3.png"),
        "im3: mask: in colour; expected 0 outside the lesion and one value inside",
    ),
    (
        "more are set aside than the config allows",
        "refused",
        many_damaged,
        "{folder}/images.tsv: 2 of 6 images were set aside, more than radiology: max_excluded_fraction 0.1 "
        "allows. Mend the files, drop their rows, or raise the limit:\n  im2: the file is empty; copy it "
        "again\n  im4: the file is empty; copy it again",
    ),
]

CASES = [Case("images", fault, outcome, message, provoke) for fault, outcome, provoke, message in FAULTS]
