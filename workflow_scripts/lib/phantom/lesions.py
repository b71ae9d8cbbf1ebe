"""Ultrasound-like images of layered tissue with an echo-poor lesion whose grain, and nothing else, tells its class.

Benign lesions have speckle drawn out along the probe, malignant ones along depth (a mirror image keeps either).
Place, size, border, brightness, and the echo behind the lesion are drawn without regard to the class.
"""

import dataclasses
import math

import numpy as np

from workflow_scripts.lib.phantom.speckle import (
    cell,
    complex_speckle,
    compress,
    curve,
    mix,
    smooth_field,
    soft_step,
)
from workflow_scripts.lib.study.seeds import generator

# the native picture is this much larger than the study's, and as wide as it is high times one of these
OVERSIZE = 1.5
SHAPES = (1.0, 1.0, 1.18, 0.9)
RANGE_DB = 60.0
# layers from the probe downwards: where each ends (range, share of the depth), and its backscatter (dB below white)
LAYERS = (
    ((0.03, 0.05), -8.0),
    ((0.18, 0.30), -25.0),
    ((0.55, 0.70), -15.0),
    ((0.78, 0.88), -27.0),
    ((1.50, 1.60), -33.0),
)
ATTENUATION_DB = 11.0  # over the whole depth, beside what the scanner makes up for
# log(width / height) of the grain of tissue: as far from benign as from malignant
TISSUE_RATIO = 0.0
LESION_DB = (-40.0, -35.0)
BEHIND_DB = (-7.0, 7.0)  # shadow or enhancement behind the lesion


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A lesion in shares of the picture's height: centre, half axes, turn (radians), and its border's waves."""

    x: float
    y: float
    half_width: float
    half_height: float
    turn: float
    waves: tuple[tuple[float, float], ...]  # height and phase of the border's waves 2, 3, ...

    def distance(self, shape: tuple[int, int]) -> np.ndarray:
        """Return how far inside the border each pixel lies, as a share of the picture's height; below 0 outside."""
        height, width = shape
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
        x, y = x - self.x * width / height, y - self.y
        cosine, sine = math.cos(self.turn), math.sin(self.turn)
        along, across = cosine * x + sine * y, cosine * y - sine * x
        radius = np.hypot(along / self.half_width, across / self.half_height)
        angle = np.arctan2(across / self.half_height, along / self.half_width)
        border = 1 + sum(a * np.cos(k * angle + phase) for k, (a, phase) in enumerate(self.waves, start=2))
        return (border - radius) * (self.half_width * self.half_height) ** 0.5


def draw_lesion(patient: np.random.Generator, own: np.random.Generator) -> Lesion:
    """Draw a patient's lesion (size and border) and where and how one image shows it."""
    half_width = patient.uniform(0.20, 0.29)
    half_height = half_width * patient.uniform(0.62, 0.9)
    waves = tuple((patient.uniform(0.02, 0.30 / k), patient.uniform(0, 2 * np.pi)) for k in range(2, 8))
    scale = own.uniform(0.88, 1.12)
    return Lesion(
        x=own.uniform(0.34, 0.66),
        y=own.uniform(0.36, 0.60),
        half_width=half_width * scale,
        half_height=half_height * scale,
        turn=own.uniform(-0.3, 0.3),
        waves=waves,
    )


def native_shape(size: int, patient: np.random.Generator) -> tuple[int, int]:
    """Draw the rows and columns of a patient's pictures, about 1.5 times the study's size."""
    height = round(OVERSIZE * size)
    return height, round(height * patient.choice(SHAPES))


def tissue(shape: tuple[int, int], patient: np.random.Generator) -> np.ndarray:
    """Draw the backscatter of layered tissue in dB below white: skin, fat, gland with strands, muscle, and below.

    Returns
    -------
    numpy.ndarray
        float32 of ``shape``.
    """
    height, width = shape
    depth = np.mgrid[0:height, 0:width][0].astype(np.float32) / height
    level = np.full(shape, LAYERS[0][1], np.float32)
    strength = patient.uniform(6.0, 10.0)
    for index, ((low, high), _) in enumerate(LAYERS[:-1]):
        bend = 0.004 if index == 0 else 0.03
        edge = patient.uniform(low, high) + curve(width, bend, patient)[None, :]
        below = soft_step(depth - edge, 0.004 if index == 0 else 0.012)
        level = level * (1 - below) + (LAYERS[index + 1][1] + patient.normal(0, 1.5)) * below
        level += strength * 0.7 * np.exp(-(((depth - edge) / 0.007) ** 2))
    strands = smooth_field(shape, 0.008 * height, 0.11 * height, patient)
    clumps = smooth_field(shape, 0.03 * height, 0.07 * height, patient)
    level += strength * np.clip(strands - 0.9, 0, 1.5) + 2.6 * clumps
    return level - ATTENUATION_DB * depth


def render(
    size: int, cue: float | None, grain: float, patient_keys: tuple, image_keys: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Render one image of a patient.

    Parameters
    ----------
    size : int
        Side of the study's images in pixels; the picture is about 1.5 times larger.
    cue : float or None
        Log ratio of the width to the height of the grain in the lesion; None for tissue without lesion.
    grain : float
        Geometric mean of the standard deviations of the resolution cell, in pixels of the study's images.
    patient_keys, image_keys : tuple
        Seed and names for what the images of a patient share (tissue, lesion), and for what they do not.

    Returns
    -------
    picture : numpy.ndarray
        uint8, rows x columns.
    mask : numpy.ndarray
        bool of the same shape, True inside the lesion.
    """
    shared, own = generator(*patient_keys), generator(*image_keys)
    shape = native_shape(size, shared)
    height, width = shape
    # an image sees a part of the patient's tissue
    wide = tissue((height, round(1.4 * width)), shared)
    start = own.integers(0, wide.shape[1] - width + 1)
    level = wide[:, start : start + width] + own.normal(0, 1.0)
    field = complex_speckle(shape, *cell(grain * OVERSIZE, TISSUE_RATIO), own)
    lesion = draw_lesion(shared, own)
    distance = lesion.distance(shape)
    if cue is None:
        return compress(field, level, RANGE_DB), np.zeros(shape, bool)
    inside = soft_step(distance, 0.006)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    behind = soft_step(y - lesion.y, 0.05)
    behind *= soft_step(0.8 * lesion.half_width - np.abs(x - lesion.x * width / height), 0.02)
    level = level + shared.uniform(*BEHIND_DB) * behind
    own_level = shared.uniform(*LESION_DB) + 1.5 * smooth_field(shape, 0.05 * height, 0.05 * height, own)
    level = level * (1 - inside) + own_level * inside
    field = mix(field, complex_speckle(shape, *cell(grain * OVERSIZE, cue), own), inside)
    return compress(field, level, RANGE_DB), distance > 0


def measure(mask: np.ndarray) -> dict[str, float]:
    """Measure a mask: its centre (shares of width and height), and the radius of a disc as large (share of width)."""
    if not mask.any():
        return {"centre_x": np.nan, "centre_y": np.nan, "radius": np.nan}
    rows, columns = mask.nonzero()
    return {
        "centre_x": (columns.mean() + 0.5) / mask.shape[1],
        "centre_y": (rows.mean() + 0.5) / mask.shape[0],
        "radius": np.sqrt(mask.sum() / np.pi) / mask.shape[1],
    }
