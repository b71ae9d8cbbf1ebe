"""Numbers that tell a good scan from a bad one: contrast and noise of the brain, plausibility of its features."""

import numpy as np
import pandas as pd
from scipy import ndimage

# where CSF, grey and white matter lie in a T1w brain whose white matter is at 110; fitted from here
START = np.array([35.0, 75.0, 110.0])
ROUNDS = 60
LEAST_VOXELS = 200  # below, a spread cannot be told from chance
# a hemisphere has 34 Desikan-Killiany or 31 DKT parcels; a sum over fewer is no cortex
PARCELS = {"": 68, "DKT_": 62}


def contrast_and_noise(brain: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """Measure contrast and noise of a stripped brain.

    Parameters
    ----------
    brain : numpy.ndarray
        float32, X x Y x Z, bias-corrected, white matter at 110, zero outside.
    affine : numpy.ndarray
        4 x 4, voxel to world, mm. A layer of 2 mm at the brain's border is left out: pial vessels and partial volume.

    Returns
    -------
    dict of str to float
        ``grey_white_contrast``: (white - grey) / white, of the tissues' means.
        ``contrast_to_noise``: (white - grey) / sqrt(grey's variance + white's variance); the background of a
        stripped brain is zero, so its variance drops out of the formula.
        ``white_snr``: mean / standard deviation of white matter away from its border.
        ``noise_percent``: standard deviation of the noise from voxel to voxel in percent of white matter. Resampling
        lowers it: compare only scans of one voxel size. NaN where white matter is too small to tell.

    References
    ----------
    Magnotta and Friedman 2006, J Digit Imaging 19:140 (signal and contrast to noise); Donoho and Johnstone 1994,
    Biometrika 81:425 (noise from the median of the finest wavelet coefficients, here Haar's in all three directions).
    """
    voxel = np.linalg.norm(affine[:3, :3], axis=0)
    inside = brain > 0
    core = ndimage.binary_erosion(inside, iterations=max(1, round(2.0 / float(voxel.mean()))))
    values = brain[core] if core.sum() >= LEAST_VOXELS else brain[inside]
    if values.size < LEAST_VOXELS:
        return dict.fromkeys(("grey_white_contrast", "contrast_to_noise", "white_snr", "noise_percent"), float("nan"))
    means, spreads = tissue_levels(values)
    grey, white = means[1:]
    found = {
        "grey_white_contrast": (white - grey) / white,
        "contrast_to_noise": (white - grey) / np.hypot(spreads[1], spreads[2]),
        **_white_noise(brain, core & (np.abs(brain - white) < max((white - grey) / 2, 2 * spreads[2])), white),
    }
    return {name: float(value) for name, value in found.items()}


def _white_noise(brain: np.ndarray, white_mask: np.ndarray, white: float) -> dict[str, float]:
    """Measure white matter's signal to noise and the noise between neighbouring voxels."""
    deep = ndimage.binary_erosion(white_mask)
    samples = brain[deep if deep.sum() >= LEAST_VOXELS else white_mask]
    # robust spread: 1.4826 median deviations are one standard deviation of a Gaussian
    spread = 1.4826 * float(np.median(np.abs(samples - np.median(samples)))) if samples.size >= LEAST_VOXELS else np.nan
    even = tuple(slice(0, n // 2 * 2) for n in brain.shape)
    blocks = [n // 2 for n in brain.shape]
    split = (blocks[0], 2, blocks[1], 2, blocks[2], 2)
    whole = white_mask[even].reshape(split).all(axis=(1, 3, 5))
    # the checkerboard of a 2 x 2 x 2 block sees neither a level nor a slope: what is left is noise
    sign = np.array([1.0, -1.0], dtype=np.float32)
    detail = np.einsum("aibjck,i,j,k->abc", brain[even].reshape(split), sign, sign, sign)[whole] / np.sqrt(8)
    noise = float(np.median(np.abs(detail))) / 0.6745 if detail.size >= LEAST_VOXELS // 8 else np.nan
    return {
        "white_snr": float(np.median(samples)) / spread if spread and np.isfinite(spread) else np.nan,
        "noise_percent": 100 * noise / white,
    }


def tissue_levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit three Gaussians (CSF, grey, white) to the histogram of a brain's intensities by expectation maximisation.

    Parameters
    ----------
    values : numpy.ndarray
        Intensities of brain voxels, white matter near 110.

    Returns
    -------
    means, spreads : float64, 3
        By rising mean. Deterministic: the start is where the tissues lie in a T1w brain.
    """
    top = float(np.quantile(values, 0.999))
    counts, edges = np.histogram(values, bins=256, range=(0.0, max(top, 1.0)))
    centres = (edges[1:] + edges[:-1]) / 2
    means, spreads, shares = START * top / 125.0, np.full(3, 12.0 * top / 125.0), np.full(3, 1 / 3)
    for _ in range(ROUNDS):
        density = shares * np.exp(-0.5 * ((centres[:, None] - means) / spreads) ** 2) / spreads
        belongs = density / np.maximum(density.sum(axis=1, keepdims=True), 1e-300) * counts[:, None]
        weight = np.maximum(belongs.sum(axis=0), 1e-9)
        means = (belongs * centres[:, None]).sum(axis=0) / weight
        deviations = (centres[:, None] - means) ** 2
        # a bin's width: no Gaussian narrower than what the histogram can show
        spreads = np.maximum(np.sqrt((belongs * deviations).sum(axis=0) / weight), edges[1] - edges[0])
        shares = weight / weight.sum()
    order = np.argsort(means)
    return means[order], spreads[order]


def derived_numbers(numbers: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Work out the numbers that only a scan's tables give.

    Parameters
    ----------
    numbers : pandas.DataFrame
        Index scan_id; what the stages measured, such as ``lh_euler``, ``brain_segmented_ml``, ``icv_is_mask``.
    features : pandas.DataFrame
        Index scan_id; ``icv`` (mm3) and regional features (mm, mm3), NaN where a scan has none.

    Returns
    -------
    pandas.DataFrame
        Index of ``numbers``; columns, NaN where they cannot be told: ``icv_ml``; ``euler`` (mean of both hemispheres);
        ``cortex_ml`` (the tool's, else the sum of the parcels); ``thickness_mm`` (mean of the parcels);
        ``brain_to_icv`` (only where the intracranial volume is an estimate of its own and no brain mask).
    """
    features = features.reindex(numbers.index)
    nothing = pd.Series(np.nan, index=numbers.index)

    def take(table: pd.DataFrame, name: str) -> pd.Series:
        return table[name].astype(float) if name in table else nothing

    icv = take(features, "icv")
    own = take(numbers, "icv_is_mask").fillna(0) == 0
    parcels_ml = _over_parcels(features, "volume").sum(axis=1, min_count=1) / 1e3
    return pd.DataFrame(
        {
            "icv_ml": icv / 1e3,
            "euler": (take(numbers, "lh_euler") + take(numbers, "rh_euler")) / 2,
            "cortex_ml": take(numbers, "cortex_ml").fillna(parcels_ml),
            "thickness_mm": _over_parcels(features, "thickness").mean(axis=1),
            "brain_to_icv": (take(numbers, "brain_segmented_ml") * 1e3 / icv.where(icv > 0)).where(own),
        }
    )


def _over_parcels(features: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Take the cortical parcels of one atlas, Desikan-Killiany first; NaN for scans that lack some of them."""
    table = pd.DataFrame(np.nan, index=features.index, columns=["none"])
    for atlas, count in PARCELS.items():
        form = rf"[lr]h_{atlas}[a-z]+_{measure}"
        columns = features.loc[:, features.columns.str.fullmatch(form)].astype(float)
        whole = columns[columns.notna().sum(axis=1) == count]
        new = whole.index.difference(table.dropna(how="all").index)
        table = pd.concat([table.drop(index=new), whole.loc[new]]) if len(new) else table
    return table.reindex(features.index)
