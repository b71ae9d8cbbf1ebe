"""Scans that are one image under two names, found in what earlier stages have measured of every scan.

No image is opened to search: two scans of one image have the same numbers. Only the few pairs that do are compared.
"""

from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.spatial import KDTree

IMAGE, FEATURES = "the same image", "the same regional features"
# measured on the voxels of a brain, wherever the header places it
NUMBERS = ("grey_white_contrast", "contrast_to_noise", "white_snr", "noise_percent", "brain_ml")
LEAST_NUMBERS = 4
# of each number; saved again in 16 bits with another scale, they differ by 0.00013 at most, 0.5 % of added noise makes
# 0.04 of noise_percent
TOLERANCE = 1e-3
# of two brains' voxels: 0.99999999996 if saved again in 16 bits, 0.99991 with 0.5 % of added noise
SAME = 0.99995
LEAST_FEATURES = 10  # equal by chance are three or four thicknesses of three digits, in tens of thousands of people


def find_duplicates(numbers: pd.DataFrame, features: pd.DataFrame, brains: dict[str, Path]) -> pd.DataFrame:
    """Find pairs of scans that are one image, or have one row of regional features.

    An image is found under another file name, compression, data type, intensity scale, voxel order or position in
    space, if the brain has the same voxels; an edited, resampled or noisier copy is not. Features are found if every
    number that both scans have is the same.

    Parameters
    ----------
    numbers : pandas.DataFrame
        Index scan_id: what was measured on the brains (columns of :data:`NUMBERS`, those that are there).
    features : pandas.DataFrame
        Index scan_id: regional features in mm or mm3, NaN where missing.
    brains : dict of str to Path
        File of each scan's brain volume; a pair without files is no pair of images.

    Returns
    -------
    pandas.DataFrame
        a, b (scan ids, the earlier row first), what (``the same image``, ``the same regional features``); each pair
        once.
    """
    found = dict.fromkeys(equal_rows(features), FEATURES)
    for pair in similar_rows(numbers):
        # equal features need no image to be opened, even where a whole cohort stands twice
        if pair not in found and all(scan in brains for scan in pair) and same_voxels(*(brains[scan] for scan in pair)):
            found[pair] = IMAGE
    return pd.DataFrame([(*pair, what) for pair, what in found.items()], columns=["a", "b", "what"])


def set_aside_repeats(table: pd.DataFrame, pairs: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Set aside scans that repeat another scan of the same participant: a second visit that was none.

    The first of them goes on. Nobody is on two sides of a split for it, so that the study need not stop, as it must
    where two participants share an image (:func:`workflow_scripts.lib.cohort.guard.refuse_duplicates`).

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``qc_scans``.
    pairs : pandas.DataFrame
        From :func:`find_duplicates`.

    Returns
    -------
    table : pandas.DataFrame
        A copy.
    others : pandas.DataFrame
        The pairs of two participants.
    """
    table = table.set_index("scan_id")
    people = table["participant_id"]
    own = people[pairs["a"]].to_numpy() == people[pairs["b"]].to_numpy()
    for pair in pairs[own].itertuples():
        reason = f"{pair.what} as {pair.a}, another visit of this participant; correct its path or drop its row"
        table.loc[pair.b, ["included", "stage", "reason"]] = [False, "qc", reason]
    return table.reset_index(), pairs[~own]


def similar_rows(numbers: pd.DataFrame, tolerance: float = TOLERANCE) -> list[tuple[str, str]]:
    """List pairs of scans whose numbers all agree within a share of themselves.

    Parameters
    ----------
    numbers : pandas.DataFrame
        See :func:`find_duplicates`. A scan that lacks one of the columns is left out; a column that most lack, or that
        is the same in all scans, says nothing.
    tolerance : float

    Returns
    -------
    list of (str, str)
        In the order of the rows; empty with fewer than 4 columns.
    """
    values = numbers[[name for name in NUMBERS if name in numbers]].astype(float)
    values = values.where(values > 0)
    told = (values.notna().mean() > 0.5) & (values.nunique() > 1)
    values = values.loc[:, told].dropna()
    if values.shape[1] < LEAST_NUMBERS or len(values) < 2:
        return []
    pairs = KDTree(np.log(values.to_numpy())).query_pairs(tolerance, p=np.inf, output_type="ndarray")
    return _names(values.index, pairs)


def equal_rows(features: pd.DataFrame, least: int = LEAST_FEATURES) -> list[tuple[str, str]]:
    """List pairs of scans that agree in every feature that both have, however many scans there are.

    Scans that agree in two features at once are neighbours when sorted by these; those who are so for a second pair of
    features are compared in all. Zeros say nothing (a structure that a tool did not find), nor does a feature that is
    the same in all scans.

    Parameters
    ----------
    features : pandas.DataFrame
        See :func:`find_duplicates`.
    least : int
        Features that both must have, not zero.

    Returns
    -------
    list of (str, str)
        In the order of the rows. Of three equal rows the first and second, and the second and third.
    """
    values = features.to_numpy(float)
    values = np.where(values == 0, np.nan, values)
    values = values[:, [len(np.unique(column[~np.isnan(column)])) > 1 for column in values.T]]
    if values.shape[1] < least:
        return []
    # neighbours in kind and place share regions: take features from far apart
    half = values.shape[1] // 2
    close = [_neighbours(values[:, [first, first + half]]) for first in range(half)]
    pairs, times = np.unique(np.concatenate(close), axis=0, return_counts=True)
    pairs = pairs[times > 1]
    a, b = values[pairs[:, 0]], values[pairs[:, 1]]
    both = ~np.isnan(a) & ~np.isnan(b)
    equal = ((a == b) | ~both).all(axis=1) & (both.sum(axis=1) >= least)
    return _names(features.index, pairs[equal])


def _neighbours(columns: np.ndarray) -> np.ndarray:
    """List rows that agree in two columns and follow each other among those that do; int, pairs x 2."""
    rows = np.flatnonzero(~np.isnan(columns).any(axis=1))
    # last key first; rows with equal keys stay in order
    order = rows[np.lexsort((rows, columns[rows, 1], columns[rows, 0]))]
    same = (columns[order[1:]] == columns[order[:-1]]).all(axis=1)
    return np.stack([order[:-1][same], order[1:][same]], axis=1)


def _names(index: pd.Index, pairs: Iterable) -> list[tuple[str, str]]:
    return [(str(index[a]), str(index[b])) for a, b in sorted(tuple(sorted(map(int, pair))) for pair in pairs)]


def same_voxels(a: Path, b: Path) -> bool:
    """Tell whether two brain volumes hold one image: the same shape, and voxels that correlate at 0.99995 or more."""
    one, other = (np.asarray(nib.load(path).dataobj, np.float32) for path in (a, b))
    if one.shape != other.shape:
        return False
    if np.array_equal(one, other):
        return True
    centred = [values.ravel() - values.mean(dtype=np.float64) for values in (one, other)]
    size = float(np.sqrt(np.prod([values @ values for values in centred])))
    return size > 0 and float(centred[0] @ centred[1]) / size >= SAME
