"""How well a map of an explanation fits a known lesion, and the network that it explains."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage

from workflow_scripts.lib.study.errors import StudyError

BASELINES = ("blur", "mean")
BLUR = 0.06  # standard deviation of the blur, as a share of the image's side
WINDOW = 7  # side of the windows of the structural similarity

# images (n, C, S, S) float32 from 0 to 255 and the class of each -> its probability (n,)
Probability = Callable[[torch.Tensor, np.ndarray], np.ndarray]


def _check(maps: np.ndarray, masks: np.ndarray) -> None:
    if maps.shape != masks.shape or maps.ndim < 2:
        raise StudyError(f"maps of shape {maps.shape} and masks of shape {masks.shape}; expected the same, n x grid")


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Measure the share of each map's sum that lies inside the mask.

    Parameters
    ----------
    maps : numpy.ndarray
        n x grid, not negative.
    masks : numpy.ndarray
        n x grid, 0 or 1, or shares between.

    Returns
    -------
    numpy.ndarray
        float64 (n,); NaN where the map or the mask is empty. A map that is the same everywhere has the mask's share
        of the grid, which is chance.

    References
    ----------
    Wang et al., Score-CAM, CVPR workshops 2020 (energy-based pointing game).
    """
    _check(maps, masks)
    axes = tuple(range(1, maps.ndim))
    total, weight = maps.sum(axes, dtype=np.float64), masks.sum(axes, dtype=np.float64)
    inside = (maps.astype(np.float64) * masks).sum(axes)
    usable = (total > 0) & (weight > 0)
    return np.where(usable, inside / np.where(usable, total, 1.0), np.nan)


def energy_in_others(maps: np.ndarray, masks: np.ndarray, everyone: tuple[np.ndarray, int] | None = None) -> np.ndarray:
    """Measure the mean share of each map's sum that lies inside the masks of the other images.

    Lesions lie near the middle of an image, and so do many maps of networks that know nothing of lesions. What a map
    has inside its own mask beyond this is knowledge of its own image.

    Parameters
    ----------
    maps, masks : numpy.ndarray
        As :func:`energy_inside`; images without a mask take no part.
    everyone : (numpy.ndarray, int), optional
        Sum over the masks of all images, these among them, and how many have one. These alone are all if left out.

    Returns
    -------
    numpy.ndarray
        float64 (n,); NaN where the map or the mask is empty, or no other image has a mask.
    """
    _check(maps, masks)
    marked = masks.reshape(len(masks), -1).any(1)
    total, count = everyone or (masks.sum(0, dtype=np.int64), int(marked.sum()))
    others = np.maximum(total - masks.astype(np.int64), 0) / max(count - 1, 1)
    return np.where(marked & (count > 1), energy_inside(maps, others), np.nan)


def points_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Play the pointing game: is the place of each map's maximum inside the mask?

    Parameters
    ----------
    maps, masks : numpy.ndarray
        As :func:`energy_inside`.

    Returns
    -------
    numpy.ndarray
        float64 (n,): 1 or 0; where several places share the maximum, the share of them inside, which is what a random
        choice among them gives on average. NaN where the map or the mask is empty.

    References
    ----------
    Zhang et al., Int. J. Comput. Vis. 126 (2018) 1084; without their margin of 15 pixels.
    """
    _check(maps, masks)
    axes = tuple(range(1, maps.ndim))
    top = maps == maps.max(axes, keepdims=True)
    usable = (maps.max(axes) > 0) & (masks.max(axes) > 0)
    return np.where(usable, (top * masks).sum(axes) / top.sum(axes), np.nan)


def baseline(images: torch.Tensor, kind: str) -> torch.Tensor:
    """Make images without their detail.

    Parameters
    ----------
    images : torch.Tensor
        n x C x S x S, floating point.
    kind : {'blur', 'mean'}
        A Gaussian blur with a standard deviation of 6% of the side, or each image's mean by channel.

    Returns
    -------
    torch.Tensor
        As ``images``.
    """
    if kind not in BASELINES:
        raise StudyError(f"baseline '{kind}' is not known; choose one of {', '.join(BASELINES)}")
    if kind == "mean":
        return images.mean((2, 3), keepdim=True).expand_as(images)
    sigma = BLUR * images.shape[-1]
    blurred = ndimage.gaussian_filter(images.cpu().numpy(), (0, 0, sigma, sigma), mode="nearest")
    return torch.from_numpy(blurred).to(images)


def ranks_from_top(maps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Number each map's pixels from the highest down; equal ones in random order.

    Returns
    -------
    numpy.ndarray
        int64, n x pixels: 0 for the highest.
    """
    flat = maps.reshape(len(maps), -1)
    order = np.lexsort((rng.random(flat.shape), -flat), axis=1)
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(flat.shape[1]), flat.shape), axis=1)
    return ranks


def insertion_deletion(
    probability: Probability,
    images: torch.Tensor,
    classes: np.ndarray,
    ranks: np.ndarray,
    steps: int,
    kind: str = "blur",
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the probability of a class while pixels come or go, the highest of the map first.

    Parameters
    ----------
    probability : callable
        See :data:`Probability`.
    images : torch.Tensor
        n x C x S x S, float32 from 0 to 255, as they are before preprocessing.
    classes : numpy.ndarray
        (n,), the class that is explained.
    ranks : numpy.ndarray
        n x pixels, from :func:`ranks_from_top`.
    steps : int
        Of equal size; each costs a forward pass for either curve.
    kind : {'blur', 'mean'}
        What stands where pixels are missing.

    Returns
    -------
    insertion, deletion : numpy.ndarray
        float64, n x (steps + 1): the first from the baseline to the image, the second from the image to the baseline.

    References
    ----------
    Petsiuk et al., RISE, BMVC 2018.
    """
    if steps < 1:
        raise StudyError(f"insertion and deletion need 1 step or more, found {steps}")
    empty = baseline(images, kind)
    places = torch.from_numpy(ranks).to(images.device).reshape(len(images), 1, *images.shape[2:])
    inserted, deleted = [], []
    for step in range(steps + 1):
        top = places < round(step * ranks.shape[1] / steps)
        inserted.append(probability(torch.where(top, images, empty), classes))
        deleted.append(probability(torch.where(top, empty, images), classes))
    return np.stack(inserted, axis=1).astype(np.float64), np.stack(deleted, axis=1).astype(np.float64)


def area(curves: np.ndarray) -> np.ndarray:
    """Take the area under curves over 0..1 by trapezoids: n x points -> (n,)."""
    return (curves[:, 1:] + curves[:, :-1]).mean(1) / 2


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlate the pixels' ranks of two sets of maps (Spearman, ties get their mean rank).

    Returns
    -------
    numpy.ndarray
        float64 (n,); NaN where either map is the same everywhere.
    """
    _check(a, b)
    from_a, from_b = (_centred_ranks(one.reshape(len(one), -1)) for one in (a, b))
    spread = np.sqrt((from_a**2).sum(1) * (from_b**2).sum(1))
    return np.where(spread > 0, (from_a * from_b).sum(1) / np.where(spread > 0, spread, 1.0), np.nan)


def _centred_ranks(flat: np.ndarray) -> np.ndarray:
    ranks = np.empty(flat.shape)
    for row, values in enumerate(flat):
        _, place, count = np.unique(values, return_inverse=True, return_counts=True)
        ranks[row] = (count.cumsum() - (count - 1) / 2)[place]
    return ranks - ranks.mean(1, keepdims=True)


def structural_similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compare the structure of two sets of maps (mean SSIM over windows of 7 x 7, values from 0 to 1).

    Parameters
    ----------
    a, b : numpy.ndarray
        n x S x S, each axis of 7 or more.

    Returns
    -------
    numpy.ndarray
        float64 (n,), 1 for equal maps. Windows lie inside the image; variances divide by their number of pixels.

    References
    ----------
    Wang et al., IEEE Trans. Image Process. 13 (2004) 600: constants (0.01)^2 and (0.03)^2.
    """
    _check(a, b)
    if min(a.shape[1:]) < WINDOW:
        raise StudyError(f"structural similarity needs maps of {WINDOW} pixels or more along each axis: {a.shape[1:]}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    edge = WINDOW // 2
    inside = (slice(None), *[slice(edge, -edge)] * (a.ndim - 1))

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values, (1, *[WINDOW] * (a.ndim - 1)))[inside]

    low_a, low_b = mean(a), mean(b)
    var_a, var_b, shared = mean(a * a) - low_a**2, mean(b * b) - low_b**2, mean(a * b) - low_a * low_b
    same = (2 * low_a * low_b + 1e-4) * (2 * shared + 9e-4)
    found = same / ((low_a**2 + low_b**2 + 1e-4) * (var_a + var_b + 9e-4))
    return found.mean(tuple(range(1, found.ndim)))
