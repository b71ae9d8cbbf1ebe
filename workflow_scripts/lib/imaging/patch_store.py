"""The patch store: one uint8 array a patch and shard, with a scale a scan, memory-mapped by its readers."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.contract import VolumeContract
from workflow_scripts.lib.imaging.regions import patch_slices
from workflow_scripts.lib.study.files import atomic, write_json
from workflow_scripts.lib.study.tables import write_table


def to_uint8(volume: np.ndarray) -> tuple[np.ndarray, float]:
    """Quantise a non-negative volume.

    Parameters
    ----------
    volume : numpy.ndarray
        float32, X x Y x Z.

    Returns
    -------
    quantised : uint8 of the same shape
    scale : float
        ``volume`` is about ``quantised * scale``; values above the 99.9th percentile of the brain are cut there.
    """
    positive = volume[volume > 0]
    top = float(np.quantile(positive, 0.999)) if positive.size else 1.0
    scale = top / 255
    return np.clip(np.round(volume / scale), 0, 255).astype(np.uint8), scale


def write_shard(volumes: dict[str, np.ndarray], contract: VolumeContract, folder: str | Path) -> None:
    """Write the patches of some scans.

    Parameters
    ----------
    volumes : dict of str to numpy.ndarray
        Registered volumes by scan_id, float32 on the template grid.
    contract : VolumeContract
        What the volumes are.
    folder : path
        Gets ``PATCH.npy`` (uint8, n_scans x D x H x W) for each patch, ``scans.tsv`` (scan_id, row, scale) and
        ``contract.json``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "contract.json", contract.to_json())
    quantised = {scan: to_uint8(volume) for scan, volume in volumes.items()}
    for patch, box in patch_slices(contract.spacing_mm).items():
        shape = (len(quantised), *(side.stop - side.start for side in box))
        stack = np.zeros(shape, np.uint8)
        for row, (values, _) in enumerate(quantised.values()):
            stack[row] = values[box]
        with atomic(folder / f"{patch}.npy") as temporary:
            np.save(temporary, stack, allow_pickle=False)
    rows = [(scan, row, scale) for row, (scan, (_, scale)) in enumerate(quantised.items())]
    write_table(pd.DataFrame(rows, columns=["scan_id", "row", "scale"]), folder / "scans.tsv", "patch_shard")
