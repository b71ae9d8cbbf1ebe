"""Flip, turn, shift, scale and shear images: one affine grid for a batch, drawn by image and epoch.

A view depends on nothing but (seed of the study, dataset, image, epoch): not on the batch, the fit or the job. So
views of frozen layers can be computed once, and are exactly those that would have been drawn afresh.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class Moves:
    """How far images are moved.

    Attributes
    ----------
    flip : float
        Probability that left and right are exchanged.
    rotation_degrees : float
        Angles are uniform up to this, either way.
    shift : float
        Shifts along both axes are uniform up to this share of the side.
    scale : float
        Factors are uniform in 1 - scale to 1 + scale.
    shear_degrees : float
        Angles of the shear along x are uniform up to this. (The published 0.1 is of degrees: nothing.)
    fill : float
        Grey value, 0 to 255, of what comes in from outside.
    """

    flip: float = 0.5
    rotation_degrees: float = 10.0
    shift: float = 0.1
    scale: float = 0.1
    shear_degrees: float = 0.1
    fill: float = 128.0

    def __post_init__(self):
        if not (0 <= self.flip <= 1 and 0 <= self.scale < 1 and 0 <= self.shear_degrees < 90 and 0 <= self.fill <= 255):
            raise StudyError(
                "radiology.augmentation: flip must lie in 0 to 1, scale in 0 to below 1, shear_degrees in 0 to below "
                f"90, fill in 0 to 255; found {self.flip}, {self.scale}, {self.shear_degrees}, {self.fill}"
            )
        if self.rotation_degrees < 0 or self.shift < 0:
            raise StudyError(
                "radiology.augmentation: rotation_degrees and shift must be 0 or above; found "
                f"{self.rotation_degrees}, {self.shift}"
            )

    @property
    def only_flips(self) -> bool:
        """Whether pixels keep their grid, so that nothing has to be interpolated."""
        return not (self.rotation_degrees or self.shift or self.scale or self.shear_degrees)


def draw(moves: Moves, images: Sequence[str], epoch: int, seed: int, dataset: str) -> np.ndarray:
    """Draw how each image is moved in an epoch.

    Parameters
    ----------
    moves : Moves
    images : sequence of str
        Ids.
    epoch : int
        Counted from 0.
    seed : int
        Seed of the study.
    dataset : str

    Returns
    -------
    numpy.ndarray
        (images, 6) float64: flip (-1 or 1), angle and shear in radians, factor, shift along x and y as a share of
        the side.
    """
    units = np.array([seeds.generator(seed, "augment", dataset, image, epoch).random(6) for image in images])
    units = units.reshape(-1, 6)
    signed = 2 * units - 1
    columns = (
        np.where(units[:, 0] < moves.flip, -1.0, 1.0),
        np.radians(moves.rotation_degrees) * signed[:, 1],
        np.radians(moves.shear_degrees) * signed[:, 2],
        1 + moves.scale * signed[:, 3],
        moves.shift * signed[:, 4],
        moves.shift * signed[:, 5],
    )
    return np.stack(columns, axis=1)


def matrices(drawn: np.ndarray) -> np.ndarray:
    r"""Turn moves into matrices that find, for a place of the result, its place in the image.

    An image is flipped, sheared along x, scaled and turned about its centre, then shifted:
    :math:`p' = R(\alpha)\, c\, H(\beta)\, F\, p + t`. What is given is the inverse, in units where the image spans -1
    to 1 along both axes.

    Parameters
    ----------
    drawn : numpy.ndarray
        (n, 6), see :func:`draw`.

    Returns
    -------
    numpy.ndarray
        (n, 2, 3) float64.
    """
    flip, angle, shear, factor, right, down = np.moveaxis(np.asarray(drawn, dtype=np.float64), 1, 0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    lean = np.array([[flip, np.tan(shear)], [np.zeros_like(flip), np.ones_like(flip)]])
    forward = np.moveaxis(np.einsum("ijn,jkn->ikn", turn, lean) * factor, 2, 0)
    back = np.linalg.inv(forward)
    offset = -np.einsum("nij,nj->ni", back, 2 * np.stack([right, down], axis=1))
    return np.concatenate([back, offset[:, :, None]], axis=2)


def apply(images: torch.Tensor, drawn: np.ndarray, moves: Moves) -> torch.Tensor:
    """Move a batch of images, all of it at once.

    Parameters
    ----------
    images : torch.Tensor
        (B, C, S, S), uint8 or float32 from 0 to 255, on any device.
    drawn : numpy.ndarray
        (B, 6), see :func:`draw`.
    moves : Moves
        Tells ``fill``.

    Returns
    -------
    torch.Tensor
        (B, C, S, S) float32 from 0 to 255. Values between pixels are interpolated linearly; beyond the outermost pixels
        the image fades into the fill. Where only flips are drawn pixels are copied.
    """
    images = images.float()
    if moves.only_flips:
        flipped = torch.as_tensor(drawn[:, 0] < 0).to(images.device)
        return torch.where(flipped[:, None, None, None], images.flip(-1), images)
    theta = torch.from_numpy(matrices(drawn)).to(images.device, torch.float32)
    places = _places(images.shape[-1], images.device)
    grid = (places @ theta.transpose(1, 2)).view(len(images), images.shape[-1], images.shape[-1], 2)
    # outside is 0 for grid_sample; the fill is 0 once it has been taken away
    moved = functional.grid_sample(images - moves.fill, grid, "bilinear", "zeros", align_corners=False)
    return moved + moves.fill


def _places(side: int, device: torch.device) -> torch.Tensor:
    """Give the centres of all pixels as (S * S, 3): x, y, 1. Exact where the side is a power of two."""
    along = (2 * torch.arange(side, device=device) + 1 - side).float() / side
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1).view(-1, 3)


def from_config(section: dict) -> Moves:
    """Read config ``radiology.augmentation``; keys left out have the published values, unknown ones are refused."""
    known = [field.name for field in dataclasses.fields(Moves)]
    if unknown := [key for key in section if key not in known]:
        raise StudyError(f"radiology.augmentation has no setting '{unknown[0]}'; it has {', '.join(known)}")
    return Moves(**section)
