"""Speckle pictures and changed copies of them, whose truth tests know."""

import numpy as np
from PIL import Image
from scipy import ndimage

KINDS = ("exact", "resized", "gain", "calipers", "mirrored", "cropped")


def draw_speckle(count: int, size: int, seed: int) -> np.ndarray:
    """Draw unrelated pictures, uint8 (count, size, size): Rayleigh speckle on layers, with a dark disc."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size] / size
    pictures = []
    for _ in range(count):
        light = ndimage.zoom(random.normal(size=(6, 4)), (size / 6, size / 4), order=1)[:size, :size]
        layers = np.interp(rows[:, 0], np.linspace(0, 1, 8), random.normal(size=8))[:, None]
        centre, radius = random.uniform(0.3, 0.7, 2), random.uniform(0.08, 0.2)
        inside = np.hypot(rows - centre[0], columns - centre[1]) < radius
        tissue = np.exp(0.5 * light + 0.6 * layers - 1.2 * rows) * np.where(inside, 0.2, 1)
        parts = random.normal(size=(2, size, size))
        echo = np.hypot(*(ndimage.gaussian_filter(part, (size / 200, size / 110)) for part in parts)) * tissue
        grey = np.log1p(9 * echo / echo.mean())
        pictures.append(np.uint8(np.clip(255 * grey / np.percentile(grey, 99.5), 0, 255)))
    return np.stack(pictures)


def resize(image: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((side, side), Image.Resampling.BILINEAR))


def change(image: np.ndarray, kind: str, random: np.random.Generator, lost: float = 0.1) -> np.ndarray:
    """Copy a picture with one change; a crop loses ``lost`` of its width and a little more or less of its height."""
    size = len(image)
    if kind == "resized":
        return resize(resize(image, round(0.7 * size)), size)
    if kind == "gain":
        return np.uint8(np.clip(image * random.uniform(0.75, 1.25) + random.uniform(-15, 15), 0, 255))
    if kind == "calipers":
        marked = image.copy()
        arm = size // 40
        for row, column in random.integers(size // 5, 4 * size // 5, (4, 2)):
            marked[row - arm : row + arm + 1, column] = marked[row, column - arm : column + arm + 1] = 255
        return marked
    if kind == "mirrored":
        return image[:, ::-1].copy()
    if kind == "cropped":
        width, height = (round(size * (1 - lost * random.uniform(*span))) for span in ((1, 1), (0.7, 1.3)))
        top, left = random.integers(0, size - height + 1), random.integers(0, size - width + 1)
        return resize(image[top : top + height, left : left + width], size)
    return image.copy()
