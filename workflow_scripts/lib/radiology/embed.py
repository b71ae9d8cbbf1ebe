"""Features of a frozen backbone, of images and of their mirror images, for the search of nearest images."""

import os
from collections.abc import Iterator

import numpy as np
import torch

from workflow_scripts.lib.models import preprocessing, weights
from workflow_scripts.lib.radiology.alignment import flip
from workflow_scripts.lib.radiology.neighbours import MIRRORS
from workflow_scripts.lib.study.errors import StudyError

BATCH = 32


@torch.inference_mode()
def backbone_views(
    pixels: np.ndarray, path: str | os.PathLike, device: torch.device
) -> Iterator[tuple[str, np.ndarray]]:
    """Give the features that a frozen backbone has of images as they are and mirrored.

    Parameters
    ----------
    pixels : numpy.ndarray
        uint8 (n, C, S, S).
    path : path
        Weights of a backbone, with its card.
    device : torch.device

    Yields
    ------
    (str, (n, features) numpy.ndarray of float32)
        As :func:`neighbours.find_candidates` wants them.

    Raises
    ------
    StudyError
        The card does not say how pixels are prepared.
    """
    network, card = weights.load_any(path)
    rule = card.get("preprocessing")
    if not rule:
        raise StudyError(
            f"{path}: its card names no preprocessing. Choose other weights for radiology.grouping.embedding."
        )
    network = network.to(device).eval()
    for how in MIRRORS:
        parts = []
        for start in range(0, len(pixels), BATCH):
            block = np.ascontiguousarray(flip(pixels[start : start + BATCH], how))
            images = preprocessing.prepare(torch.from_numpy(block).to(device), rule)
            parts.append(network(images).float().cpu().numpy())
        yield how, np.concatenate(parts)
