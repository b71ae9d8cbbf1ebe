"""Datasets that are folders as their publishers made them: BUSI with its masks, MRNet's slices with tables of labels.

References
----------
Al-Dhabyani et al. 2020, Dataset of breast ultrasound images, Data in Brief 28:104863.
Bien et al. 2018, Deep-learning-assisted diagnosis for knee magnetic resonance imaging (MRNet), PLoS Med 15:e1002699.
"""

import re
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.radiology.listing import (
    Listing,
    as_listing,
    list_pictures,
    make_id,
    read_cells,
    say_some,
)
from workflow_scripts.lib.study.errors import StudyError

BUSI_LABELS = ("benign", "malignant", "normal")
MASK = re.compile(r"(?P<image>.+)_mask(_\d+)?")  # benign (4)_mask.png, benign (4)_mask_1.png
EXAM_COLUMNS = ("exam_id", "exam", "case")


def list_busi(root: Path) -> Listing:
    """List a BUSI folder: benign/, malignant/ and normal/, masks beside the images or below masks/.

    Two layouts are read. As published: ``benign/benign (1).png`` with ``benign (1)_mask.png`` and, for further
    lesions, ``benign (1)_mask_1.png``. Cleaned: ``benign/NAME.png`` with ``masks/benign/NAME.png``, perhaps with a
    manifest.csv (columns file, label), which must then agree with the folders. Ids are the files' names.

    Raises
    ------
    StudyError
        If there is no such folder, two files have one id, or the manifest names something else.
    """
    _refuse_no_folder(root)
    labels = [label for label in BUSI_LABELS if (root / label).is_dir()]
    if not labels:
        found = sorted(entry.name for entry in root.iterdir() if entry.is_dir())
        raise StudyError(
            f"{root}: holds none of the folders {', '.join(BUSI_LABELS)} (folders found: {say_some(found) or 'none'}). "
            "Give the folder that holds them, or another kind."
        )
    rows, aside = [], []
    for label in labels:
        images, masks = _part_masks(root, label)
        stems = {file.stem for file in images}
        for file in images:
            given = tuple(masks.get(file.stem, ()))
            name = f"{label}/{file.name}"
            rows.append({"image_id": make_id(file.stem), "file": name, "path": file, "masks": given, "label": label})
        for stem in sorted(set(masks) - stems):
            file = masks[stem][0]
            reason = f"a mask without its image, which would be {label}/{stem}.png. Add the image or remove the mask."
            aside.append((make_id(file.stem), str(file.relative_to(root)), reason))
    _refuse_one_id(rows, root)
    tables = _check_manifest(root, rows)
    bare = [row["image_id"] for row in rows if not row["masks"] and row["label"] != "normal"]
    notes = [f"without a mask: {say_some(bare)}"] if bare else []
    return as_listing(rows, aside=aside, notes=notes, tables=tables, normal_is_empty=True)


def _part_masks(root: Path, label: str) -> tuple[list[Path], dict[str, list[Path]]]:
    """Tell the images of a label from its masks; the masks by the name of their image."""
    masks: dict[str, list[Path]] = {}
    images = []
    for file in list_pictures(root / label):
        if match := MASK.fullmatch(file.stem):
            masks.setdefault(match["image"], []).append(file)
        else:
            images.append(file)
    if (beside := root / "masks" / label).is_dir():
        for file in list_pictures(beside):
            match = MASK.fullmatch(file.stem)
            masks.setdefault(match["image"] if match else file.stem, []).append(file)
    return images, masks


def _check_manifest(root: Path, rows: list[dict]) -> list[Path]:
    """Refuse a manifest that names other images than the folders hold."""
    path = root / "manifest.csv"
    if not path.exists():
        return []
    table = read_cells(path)
    for column in ("file", "label"):
        if column not in table:
            raise StudyError(
                f"{path}: column '{column}' is missing. Found columns: {say_some(list(table.columns))}. "
                "Add it, or remove the manifest; the folders are enough."
            )
    held = {row["file"]: row["label"] for row in rows}
    for line, (file, label) in enumerate(zip(table["file"], table["label"], strict=True), start=2):
        if file not in held:
            raise StudyError(f"{path}, line {line}: '{file}' is not a file in {root}. Copy it again or remove the row.")
        if held[file] != label:
            raise StudyError(
                f"{path}, line {line}: found label '{label}' for '{file}', whose folder says '{held[file]}'. "
                "Correct the manifest or move the file."
            )
    unlisted = sorted(set(held) - set(table["file"]))
    if unlisted:
        raise StudyError(
            f"{path}: has no row of {say_some(unlisted)}. Add {'it' if len(unlisted) == 1 else 'them'}, or remove the "
            "manifest; the folders are enough."
        )
    return [path]


def list_mrnet(root: Path) -> Listing:
    """List slices of knee exams: pictures named EXAM_PLANE_SLICE.png and tables of labels.

    Tables (.csv, .tsv) lie in the folder or in its subfolder dataframe/; all are joined and repeated rows collapsed,
    so that the folds of a published split may lie there together. Each has a column of labels (``label``, or one that
    ends in ``_label``, such as acl_label) and either ``filename`` (counted from the folder) or ``exam_id`` (one row
    an exam; its slices are the pictures of images/). The exam is the first field of a picture's name, the slice the
    last: images/0011_sagittal_20.000000.png is slice 20 of exam 0011.

    Raises
    ------
    StudyError
        If tables contradict one another, a picture is missing or its name has no exam, or an exam has two labels.
    """
    _refuse_no_folder(root)
    tables = sorted(
        file
        for place in (root, root / "dataframe")
        if place.is_dir()
        for file in place.iterdir()
        if file.suffix.lower() in (".csv", ".tsv") and not file.name.startswith(".")
    )
    if not tables:
        raise StudyError(f"{root}: no table of labels (.csv, .tsv) in it or in dataframe/. Put it there.")
    labels = _join_tables(tables)
    by_file = {key: label for (column, key), label in labels.items() if column == "filename"}
    by_exam = {key: label for (column, key), label in labels.items() if column == "exam"}
    if by_file and by_exam:
        raise StudyError(f"{root}: some tables name files and others exams. Leave those of one kind.")
    notes = []
    if by_exam:
        pictures = [f"images/{file.name}" for file in list_pictures(root / "images")] if by_exam else []
        by_file = {name: by_exam[exam] for name in pictures if (exam := _number(_fields(root, name)[0])) in by_exam}
        exams = {_number(_fields(root, name)[0]) for name in by_file}
        if missing := sorted(set(by_exam) - exams):
            notes.append(f"exams in the tables without a picture in images/: {say_some(missing)}")
        if unlabelled := len(pictures) - len(by_file):
            notes.append(f"pictures in images/ of exams without a label, not used: {unlabelled}")
    rows = [_slice_row(root, name, label) for name, label in sorted(by_file.items())]
    _refuse_one_id(rows, root)
    _refuse_two_labels(rows, root)
    return as_listing(rows, notes=notes, tables=tables)


def _join_tables(tables: list[Path]) -> dict[tuple[str, str], str]:
    """Join tables of labels: (filename or exam, its name) -> label."""
    joined: dict[tuple[str, str], tuple[str, str]] = {}
    for path in tables:
        table = read_cells(path)
        key = next((column for column in ("filename", *EXAM_COLUMNS) if column in table), None)
        named = [column for column in table if column == "label" or column.endswith("_label")]
        if key is None or len(named) != 1:
            raise StudyError(
                f"{path}: found columns {say_some(list(table.columns))}; expected filename or exam_id, and one column "
                "label or *_label (such as acl_label). Correct the header or move the table elsewhere."
            )
        kind = "filename" if key == "filename" else "exam"
        for row, (name, label) in enumerate(zip(table[key], table[named[0]], strict=True)):
            place = f"{path}, line {row + 2}"
            if pd.isna(name) or pd.isna(label):
                empty = key if pd.isna(name) else named[0]
                raise StudyError(f"{place}, column '{empty}': found an empty cell. Fill it or remove the row.")
            name = name if kind == "filename" else _number(name)
            first, where = joined.setdefault((kind, name), (label, place))
            if first != label:
                raise StudyError(f"{place}: found '{label}' for '{name}', but '{first}' in {where}. Correct one.")
    return {key: label for key, (label, _) in joined.items()}


def _fields(root: Path, name: str) -> list[str]:
    """Part a picture's name into its fields: exam, .., slice."""
    fields = Path(name).stem.split("_")
    if len(fields) < 2 or not make_id(fields[0]):
        raise StudyError(
            f"{root / name}: its name has no exam number as the first field; expected EXAM_PLANE_SLICE.png, such as "
            "0011_sagittal_20.png. Rename it, or write a table with exam_id (kind table)."
        )
    return fields


def _number(exam: str) -> str:
    """Give an exam's number without leading zeros, which spreadsheets lose."""
    return exam.lstrip("0") or "0" if exam.isdigit() else exam


def _slice_row(root: Path, name: str, label: str) -> dict:
    if not (root / name).is_file():
        raise StudyError(f"{root / name}: no such file, but a table of labels names it. Copy it or remove the row.")
    exam, *middle, last = _fields(root, name)
    whole = re.fullmatch(r"(\d+)(\.0*)?", last)
    number = int(whole[1]) if whole else None
    image_id = make_id("_".join([exam, *middle, last if number is None else str(number)]))
    return {
        "image_id": image_id,
        "file": name,
        "path": root / name,
        "masks": (),
        "label": label,
        "exam_id": make_id(exam),
        "slice": number,
    }


def _refuse_two_labels(rows: list[dict], root: Path) -> None:
    """Refuse an exam whose slices differ in their label: the label is the knee's."""
    seen: dict[str, dict] = {}
    for row in rows:
        first = seen.setdefault(row["exam_id"], row)
        if first["label"] != row["label"]:
            raise StudyError(
                f"{root}: exam {row['exam_id']} has slices with label '{first['label']}' ({first['image_id']}) and "
                f"'{row['label']}' ({row['image_id']}). An exam has one label: correct the tables."
            )


def _refuse_one_id(rows: list[dict], root: Path) -> None:
    """Refuse files whose names make the same id."""
    seen: dict[str, str] = {}
    for row in rows:
        other = seen.setdefault(row["image_id"], row["file"])
        if other != row["file"]:
            raise StudyError(
                f"{root}: '{other}' and '{row['file']}' both make the id {row['image_id']}. Rename one of them."
            )


def _refuse_no_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is a file, expected a folder" if root.exists() else "no such folder"
        raise StudyError(f"{root}: {what}. Correct the path, or the kind.")
