"""Patch tokens on disk, and what the aggregator makes of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

BATCH = 512


def read_tokens(
    files: Sequence[str | Path], listings: Sequence[str | Path], patches: Sequence[str], scan_ids: Sequence[str]
) -> np.ndarray:
    """Read the tokens of chosen scans from the files of all chunks.

    Parameters
    ----------
    files : sequence of path
        Safetensors, one tensor (scans x width, float32) for each location of a chunk.
    listings : sequence of path
        For each file the table of its scans (scan_id), in order.
    patches : sequence of str
        Locations, in the order that is wanted.
    scan_ids : sequence of str
        Scans, in the order that is wanted.

    Returns
    -------
    numpy.ndarray
        Scans x locations x width, float32.

    Raises
    ------
    StudyError
        If a location or a scan is missing.
    """
    found: dict[str, np.ndarray] = {}
    for file, listing in zip(files, listings, strict=True):
        known = pd.Index(tables.read_table(listing, "included")["scan_id"])
        rows = known.get_indexer(list(scan_ids))
        if (rows < 0).any():
            scan = list(scan_ids)[int((rows < 0).argmax())]
            raise StudyError(f"{file} has no token of scan '{scan}'. Rerun encode_patches.")
        found.update({patch: values[rows] for patch, values in load_file(file).items()})
    absent = [patch for patch in patches if patch not in found]
    if absent:
        raise StudyError(
            f"no tokens of location '{absent[0]}'; found: {', '.join(sorted(found))}. Rerun encode_patches."
        )
    return np.stack([found[patch] for patch in patches], axis=1)


@torch.no_grad()
def embed(
    aggregator: Aggregator, tokens: np.ndarray, device: torch.device, prefix: str, without: int | None = None
) -> pd.DataFrame:
    """Aggregate the locations of each scan into its representation.

    Parameters
    ----------
    aggregator : Aggregator
        Trained, on the device.
    tokens : numpy.ndarray
        Scans x locations x width, float32.
    device : torch.device
    prefix : str
        Of the column names: ``rnce`` gives rnce_00, rnce_01 and so on.
    without : int, optional
        A location to leave out. The aggregator was trained on random halves of the locations, so one less is
        nothing new to it.

    Returns
    -------
    pandas.DataFrame
        One row a scan, one column a dimension of the representation.

    Raises
    ------
    StudyError
        If the location to leave out does not exist or is the only one.
    """
    chosen = _locations(tokens.shape[1], without)
    aggregator.eval()
    values = torch.cat([aggregator(part, chosen).cpu() for part in _parts(tokens[:, chosen], device)]).numpy()
    return name_columns(values, prefix)


def name_columns(values: np.ndarray, prefix: str) -> pd.DataFrame:
    """Make a table of a representation (scans x width): columns PREFIX_00, PREFIX_01 and so on."""
    digits = max(2, len(str(values.shape[1] - 1)))
    return pd.DataFrame(values, columns=[f"{prefix}_{column:0{digits}d}" for column in range(values.shape[1])])


@torch.no_grad()
def attend(aggregator: Aggregator, tokens: np.ndarray, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Say how the attention of the learnable token is shared among the locations of each scan.

    Parameters
    ----------
    aggregator, tokens, device
        As :func:`embed`.

    Returns
    -------
    attention : numpy.ndarray
        Scans x locations, float32: mean over blocks and heads of :meth:`Aggregator.attention`, as shares of what
        goes to locations. Rows sum to 1.
    rollout : numpy.ndarray
        Scans x locations, float32: the same of attention followed through the blocks.
    """
    aggregator.eval()
    pairs = [aggregator.attention(part) for part in _parts(tokens, device)]
    means = torch.cat([weights.mean(dim=(1, 2)).cpu() for weights, _ in pairs]).numpy()
    flows = torch.cat([rollout.cpu() for _, rollout in pairs]).numpy()
    return means / means.sum(axis=1, keepdims=True), flows / flows.sum(axis=1, keepdims=True)


def _locations(count: int, without: int | None) -> list[int]:
    """List the locations that are left."""
    if without is not None and not (count > 1 and 0 <= without < count):
        raise StudyError(f"location {without} of {count} cannot be left out: it must exist and not be the only one")
    return [location for location in range(count) if location != without]


def _parts(tokens: np.ndarray, device: torch.device) -> Iterator[torch.Tensor]:
    """Give the tokens in batches that any device holds."""
    for first in range(0, len(tokens), BATCH):
        yield torch.from_numpy(tokens[first : first + BATCH]).to(device)
