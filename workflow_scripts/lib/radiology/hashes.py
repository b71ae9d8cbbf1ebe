"""Perceptual hashes: signs of the lowest cosine frequencies of an image, of its mirrors and of its crops."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import fft

from workflow_scripts.lib.radiology.alignment import FLIPS, shrink

SIDE = 32  # of the image that is transformed
PLACES = (0.0, 0.5, 1.0)  # of a crop's window between the two edges, along each axis
BLOCK = 1024  # images compared with all others at once
COLUMNS = ["a", "b", "flip", "distance", "found_by"]


def hash_images(small: np.ndarray, bits: int) -> np.ndarray:
    """Hash small images by the signs of their lowest cosine frequencies (pHash).

    Parameters
    ----------
    small : numpy.ndarray
        float32 (n, s, s).
    bits : int
        Frequencies along each axis: 8 gives 63 bits, 16 gives 255. The mean, which says brightness alone, is left out.

    Returns
    -------
    (n, bits * bits - 1) numpy.ndarray of float32
        +1 where a frequency is positive, -1 else.

    Notes
    -----
    The usual hash compares with the median of the frequencies, which is close to zero; with zero itself the hash of a
    mirrored image is the same signs with every odd frequency turned, exactly.
    """
    waves = fft.dctn(small, axes=(1, 2), norm="ortho")[:, :bits, :bits]
    return np.where(waves.reshape(len(small), -1)[:, 1:] > 0, 1, -1).astype(np.float32)


def flip_signs(bits: int, how: str) -> np.ndarray:
    """Signs (bits * bits - 1,) that turn the hash of an image into that of its mirror."""
    odd = (-1.0) ** np.arange(bits)
    rows, columns = (odd if turn < 0 else np.ones(bits) for turn in FLIPS[how])
    return np.outer(rows, columns).ravel()[1:].astype(np.float32)


def crop_windows(size: int, shares: Sequence[float]) -> list[tuple[int, int, int, int]]:
    """List nine windows for each share of the side: left, top, right, bottom in pixels."""
    windows = []
    for share in shares:
        side = max(round(size * share), 1)
        starts = sorted({round(place * (size - side)) for place in PLACES})
        windows += [(left, top, left + side, top + side) for top in starts for left in starts]
    return windows


def _near(first: np.ndarray, second: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Find rows of two sets of hashes that differ in at most ``limit`` of the bits, block by block."""
    bits = first.shape[1]
    for start in range(0, len(first), BLOCK):
        differing = (1 - first[start : start + BLOCK] @ second.T / bits) / 2
        a, b = np.nonzero(differing <= limit + 1e-6)
        yield a + start, b, differing[a, b]


def find_pairs(images: np.ndarray, bits: int, limit: float, crops: Sequence[float] = ()) -> pd.DataFrame:
    """Find all pairs of images whose hashes are alike, as they are, mirrored or cropped.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 (n, S, S).
    bits : int
        See :func:`hash_images`.
    limit : float
        Share of the bits that may differ.
    crops : sequence of float
        Shares of the side that crops keep: nine windows of each are compared with whole images.

    Returns
    -------
    pandas.DataFrame
        One row a pair: a < b (places), flip (which mirror of ``a`` is like ``b``), distance (share of bits), found_by
        (``hash``, ``mirror`` or ``crop``): the first of these that finds it, at its least distance.

    Notes
    -----
    Memory is BLOCK x n numbers whatever n is; time grows with n squared: 0.03 s a million comparisons of 255 bits.
    """
    whole = hash_images(shrink(images, SIDE), bits)
    found = []

    def compare(hashes: np.ndarray, kind: str) -> None:
        for how in FLIPS:
            named = "mirror" if kind == "hash" and how != "none" else kind
            for a, b, distance in _near(hashes * flip_signs(bits, how), whole, limit):
                other = a != b
                table = {"a": a[other], "b": b[other], "flip": how, "distance": distance[other], "found_by": named}
                found.append(pd.DataFrame(table))

    compare(whole, "hash")
    for window in crop_windows(images.shape[-1], crops):
        compare(hash_images(shrink(images, SIDE, window), bits), "crop")
    pairs = pd.concat(found, ignore_index=True)
    low, high = pairs[["a", "b"]].min(axis=1), pairs[["a", "b"]].max(axis=1)  # a mirror is its own inverse
    pairs = pairs.assign(a=low, b=high, order=pairs["found_by"].map({"hash": 0, "mirror": 1, "crop": 2}))
    pairs = pairs.sort_values(["a", "b", "order", "distance", "flip"]).drop_duplicates(["a", "b"])
    return pairs[COLUMNS].reset_index(drop=True)
