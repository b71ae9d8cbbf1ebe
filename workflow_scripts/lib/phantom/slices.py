"""Knee-MR-like sagittal slices: bones, cartilage, fat, tendons, and a cruciate ligament that is whole or has a gap.

The slices of an exam share its anatomy and so look alike; only the ligament's gap tells a torn one.
"""

import dataclasses
import math

import numpy as np

from workflow_scripts.lib.phantom.speckle import blur, smooth_field, soft_step

OVERSIZE = 1.5
SOFT = 0.008  # width of borders, a share of the side
NOISE = 0.035  # of the two channels of the receiver, relative to the brightest fat
LEVELS = {"fat": 0.80, "muscle": 0.36, "marrow": 0.66, "cortex": 0.08, "cartilage": 0.52, "fluid": 0.58, "tendon": 0.10}


@dataclasses.dataclass(frozen=True)
class Knee:
    """What the slices of an exam share, in shares of the picture's side."""

    warp: np.ndarray  # displacement of rows and columns, 2 x rows x columns
    condyle: float  # radius of the femur's end
    plateau: float  # row of the tibia's top
    angle: float  # of the ligament, radians from the horizontal
    length: float
    thickness: float
    gap_at: float  # where along the ligament a tear lies, 0 to 1
    shading: np.ndarray  # sensitivity of the coil times brightness
    marrow: np.ndarray  # texture


def draw_knee(size: int, random: np.random.Generator) -> Knee:
    """Draw the anatomy of an exam, for pictures 1.5 times larger than the study's images of ``size`` pixels."""
    side = round(OVERSIZE * size)
    shape = (side, side)
    warp = np.stack([np.float32(0.012) * smooth_field(shape, 0.12 * side, 0.12 * side, random) for _ in range(2)])
    return Knee(
        warp=warp,
        condyle=random.uniform(0.20, 0.24),
        plateau=random.uniform(0.63, 0.67),
        angle=random.uniform(0.70, 0.95),
        length=random.uniform(0.25, 0.30),
        thickness=random.uniform(0.022, 0.030),
        gap_at=random.uniform(0.30, 0.70),
        shading=random.uniform(0.85, 1.10) * (1 + 0.12 * smooth_field(shape, 0.3 * side, 0.3 * side, random)),
        marrow=smooth_field(shape, 0.02 * side, 0.03 * side, random),
    )


def ellipse(x: np.ndarray, y: np.ndarray, centre: tuple, radii: tuple, turn: float = 0.0) -> np.ndarray:
    """Return how far inside an ellipse points lie (about, in units of x); below 0 outside."""
    x, y = x - centre[0], y - centre[1]
    if turn:
        x, y = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    return (1 - np.sqrt((x / radii[0]) ** 2 + (y / radii[1]) ** 2)) * min(radii)


def band(x: np.ndarray, y: np.ndarray, start: tuple, end: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance of points to a segment, and their place along it (0 to 1)."""
    right, down = end[0] - start[0], end[1] - start[1]
    x, y = x - start[0], y - start[1]
    place = np.clip((x * right + y * down) / (right**2 + down**2), 0, 1)
    return np.sqrt((x - place * right) ** 2 + (y - place * down) ** 2), place


def _bones(image: np.ndarray, x: np.ndarray, y: np.ndarray, knee: Knee, depth: float) -> np.ndarray:
    """Paint femur, tibia and patella, each with its cortex, and the cartilage between."""
    radius = knee.condyle * (1 - 0.12 * depth**2)
    femur = np.maximum(
        ellipse(x, y, (0.50, knee.plateau - 0.035 - radius), (1.15 * radius, radius)),
        np.minimum(0.135 - np.abs(x - 0.46), knee.plateau - 0.10 - radius - y),
    )
    tibia = np.minimum(0.25 - 0.25 * np.clip(y - knee.plateau, 0, 0.3) - np.abs(x - 0.52), y - knee.plateau)
    patella = ellipse(x, y, (0.165, 0.36), (0.055, 0.12), 0.12)
    for bone in (femur, tibia, patella):
        for grow, level in ((0.024, LEVELS["cartilage"]), (0.010, LEVELS["cortex"]), (0.0, LEVELS["marrow"])):
            inside = soft_step(bone + grow, SOFT / 2)
            texture = 0.035 * knee.marrow if level == LEVELS["marrow"] else 0.0
            image = image * (1 - inside) + (level + texture) * inside
    return image


def _soft_tissue(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Paint the limb's outline, muscle, fat pad, tendons and menisci's surroundings."""
    limb = np.minimum(x - 0.045 - 0.035 * np.sin(5 * y), 0.95 - 0.03 * np.cos(7 * y) - x)
    image = LEVELS["fat"] * soft_step(limb, SOFT)
    muscle = np.minimum(x - 0.70, np.minimum(0.90 - x, np.abs(y - 0.52) - 0.08))
    front = ellipse(x, y, (0.27, 0.10), (0.07, 0.22), -0.1)
    for part in (muscle, front):
        inside = soft_step(part, 3 * SOFT)
        image = image * (1 - inside) + LEVELS["muscle"] * inside
    for start, end in (((0.15, 0.02), (0.13, 0.25)), ((0.14, 0.48), (0.28, 0.80))):
        distance, _ = band(x, y, start, end)
        inside = soft_step(0.018 - distance, SOFT)
        image = image * (1 - inside) + LEVELS["tendon"] * inside
    return image


def render(knee: Knee, gap: float, depth: float, random: np.random.Generator) -> tuple[np.ndarray, dict]:
    """Render one slice of an exam.

    Parameters
    ----------
    knee : Knee
        From :func:`draw_knee`.
    gap : float
        Share of the ligament's darkness that its gap takes away: 0 whole, 1 torn through.
    depth : float
        Place of the slice, -1 to 1; the ligament is seen best at 0.
    random : numpy.random.Generator
        Of the slice: a small shift, and noise.

    Returns
    -------
    picture : numpy.ndarray
        uint8, side x side.
    where : dict
        ``centre_x``, ``centre_y``, ``radius``: middle and half length of the ligament, shares of the side.
    """
    shape = knee.marrow.shape
    side = shape[0]
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    right, down = random.normal(0, 0.006), random.normal(0, 0.006)
    y = rows + knee.warp[0] + (down + 0.008 * depth)
    x = columns + knee.warp[1] + right
    image = _bones(_soft_tissue(x, y), x, y, knee, depth)
    # the notch between the condyles, where the ligament runs from the femur's back to the front of the tibia
    middle = (0.53, knee.plateau - 0.115)
    half = (knee.length / 2 * math.cos(knee.angle), -knee.length / 2 * math.sin(knee.angle))
    notch = soft_step(ellipse(x, y, middle, (0.135, 0.112)), 2 * SOFT)
    image = image * (1 - notch) + (LEVELS["fluid"] + 0.02 * knee.marrow) * notch
    ends = [(middle[0] + sign * half[0], middle[1] + sign * half[1]) for sign in (-1, 1)]
    distance, place = band(x, y, *ends)
    whole = 1 - gap * np.exp(-(((place - knee.gap_at) / 0.16) ** 2) / 2)
    inside = soft_step(knee.thickness - distance, SOFT) * whole * (1 - 0.3 * depth**2)
    image = image * (1 - inside) + LEVELS["tendon"] * inside
    image = blur(knee.shading * image, 0.6)
    noisy = np.hypot(
        image + NOISE * random.standard_normal(shape, np.float32), NOISE * random.standard_normal(shape, np.float32)
    )
    picture = np.clip(np.rint(235 * noisy), 0, 255).astype(np.uint8)
    return picture, {"centre_x": middle[0], "centre_y": middle[1], "radius": knee.length / 2}
