"""An indexed dataset in memory: its table of images, and their pixels as arrays that are mapped from disk."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.radiology.labels import read_label_map
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import read_table


@dataclass(frozen=True)
class Dataset:
    """A set of 2D images.

    Attributes
    ----------
    name : str
    images : pandas.DataFrame
        Schema ``image_index``; line i of it is place i of the arrays.
    pixels : numpy.ndarray
        uint8 (n, C, S, S), C = 1 (grey) or 3 (red, green, blue), mapped from disk, read only.
    masks : numpy.ndarray
        uint8 (n, S, S): 1 inside the lesion, 0 outside and in images without a mask.
    classes : int
        Number of classes.
    positive : int
        The class whose probability is the score.
    """

    name: str
    images: pd.DataFrame
    pixels: np.ndarray
    masks: np.ndarray
    classes: int
    positive: int

    @property
    def y(self) -> np.ndarray:
        """Class of each image, int64 (n,)."""
        return self.images["y"].to_numpy(np.int64)

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.pixels.shape[-1]


def read_dataset(folder: str | os.PathLike, entry: dict) -> Dataset:
    """Read what ``index_images`` wrote of a dataset.

    Parameters
    ----------
    folder : path
        Holds images.tsv, images.npy and masks.npy; its name is the dataset's.
    entry : dict
        The dataset's entry in config.

    Raises
    ------
    StudyError
        If table, arrays and entry do not belong together.
    """
    folder = Path(folder)
    labels = read_label_map(folder.name, entry)
    images = read_table(folder / "images.tsv", "image_index").astype({"slice": "Int64", "coloured": "float64"})
    pixels, masks = _map_array(folder / "images.npy", 4), _map_array(folder / "masks.npy", 3)
    n, size = len(images), pixels.shape[-1]
    if pixels.shape not in ((n, 1, size, size), (n, 3, size, size)) or masks.shape != (n, size, size):
        raise StudyError(
            f"{folder}: images.tsv has {n} rows, images.npy is {_say(pixels)}, masks.npy is {_say(masks)}; they are "
            "of different runs. Delete the folder and run index_images again."
        )
    if not np.array_equal(images["row"], np.arange(n)):
        raise StudyError(f"{folder}/images.tsv: column 'row' is not 0, 1, .. {n - 1}. Run index_images again.")
    expected = images["label"].map(labels.classes)
    wrong = images["y"] != expected
    if wrong.any():
        row = images[wrong].iloc[0]
        raise StudyError(
            f"{folder}/images.tsv: image {row['image_id']} with label '{row['label']}' is class {row['y']}; "
            "radiology.datasets now says otherwise. Run index_images again."
        )
    return Dataset(folder.name, images, pixels, masks, labels.count, labels.positive)


def _map_array(path: Path, axes: int) -> np.ndarray:
    """Map an array of bytes from disk."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file. Run index_images again.") from None
    except (ValueError, EOFError) as error:
        raise StudyError(f"{path}: not a whole array ({error}). Delete it and run index_images again.") from error
    if array.dtype != np.uint8 or array.ndim != axes:
        raise StudyError(f"{path}: found {array.dtype} with {array.ndim} axes, expected uint8 with {axes}.")
    return array


def _say(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape))
