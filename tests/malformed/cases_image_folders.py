"""Folders of 2D images, BUSI and MRNet, that contradict themselves or the config."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.malformed.case import Case
from tests.malformed.cases_images import aside, refusal
from tests.radiology.image_files import CLASSES, grey, make_busi, make_mrnet, save, write


def lone_mask(folder: Path) -> str:
    entry = make_busi(folder) | {"classes": {"normal": 0, "benign": 0, "malignant": 1}, "drop": []}
    (folder / "benign" / "benign (2).png").unlink()
    return aside(entry)


def another_folder(folder: Path) -> str:
    (folder / "train").mkdir()
    return refusal({"kind": "busi", "path": str(folder), "classes": CLASSES})


def unmapped(folder: Path) -> str:
    return refusal(make_busi(folder) | {"drop": []})


def two_files_of_one_id(folder: Path) -> str:
    entry = make_busi(folder)
    save(folder / "benign" / "benign_1.png", grey(1))
    return refusal(entry)


def other_manifest(folder: Path) -> str:
    entry = make_busi(folder)
    write(folder / "manifest.csv", pd.DataFrame({"file": ["benign/benign (9).png"], "label": ["benign"]}))
    return refusal(entry)


def knees(row: dict) -> Callable[[Path], str]:
    """Add a table of one row to the folds."""

    def provoke(folder: Path) -> str:
        entry = make_mrnet(folder, {"0011": "no", "0012": "yes"})
        for name in ("images/0011_sagittal_11.png", "images/knee.png"):
            save(folder / name, grey(9))
        write(folder / "dataframe" / "val_fold1.csv", pd.DataFrame([row]))
        return refusal(entry)

    return provoke


SLICE = "images/0011_sagittal_9.000000.png"
# fault, outcome, how it is made, message
FAULTS = [
    (
        "BUSI mask without its image",
        "set aside",
        lone_mask,
        "benign_2_mask: a mask without its image, which would be benign/benign (2).png. Add the image or "
        "remove the mask.",
    ),
    (
        "no BUSI folder",
        "refused",
        another_folder,
        "{folder}: holds none of the folders benign, malignant, normal (folders found: train). Give the "
        "folder that holds them, or another kind.",
    ),
    (
        "BUSI label that config does not know",
        "refused",
        unmapped,
        "{folder}: label 'normal' is neither in classes nor in drop of radiology.datasets.mine. Labels found: "
        "benign (2), malignant (2), normal (2). Give it a class number, or add it to drop.",
    ),
    (
        "two BUSI files of one id",
        "refused",
        two_files_of_one_id,
        "{folder}: 'benign/benign (1).png' and 'benign/benign_1.png' both make the id benign_1. Rename one of them.",
    ),
    (
        "BUSI manifest of other files",
        "refused",
        other_manifest,
        "{folder}/manifest.csv, line 2: 'benign/benign (9).png' is not a file in {folder}. Copy it again or "
        "remove the row.",
    ),
    (
        "slice with two labels",
        "refused",
        knees({"filename": SLICE, "acl_label": "yes"}),
        "{folder}/dataframe/val_fold1.csv, line 2: found 'yes' for 'images/0011_sagittal_9.000000.png', but "
        "'no' in {folder}/dataframe/test_fold1.csv, line 2. Correct one.",
    ),
    (
        "exam with two labels",
        "refused",
        knees({"filename": "images/0011_sagittal_11.png", "acl_label": "yes"}),
        "{folder}: exam 0011 has slices with label 'no' (0011_sagittal_10) and 'yes' (0011_sagittal_11). An "
        "exam has one label: correct the tables.",
    ),
    (
        "slice missing",
        "refused",
        knees({"filename": "images/0013_sagittal_9.png", "acl_label": "yes"}),
        "{folder}/images/0013_sagittal_9.png: no such file, but a table of labels names it. Copy it or remove the row.",
    ),
    (
        "slice without an exam",
        "refused",
        knees({"filename": "images/knee.png", "acl_label": "yes"}),
        "{folder}/images/knee.png: its name has no exam number as the first field; expected "
        "EXAM_PLANE_SLICE.png, such as 0011_sagittal_20.png. Rename it, or write a table with exam_id (kind "
        "table).",
    ),
    (
        "two columns of labels",
        "refused",
        knees({"filename": SLICE, "acl_label": "no", "meniscus_label": "no"}),
        "{folder}/dataframe/val_fold1.csv: found columns filename, acl_label, meniscus_label; expected "
        "filename or exam_id, and one column label or *_label (such as acl_label). Correct the header or move "
        "the table elsewhere.",
    ),
]

CASES = [Case("images", fault, outcome, message, provoke) for fault, outcome, provoke, message in FAULTS]
