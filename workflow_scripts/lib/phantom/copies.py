"""Copies of an image as they are found in public datasets: the same again, resized, marked, mirrored, cut."""

import numpy as np
from PIL import Image

CHANGES = ("exact", "resized", "gain", "calipers", "mirrored", "cropped")
# shares of the side that a cropped copy loses in all, and sizes of resized ones
CROP = (0.05, 0.10)
RESIZE = (0.75, 1.25)
WHITE = 235


def resize(image: np.ndarray, height: int, width: int, smooth: bool = True) -> np.ndarray:
    """Resize a uint8 picture, by an area-aware bilinear rule or to the nearest pixel."""
    rule = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize((width, height), rule))


def draw_calipers(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw what the sonographer left: a cross at each end of both diameters of the lesion, and dots between."""
    image = image.copy()
    arm = max(2, image.shape[0] // 40)
    rows, columns = mask.nonzero()
    middle_row, middle_column = round(rows.mean()), round(columns.mean())
    across = np.flatnonzero(mask[middle_row]) if mask[middle_row].any() else columns
    down = np.flatnonzero(mask[:, middle_column]) if mask[:, middle_column].any() else rows
    ends = [(middle_row, c) for c in (across.min(), across.max())]
    ends += [(r, middle_column) for r in (down.min(), down.max())]
    for row, column in ends:
        image[max(row - arm, 0) : row + arm + 1, column] = WHITE
        image[row, max(column - arm, 0) : column + arm + 1] = WHITE
    image[middle_row, across.min() : across.max() + 1 : 4] = WHITE
    image[down.min() : down.max() + 1 : 4, middle_column] = WHITE
    return image


def copy(
    image: np.ndarray, mask: np.ndarray, change: str, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Copy an image with one change.

    Parameters
    ----------
    image : numpy.ndarray
        uint8, rows x columns.
    mask : numpy.ndarray
        bool, the same shape; calipers need a lesion.
    change : str
        One of :data:`CHANGES`.
    random : numpy.random.Generator

    Returns
    -------
    image, mask : numpy.ndarray
        The copy; its shape differs for ``resized`` and ``cropped``.
    """
    height, width = image.shape
    if change == "exact":
        return image.copy(), mask.copy()
    if change == "resized":
        scale = random.choice(RESIZE)
        size = round(height * scale), round(width * scale)
        return resize(image, *size), resize(mask.astype(np.uint8), *size, smooth=False).astype(bool)
    if change == "gain":
        contrast, brightness = random.uniform(0.8, 1.2), random.choice([-1, 1]) * random.uniform(8, 20)
        return np.clip(np.rint(image * contrast + brightness), 0, 255).astype(np.uint8), mask.copy()
    if change == "calipers":
        return draw_calipers(image, mask), mask.copy()
    if change == "mirrored":
        return image[:, ::-1].copy(), mask[:, ::-1].copy()
    if change == "cropped":
        lost = [round(side * random.uniform(*CROP)) for side in (height, width)]
        first = [int(random.integers(0, n + 1)) for n in lost]
        kept = tuple(slice(f, f + side - n) for f, side, n in zip(first, (height, width), lost, strict=True))
        return image[kept].copy(), mask[kept].copy()
    raise ValueError(f"change '{change}' is none of {', '.join(CHANGES)}")
