"""Render a scan: pose, anatomy, ageing, disease, then the scanner."""

from dataclasses import dataclass

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage

from workflow_scripts.lib.phantom import fields
from workflow_scripts.lib.phantom.anatomy import TRUTH_REGIONS, Anatomy

# Individual anatomy: (kernel sigma, rms displacement) in mm, half of what made all brains look warped
ANATOMY_SCALES = ((24.0, 1.3), (12.0, 0.8), (6.0, 0.35))
FULL_SCALE = 1000.0  # intensity of white matter before the scanner's gain


@dataclass(frozen=True)
class Factors:
    """What shapes one scan beside the random draws: the planted truth.

    ``brain_age`` in years; ``severity`` of disease 0 to about 1; ``hidden`` is the amplitude of what
    regional features cannot see (texture and shape), about 0 to 1; ``head_size`` is linear, relative to the template.
    """

    brain_age: float
    severity: float
    hidden: float
    head_size: float = 0.97


@dataclass(frozen=True)
class Scanner:
    """A scanner's signature.

    Class means relative to white matter, ``blur`` FWHM in mm, ``noise`` relative to white matter, ``bias`` peak
    log amplitude of the coil field, ``gain``, ``scale`` error of the gradients, ``axes`` storage orientation.
    """

    grey: float
    csf: float
    blur: float
    noise: float
    bias: float
    gain: float
    scale: float
    axes: str


def draw_pose(random: np.random.Generator, scale: float) -> np.ndarray:
    """Draw a head position: 4 x 4 float64, template world to scan world, a similarity transform.

    Rotations up to 12 degrees an axis and shifts up to 10 mm: enough that no two scans overlap
    without registration, as in a scanner with foam pads.
    """
    angles = np.deg2rad(random.uniform(-12, 12, 3))
    cosine, sine = np.cos(angles), np.sin(angles)
    turn_x = np.array([[1, 0, 0], [0, cosine[0], -sine[0]], [0, sine[0], cosine[0]]])
    turn_y = np.array([[cosine[1], 0, sine[1]], [0, 1, 0], [-sine[1], 0, cosine[1]]])
    turn_z = np.array([[cosine[2], -sine[2], 0], [sine[2], cosine[2], 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = scale * turn_z @ turn_y @ turn_x
    pose[:3, 3] = random.uniform(-10, 10, 3)
    return pose


def _native_affine(shape: tuple[int, int, int], spacing: float) -> np.ndarray:
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * spacing for n in shape] + np.array([0.0, -18.0, 18.0])  # centre of the brain
    return affine


def _intensity(parts: torch.Tensor, scanner: Scanner, head: bool, hidden: float) -> torch.Tensor:
    """Mix tissue fractions into a T1-weighted intensity (white matter = 1)."""
    grey, white, csf, skull, scalp, texture, pattern = parts
    image = scanner.grey * grey + white + scanner.csf * csf + 0.8 * texture
    image = image + 0.06 * hidden * pattern * (grey + white)
    if head:
        image = image + 0.12 * skull + 0.95 * scalp
    return image.clamp(min=0)


def _scan(image: np.ndarray, scanner: Scanner, spacing: float, random: np.random.Generator, head: bool) -> np.ndarray:
    """Apply blur, coil field and Rician noise; outside a stripped brain stays exactly zero."""
    inside = image > 0.02
    image = ndimage.gaussian_filter(image, scanner.blur / 2.355 / spacing)
    axes = np.meshgrid(*[np.linspace(-1, 1, n) for n in image.shape], indexing="ij")
    weights = random.uniform(-1, 1, 6)
    terms = [axes[0], axes[1], axes[2], axes[0] ** 2, axes[1] ** 2, axes[2] ** 2]
    field = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    image = image * np.exp(scanner.bias * field / np.abs(field).max())
    real = image + scanner.noise * random.standard_normal(image.shape)
    imaginary = scanner.noise * random.standard_normal(image.shape)
    image = np.hypot(real, imaginary) * FULL_SCALE * scanner.gain
    return image if head else image * inside


def render(
    anatomy: Anatomy,
    factors: Factors,
    scanner: Scanner,
    spacing: float,
    person: np.random.Generator,
    visit: np.random.Generator,
    head: bool = False,
) -> tuple[nib.Nifti1Image, dict]:
    """Render one scan of one person.

    Parameters
    ----------
    anatomy : Anatomy
    factors : Factors
    scanner : Scanner
    spacing : float
        Voxel size of the scan in mm.
    person, visit : numpy.random.Generator
        The first draws what stays (anatomy), the second what changes from visit to visit.
    head : bool
        Give skull and scalp too; else the brain alone.

    Returns
    -------
    image : nibabel.Nifti1Image
        int16, in the scanner's storage orientation.
    truth : dict
        ``pose`` (4 x 4, template world to scan world), ``volume_R`` in mm^3 and ``change_R`` (planted log
        volume change by age and disease) for each truth region R.
    """
    grid = anatomy.grid
    own = fields.random_velocity(grid.shape, grid.spacing, list(ANATOMY_SCALES), person)
    own = fields.exponential(fields.without_pose(-own, anatomy.brain), steps=4)
    rates = {"ageing": (factors.brain_age - 60) / 10, "disease": factors.severity, "shape": 0.35 * factors.hidden}
    change = fields.exponential(-sum(rates[name] * anatomy.velocities[name] for name in rates), steps=5)
    pose = draw_pose(visit, factors.head_size * scanner.scale)
    shape = tuple(round(n / spacing) for n in (212, 248, 212))
    affine = _native_affine(shape, spacing)
    to_grid = np.linalg.inv(grid.affine) @ np.linalg.inv(pose) @ affine
    index = fields.identity(shape)
    points = torch.einsum("ij,jxyz->ixyz", torch.from_numpy(to_grid[:3, :3].astype(np.float32)), index)
    points = points + torch.from_numpy(to_grid[:3, 3].astype(np.float32)).view(3, 1, 1, 1)
    points = points + fields.sample(own, points)
    before = fields.sample(anatomy.truth, points).sum((1, 2, 3))
    points = points + fields.sample(change, points)
    after = fields.sample(anatomy.truth, points).sum((1, 2, 3))
    channels = torch.cat([anatomy.tissue, anatomy.texture[None], anatomy.hidden[None]])
    parts = fields.sample(channels, points, padding="zeros")
    data = _scan(_intensity(parts, scanner, head, factors.hidden).numpy(), scanner, spacing, visit, head)
    image = nib.Nifti1Image(np.clip(data, 0, 32767).astype(np.int16), affine)
    image.set_qform(affine, code=1)
    codes = nib.orientations.axcodes2ornt(scanner.axes)
    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), codes))
    truth = {"pose": pose}
    for region, old, new in zip(TRUTH_REGIONS, before.tolist(), after.tolist(), strict=True):
        truth[f"volume_{region}"] = new * spacing**3
        truth[f"change_{region}"] = float(np.log(new / old))
    return image, truth
