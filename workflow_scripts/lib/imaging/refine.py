"""Bring a linear registration to the optimum of mutual information, with 7 or 9 parameters.

ANTs finds the basin; its sampled metric and its stopping rule leave a few tenths of a millimetre that change with grid
and sampling. Here the metric (Mattes et al. 2003, IEEE TMI 22:120) is taken at the points of a tilted lattice, which
never falls in step with the voxels of an upright brain and so has no ripples at whole voxels, and the optimum is found
without gradients by COBYQA (Ragonneau 2022, PhD thesis, The Hong Kong Polytechnic University).
"""

import functools

import nibabel as nib
import numpy as np
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from workflow_scripts.lib.imaging import packaged

BINS = 32  # as ANTs has by default
TILT_DEGREES = (11.0, -7.0, 13.0)  # any angles that are far from whole parts of a turn
MARGIN_MM = 4.0
RADIUS_MM = 60.0  # of a brain: turns angles and logarithms of scales into the mm by which they move its surface
FIRST_STEP_MM, LAST_STEP_MM = 1.0, 0.01


@functools.cache
def sample_template(spacing: float, resolution: float) -> tuple[np.ndarray, np.ndarray]:
    """Sample the template brain at the points of a tilted lattice in the box around it.

    Parameters
    ----------
    spacing : float
        Of the lattice, mm.
    resolution : float
        To which the template of 1 mm is averaged before, mm.

    Returns
    -------
    points : float64, n x 3, world mm; values : int64, n, bins 0 to 31.
    """
    image = packaged.mni_map("t1")
    data = np.asarray(image.dataobj, dtype=np.float32) / 255
    brain = nib.affines.apply_affine(image.affine, np.argwhere(data > 0.12))
    data = ndimage.gaussian_filter(data, np.sqrt(max(resolution**2 - 1, 0) / 12))
    low, high = brain.min(axis=0) - MARGIN_MM, brain.max(axis=0) + MARGIN_MM
    turn = Rotation.from_euler("xyz", TILT_DEGREES, degrees=True).as_matrix()
    half = np.linalg.norm(high - low) / 2
    reach = np.arange(-half, half, spacing)
    layers = []
    for first in reach:  # one layer at a time: the whole cube around the box is six times the box
        layer = np.stack(np.meshgrid([first], reach, reach, indexing="ij"), axis=-1).reshape(-1, 3) @ turn.T
        layer += (low + high) / 2
        layers.append(layer[np.all((layer >= low) & (layer <= high), axis=1)])
    points = np.concatenate(layers)
    values = ndimage.map_coordinates(data, nib.affines.apply_affine(np.linalg.inv(image.affine), points).T, order=1)
    return points, np.minimum(values / values.max() * BINS, BINS - 1).astype(np.int64)


def mutual_information(fixed: np.ndarray, moving: np.ndarray) -> float:
    """Estimate the mutual information of two samples with cubic B-spline windows.

    Parameters
    ----------
    fixed : numpy.ndarray
        n bins, 0 to 31.
    moving : numpy.ndarray
        n places on the axis of bins, 1 to 29: the windows reach one bin down and two up.

    Returns
    -------
    float
        In nats.
    """
    below = moving.astype(np.int64)
    part = moving - below
    windows = ((1 - part) ** 3, 3 * part**3 - 6 * part**2 + 4, -3 * part**3 + 3 * part**2 + 3 * part + 1, part**3)
    joint, place = np.zeros(BINS * BINS), fixed * BINS + below - 1
    for step, window in enumerate(windows):
        joint += np.bincount(place + step, window / 6, BINS * BINS)
    joint = joint.reshape(BINS, BINS) / len(fixed)
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / independent[there])).sum())


def moved(values: np.ndarray, start: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Change a similarity by parameters in mm: three of rotation, three of shift, one or three of scale.

    Parameters
    ----------
    values : numpy.ndarray
        7 or 9 numbers; zeros give ``start`` back.
    start : numpy.ndarray
        4 x 4, template world to scan world.
    centre : numpy.ndarray
        Point of the template's world around which it turns, mm.
    """
    scales = np.cbrt(np.linalg.det(start[:3, :3])) * np.exp(values[6:] / RADIUS_MM)
    turn = Rotation.from_rotvec(values[:3] / RADIUS_MM).as_matrix() @ start[:3, :3]
    matrix = np.eye(4)
    # scaled along the template's axes first, then turned: no skew
    matrix[:3, :3] = turn / np.cbrt(np.linalg.det(start[:3, :3])) * scales
    matrix[:3, 3] = start[:3, :3] @ centre + start[:3, 3] + values[3:6] - matrix[:3, :3] @ centre
    return matrix


def refine(
    brain: np.ndarray, affine: np.ndarray, start: np.ndarray, spacing: float, resolution: float, parameters: int
) -> np.ndarray:
    """Optimise a similarity further.

    Parameters
    ----------
    brain : numpy.ndarray
        float32, X x Y x Z, zero outside the brain.
    affine : numpy.ndarray
        4 x 4, voxel to scan world.
    start : numpy.ndarray
        4 x 4 similarity, template world to scan world, mm.
    spacing, resolution : float
        As in :func:`sample_template`.
    parameters : {7, 9}
        Rotation and shift, with one scale or one along each axis of the template.

    Returns
    -------
    numpy.ndarray
        4 x 4, template world to scan world, mm; the same to the bit for the same input.
    """
    points, fixed = sample_template(spacing, resolution)
    centre, to_voxel = points.mean(axis=0), np.linalg.inv(affine)
    top = np.quantile(brain[brain > 0], 0.999)  # a few bright vessels must not squeeze the tissues into few bins
    levels = 1 + np.clip(brain / top, 0, 1) * (BINS - 4)

    def loss(values: np.ndarray, start: np.ndarray) -> float:
        places = nib.affines.apply_affine(to_voxel @ moved(values, start, centre), points)
        return -mutual_information(fixed, ndimage.map_coordinates(levels, places.T, order=1, cval=1.0))

    steps = {"initial_tr_radius": FIRST_STEP_MM, "final_tr_radius": LAST_STEP_MM, "maxfev": 500}
    # the similarity's optimum first: three scales have other optima near a start that is off
    for count in (7, 9) if parameters == 9 else (7,):
        found = optimize.minimize(loss, np.zeros(count), args=(start,), method="COBYQA", options=steps)
        start = moved(found.x, start, centre)
    return start
