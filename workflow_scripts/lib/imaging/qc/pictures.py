"""The picture of a registered brain that a person looks at: six slices with the template's outline."""

import functools
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.grid import Grid

# MNI mm of two slices a plane: a hemisphere's hippocampus and the midline's brainstem and callosum; hippocampus and
# occipital horns; cerebellum and basal ganglia
SLICES_MM = {0: (-26, 4), 1: (-18, -50), 2: (-26, 8)}
HEIGHT = 235  # pixels of a row
PAD_MM = 16  # around the template's brain, so that a brain that reaches too far shows
OUTLINE, INNER = (255, 176, 0), (100, 190, 255)  # orange and light blue: told apart also without red and green
LETTER = 14
MOST_BYTES = 40_000  # thousands of pictures stay a folder that can be copied


def draw(volume: np.ndarray, spacing: float, inner: np.ndarray | None = None) -> Image.Image:
    """Draw two sagittal, two coronal and two axial slices with the template brain's outline.

    Parameters
    ----------
    volume : numpy.ndarray
        float32, the template grid's shape: a registered brain, zero outside.
    spacing : float
        The grid's voxel size in mm.
    inner : numpy.ndarray, optional
        bool or integer labels on the same grid; borders between their values are drawn in blue.

    Returns
    -------
    PIL.Image.Image
        RGB, about 710 x 470 pixels. The subject's left is on the left.
    """
    _, mask, _ = template(spacing)
    grid = Grid(spacing)
    bright = volume[volume > 0]
    level = max(float(np.quantile(bright, 0.995)) if bright.size else 1.0, 1e-6)
    window = _window(spacing)
    rows = []
    for pick in (0, 1):
        tiles = []
        for axis, places in SLICES_MM.items():
            index = round((places[pick] - grid.affine[axis, 3]) / spacing)
            cut = tuple(part for n, part in enumerate(window) if n != axis)
            grey = np.clip(np.take(volume, index, axis)[cut] / level, 0, 1)
            borders = [(np.take(mask, index, axis)[cut], OUTLINE)]
            if inner is not None:
                borders.insert(0, (np.take(inner, index, axis)[cut], INNER))
            tiles.append(_tile(grey, borders, axis))
        rows.append(np.concatenate(tiles, axis=1))
    return Image.fromarray(np.concatenate(rows))


def save(image: Image.Image, path: str | Path) -> None:
    """Write a picture as JPEG of at most about 40 kB: the better the quality, the less noise there is to store."""
    for quality in (80, 72, 64, 56, 48, 40, 32):
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality, optimize=True)
        if content.tell() <= MOST_BYTES:
            break
    Path(path).write_bytes(content.getvalue())


@functools.cache
def _window(spacing: float) -> tuple[slice, slice, slice]:
    """Give the template brain's bounding box and a margin."""
    _, mask, _ = template(spacing)
    pad = round(PAD_MM / spacing)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(slice(max(0, s.start - pad), min(n, s.stop + pad)) for s, n in zip(box, mask.shape, strict=True))


def _tile(grey: np.ndarray, borders: list[tuple[np.ndarray, tuple[int, int, int]]], axis: int) -> np.ndarray:
    """Draw one slice, up on top; uint8, HEIGHT x W x 3."""
    size = (round(HEIGHT * grey.shape[0] / grey.shape[1]), HEIGHT)
    # upright: the second axis of a slice runs up
    shown = (grey.T[::-1] * 255).astype(np.uint8)
    tile = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BICUBIC))
    colour = np.stack([tile] * 3, axis=-1)
    for labels, rgb in borders:
        for value in np.unique(labels)[1:]:
            colour[_edge((labels == value).T[::-1], size)] = rgb
    image = Image.fromarray(colour)
    if axis != 0:  # the world's x runs to the subject's right
        pen, font = ImageDraw.Draw(image), ImageFont.load_default(LETTER)
        pen.text((5, 3), "L", fill=(220, 220, 220), font=font)
        pen.text((size[0] - 14, 3), "R", fill=(220, 220, 220), font=font)
    return np.asarray(image)


def _edge(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Give a smooth one-pixel border of a mask that is drawn larger."""
    large = Image.fromarray(mask.astype(np.float32), mode="F").resize(size, Image.Resampling.BICUBIC)
    inside = np.asarray(large) > 0.5
    return inside ^ ndimage.binary_erosion(inside, border_value=1)
