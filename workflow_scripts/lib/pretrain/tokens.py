"""Patch tokens on disk, and what the aggregator makes of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError


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
def embed(aggregator: Aggregator, tokens: np.ndarray, device: torch.device, prefix: str) -> pd.DataFrame:
    """Aggregate all locations of each scan into its representation.

    Parameters
    ----------
    aggregator : Aggregator
        Trained, on the device.
    tokens : numpy.ndarray
        Scans x locations x width, float32.
    device : torch.device
    prefix : str
        Of the column names: ``rnce`` gives rnce_00, rnce_01 and so on.

    Returns
    -------
    pandas.DataFrame
        One row a scan, one column a dimension of the representation.
    """
    aggregator.eval()
    parts = [
        aggregator(torch.from_numpy(part).to(device)).cpu() for part in np.array_split(tokens, -(-len(tokens) // 512))
    ]
    values = torch.cat(parts).numpy()
    digits = max(2, len(str(values.shape[1] - 1)))
    return pd.DataFrame(values, columns=[f"{prefix}_{column:0{digits}d}" for column in range(values.shape[1])])
