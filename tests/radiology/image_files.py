"""Small pictures, tables and folders as users have them."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

CLASSES = {"benign": 0, "malignant": 1}
OPTIONS = {"size": 16, "colour": "grey", "aspect": "stretch", "max_excluded_fraction": 0.5}


def grey(key: int, height: int = 24, width: int = 20) -> np.ndarray:
    """Make pixels of an own kind for each key, (height, width) uint8."""
    return np.random.default_rng(key).integers(0, 256, (height, width), np.uint8)


def disc(height: int = 24, width: int = 20) -> np.ndarray:
    """Make a lesion in the middle, 0 and 255."""
    rows, columns = np.ogrid[:height, :width]
    return (((rows - height / 2) ** 2 + (columns - width / 2) ** 2 < 36) * 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    """Save pixels as the picture that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def make_table(folder: Path, n: int = 6, name: str = "images.tsv", **columns) -> Path:
    """Make n pictures, a table of them with alternating labels, and masks of the malignant ones."""
    rows = []
    for key in range(n):
        save(folder / "pictures" / f"{key}.png", grey(key))
        malignant = key % 2
        rows.append({"image_id": f"im{key}", "path": f"pictures/{key}.png", "label": list(CLASSES)[malignant]})
        rows[-1]["mask"] = f"masks/{key}.png" if malignant else None
        if malignant:
            save(folder / "masks" / f"{key}.png", disc())
    table = pd.DataFrame(rows).assign(**columns)
    return write(folder / name, table)


def write(path: Path, table: pd.DataFrame) -> Path:
    """Write a table, missing cells as n/a."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False, na_rep="n/a")
    return path


def edit(path: Path, row: int, column: str, value: object) -> Path:
    """Put a value into a cell of a table."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.loc[row, column] = value
    return write(path, table)


def table_entry(path: Path, **more) -> dict:
    """Give the config entry of a table."""
    return {"kind": "table", "path": str(path), "classes": dict(CLASSES), "drop": []} | more


def make_busi(folder: Path, n: int = 2) -> dict:
    """Make a BUSI folder as published and give its entry; the first benign image has two lesions."""
    for number, label in enumerate(("benign", "malignant", "normal")):
        for key in range(1, n + 1):
            save(folder / label / f"{label} ({key}).png", np.repeat(grey(100 * number + key)[..., None], 3, -1))
            save(folder / label / f"{label} ({key})_mask.png", disc() * (label != "normal"))
    save(folder / "benign" / "benign (1)_mask_1.png", np.eye(24, 20, dtype=np.uint8) * 255)
    return {"kind": "busi", "path": str(folder), "classes": dict(CLASSES), "drop": ["normal"]}


def make_mrnet(folder: Path, exams: dict[str, str]) -> dict:
    """Make slices 9 and 10 of each exam and tables of labels in folds that overlap."""
    rows = []
    for key, (exam, label) in enumerate(exams.items()):
        for place in (9, 10):
            name = f"images/{exam}_sagittal_{place}.000000.png"
            save(folder / name, grey(10 * key + place))
            rows.append({"filename": name, "acl_label": label})
    table = pd.DataFrame(rows)
    write(folder / "dataframe" / "train_fold1.csv", table.iloc[:-2])
    write(folder / "dataframe" / "test_fold1.csv", table.iloc[-4:])
    return {"kind": "mrnet", "path": str(folder), "classes": {"no": 0, "yes": 1}}
