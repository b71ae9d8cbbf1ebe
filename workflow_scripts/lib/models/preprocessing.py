"""How pixels are scaled before a backbone sees them: a property of the weights, not of the images."""

import dataclasses

import torch

from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class Rule:
    """Output channel c is (pixel of channel ``order[c]`` / ``divisor`` - ``mean[c]``) / ``std[c]``.

    Parameters
    ----------
    order : tuple of 3 int
        0, 1, 2 for red, green, blue, in the order in which the network gets them.
    divisor : float
        Of pixels from 0 to 255.
    mean, std : tuple of 3 float
        In the order of the output.
    title : str
        For reports.
    """

    order: tuple[int, int, int]
    divisor: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    title: str


RGB, BGR = (0, 1, 2), (2, 1, 0)
RULES = {
    "caffe_seed": Rule(
        BGR,
        255.0,
        (103.939 / 255, 116.779 / 255, 123.68 / 255),
        (0.225, 0.224, 0.229),
        "BGR, caffe's means, divided by standard deviations, as published",
    ),
    "imagenet_rgb": Rule(
        RGB, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "RGB, ImageNet's means and standard deviations"
    ),
    "radimagenet_pm1": Rule(BGR, 127.5, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "BGR from -1 to 1"),
}


def prepare(images: torch.Tensor, rule: str) -> torch.Tensor:
    """Scale pixels as weights want them.

    Parameters
    ----------
    images : torch.Tensor
        Batch x 1 or 3 x H x W, uint8, or floating point from 0 to 255 (after augmentation). One channel is grey and
        stands for all three from here on; three are red, green and blue.
    rule : str
        A key of ``RULES``.

    Returns
    -------
    torch.Tensor
        Batch x 3 x H x W, float32, on the same device.

    Raises
    ------
    StudyError
        If the rule is unknown or the images have other axes, channels or numbers.
    """
    if rule not in RULES:
        raise StudyError(f"preprocessing '{rule}' is unknown; there are {', '.join(RULES)}")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise StudyError(f"images of {tuple(images.shape)}: expected batch x 1 or 3 channels x height x width")
    if images.dtype != torch.uint8 and not images.dtype.is_floating_point:
        raise StudyError(f"images of type {images.dtype}: expected uint8, or floating point from 0 to 255")
    chosen = RULES[rule]
    pixels = images.float().expand(-1, 3, -1, -1)[:, list(chosen.order)]
    mean, std = (torch.tensor(row, device=images.device).view(1, 3, 1, 1) for row in (chosen.mean, chosen.std))
    return (pixels / chosen.divisor - mean) / std
