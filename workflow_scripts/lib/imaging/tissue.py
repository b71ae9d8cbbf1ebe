"""Where the intensities of a brain pass from fluid to grey and from grey to white matter."""

import logging

import numpy as np

from workflow_scripts.lib.imaging.contract import WHITE

logger = logging.getLogger(__name__)

# shares of white matter at which the template brain's own thresholds lie: 0.55 to 0.63 and 0.82 to 0.86 at 4 to 1 mm
USUAL = (0.6, 0.85)
FEWEST = 100  # voxels; a brain on the coarsest grid (8 mm) has 4,000


def class_thresholds(numbers: np.ndarray, scale: float, where: str = "volume") -> tuple[float, float]:
    """Separate a brain's intensities into three classes: fluid, grey and white matter.

    The histogram of all voxels above zero is cut where the variance between the three classes is largest, by trying
    every pair of cuts.

    Parameters
    ----------
    numbers : numpy.ndarray
        uint8, any shape: a brain without skull and bias field as the store holds it, 0 outside.
    scale : float
        Intensity is number x scale.
    where : str
        The volume's name, for the warning.

    Returns
    -------
    csf_grey, grey_white : float
        Intensities between fluid and grey, and between grey and white matter; the first is the smaller. A volume with
        too few voxels or values for three classes gets fixed shares of white matter at 110, with a warning, so that
        one odd scan does not stop the others.

    References
    ----------
    Otsu (1979), A threshold selection method from gray-level histograms, equations 18 and 19; several classes as in
    Liao, Chen and Chung (2001), A fast algorithm for multilevel thresholding.
    """
    counts = np.bincount(numbers.ravel(), minlength=256)[1:]
    if counts.sum() < FEWEST or np.count_nonzero(counts) < 3:
        logger.warning(
            "%s: %d voxels of %d different intensities are too few for three tissues; %g and %g of white matter (%g) "
            "are taken as the borders",
            *(where, counts.sum(), np.count_nonzero(counts), *USUAL, WHITE),
        )
        return USUAL[0] * WHITE, USUAL[1] * WHITE
    first, second = cut_in_three(counts)
    # number 1 has place 0, and the border lies halfway to the next number
    return (first + 1.5) * scale, (second + 1.5) * scale


def cut_in_three(counts: np.ndarray) -> tuple[int, int]:
    """Cut a histogram into three classes of largest variance between them.

    Parameters
    ----------
    counts : numpy.ndarray
        Voxels in each of n equal bins; three bins at least are not empty.

    Returns
    -------
    first, second : int
        Last bin of the first and of the second class; of equally good cuts the lowest.
    """
    share = counts / counts.sum()
    weight, moment = np.cumsum(share), np.cumsum(share * np.arange(len(counts)))
    # all pairs at once: rows end the first class, columns the second; the total mean is the same for every cut
    classes = (
        (weight[:, None], moment[:, None]),
        (weight[None] - weight[:, None], moment[None] - moment[:, None]),
        (1 - weight[None], moment[-1] - moment[None]),
    )
    # a class without voxels adds nothing, whatever rounding has left in it
    between = sum(np.where(w > 1e-12, m**2 / np.maximum(w, 1e-12), 0) for w, m in classes)
    between[np.tril_indices(len(counts))] = -1  # the second class ends after the first
    first, second = np.unravel_index(np.argmax(between), between.shape)
    return int(first), int(second)
