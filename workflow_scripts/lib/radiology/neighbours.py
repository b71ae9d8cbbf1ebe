"""Images whose features are nearest: the pairs that are worth laying on each other."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from workflow_scripts.lib.radiology.alignment import flip, shrink
from workflow_scripts.lib.radiology.hashes import BLOCK, COLUMNS, crop_windows

THUMBNAIL = 16  # side of the built-in features: smooth enough that a shift of some pixels matters little
MIRRORS = ("none", "left-right")  # what a probe turned round or a flipped scan gives


def thumbnails(images: np.ndarray, crops: Sequence[float] = ()) -> Iterator[tuple[str, np.ndarray]]:
    """Give features that need no network: tiny pictures of images, of their crops and of the mirrors of both.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    crops : sequence of float
        Shares of the side that crops keep, nine windows each.

    Yields
    ------
    (str, (n, THUMBNAIL**2) numpy.ndarray of float32)
        How a view is mirrored, and its features; the first is the whole image as it is.
    """
    for window in [None, *crop_windows(images.shape[-1], crops)]:
        small = shrink(images, THUMBNAIL, window)
        for how in MIRRORS:
            yield how, flip(small, how).reshape(len(images), -1)


def _unit(features: np.ndarray) -> np.ndarray:
    """Centre each image's features and give them length one; constant features become zero and are near nothing."""
    features = np.asarray(features, np.float32)
    centred = features - features.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-6)


def find_candidates(views: Iterable[tuple[str, np.ndarray]], k: int) -> pd.DataFrame:
    """Find the nearest images of each image by the cosine of their features.

    Parameters
    ----------
    views : iterable of (str, (n, f) numpy.ndarray)
        How a view of the images is mirrored, and its features. The first are the whole images, with which every view
        is compared (:func:`thumbnails`, or the features that a frozen backbone gives images and mirror images).
    k : int
        Neighbours of each image, best views first.

    Returns
    -------
    pandas.DataFrame
        One row a pair: a < b (places), flip, distance (1 - cosine), found_by = ``neighbour``.
    """
    whole, parts = None, []
    for how, features in views:
        view = _unit(features)
        whole = view if whole is None else whole
        count = min(k, len(whole) - 1)
        if count < 1:
            break
        for start in range(0, len(whole), BLOCK):
            cosine = view[start : start + BLOCK] @ whole.T
            rows = np.arange(len(cosine))
            cosine[rows, rows + start] = -np.inf
            nearest = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
            a = np.repeat(rows + start, count)
            distance = 1 - np.take_along_axis(cosine, nearest, axis=1).ravel()
            parts.append(pd.DataFrame({"a": a, "b": nearest.ravel(), "flip": how, "distance": distance}))
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    found = pd.concat(parts, ignore_index=True).sort_values(["a", "distance", "b", "flip"])
    found = found.drop_duplicates(["a", "b"]).groupby("a").head(k)
    low, high = found[["a", "b"]].min(axis=1), found[["a", "b"]].max(axis=1)
    found = found.assign(a=low, b=high, found_by="neighbour").sort_values(["a", "b", "distance", "flip"])
    return found.drop_duplicates(["a", "b"])[COLUMNS].reset_index(drop=True)
