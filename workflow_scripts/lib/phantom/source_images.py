"""Images to pretrain on: `textures`, which are close to the lesions' cue, and `shapes`, which are far from it."""

import math

import numpy as np

from workflow_scripts.lib.phantom.lesions import ATTENUATION_DB, OVERSIZE, RANGE_DB, TISSUE_RATIO
from workflow_scripts.lib.phantom.speckle import cell, complex_speckle, compress, mix, smooth_field, soft_step
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

# classes of textures: log(width / height) of the grain at two sizes
TEXTURE_RATIO = 1.1
TEXTURE_SIZES = (0.75, 1.3)
OUTSIDE = (0.45, 0.75)  # share of the frame that is none of the nodes'
SHAPES = ("disc", "square", "triangle", "ring", "cross", "stripes", "star", "crescent")


def texture_classes(count: int) -> list[tuple[str, float, float]]:
    """List ``count`` classes of texture: name, log ratio of width to height, size relative to the lesions' grain."""
    ratios = np.linspace(TEXTURE_RATIO, -TEXTURE_RATIO, (count + 1) // 2)
    both = [(ratio, size) for ratio in ratios for size in TEXTURE_SIZES]
    return [(f"grain{index}", float(ratio), size) for index, (ratio, size) in enumerate(both[:count])]


def render_texture(size: int, log_ratio: float, grain: float, class_grain: float, keys: tuple) -> np.ndarray:
    """Render tissue with echo-poor nodes over a good part of the frame, whose grain is the class.

    Parameters
    ----------
    size : int
        Side of the study's images; the picture is 1.5 times larger.
    log_ratio : float
        Log(width / height) of the grain in the nodes.
    grain, class_grain : float
        Size of the grain of tissue and of the nodes (see :func:`workflow_scripts.lib.phantom.lesions.render`).
    keys : tuple
        Seed and names.

    Returns
    -------
    numpy.ndarray
        uint8, side x side.
    """
    random = generator(*keys)
    side = round(OVERSIZE * size)
    shape = (side, side)
    depth = np.mgrid[0:side, 0:side][0].astype(np.float32) / side
    level = random.uniform(-26, -14) - ATTENUATION_DB * random.uniform(0, 1) * depth
    level = level + 3.0 * smooth_field(shape, 0.10 * side, 0.16 * side, random)
    nodes = smooth_field(shape, 0.11 * side, 0.14 * side, random)
    inside = soft_step(nodes - np.quantile(nodes, random.uniform(*OUTSIDE)), 0.05)
    level = level - random.uniform(4, 14) * inside
    tissue = complex_speckle(shape, *cell(grain * OVERSIZE, TISSUE_RATIO), random)
    field = mix(tissue, complex_speckle(shape, *cell(class_grain * OVERSIZE, log_ratio), random), inside)
    return compress(field, level, RANGE_DB)


def _inside(kind: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return how far inside a shape of radius 1 about the origin points lie; below 0 outside."""
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    if kind == "disc":
        return 1 - radius
    if kind == "square":
        return 0.85 - np.maximum(np.abs(x), np.abs(y))
    if kind == "triangle":
        return np.minimum(0.6 + y, np.minimum(0.6 - 0.5 * y - 0.866 * x, 0.6 - 0.5 * y + 0.866 * x))
    if kind == "ring":
        return 0.22 - np.abs(radius - 0.78)
    if kind == "cross":
        bars = np.maximum(0.28 - np.abs(x), 0.28 - np.abs(y))
        return np.minimum(bars, 1 - np.maximum(np.abs(x), np.abs(y)))
    if kind == "stripes":
        return np.minimum(0.14 - np.abs((x + 0.25) % 0.5 - 0.25), 1 - radius)
    if kind == "star":
        return 0.72 + 0.28 * np.cos(5 * angle) - radius
    return np.minimum(1 - radius, np.hypot(x - 0.45, y) - 0.75)  # crescent


def render_shapes(size: int, kind: str, keys: tuple) -> np.ndarray:
    """Render a scene of a few things of one shape before a shaded background, with the 1/f noise of natural pictures.

    Parameters
    ----------
    size : int
        Side of the study's images; the picture is 1.5 times larger.
    kind : str
        One of :data:`SHAPES`.
    keys : tuple
        Seed and names.

    Returns
    -------
    numpy.ndarray
        uint8, side x side.
    """
    random = generator(*keys)
    side = round(OVERSIZE * size)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    slopes = random.normal(0, 50), random.normal(0, 50)
    image = random.uniform(70, 180) + slopes[0] * (rows - 0.5) + slopes[1] * (columns - 0.5)
    for octave in range(4):
        width = 0.16 * side / 2**octave
        image += 14 / 1.6**octave * smooth_field((side, side), width, width, random)
    for _ in range(random.integers(1, 4)):
        column, row = random.uniform(0.2, 0.8), random.uniform(0.2, 0.8)
        radius, turn = random.uniform(0.10, 0.28), random.uniform(0, 2 * math.pi)
        x, y = (columns - column) / radius, (rows - row) / radius
        x, y = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
        inside = soft_step(_inside(kind, x, y), 0.02)
        shade = random.uniform(20, 235) + random.uniform(-30, 30) * x
        image = image * (1 - inside) + shade * inside
    return np.clip(np.rint(image + 4 * random.standard_normal(image.shape, np.float32)), 0, 255).astype(np.uint8)


def shape_classes(count: int) -> list[str]:
    """List the first ``count`` shapes; :class:`StudyError` if there are fewer."""
    if count > len(SHAPES):
        raise StudyError(f"config phantom.images.shapes.classes: found {count}, expected at most {len(SHAPES)}.")
    return list(SHAPES[:count])
