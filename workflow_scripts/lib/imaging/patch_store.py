"""Writing the patch store: one uint8 array a patch and shard, with a scale a scan."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import nibabel as nib
import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.contract import VolumeContract, check_array
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.regions import patch_slices, volume_slices
from workflow_scripts.lib.imaging.tissue import class_thresholds
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic, write_json
from workflow_scripts.lib.study.tables import write_table

COLUMNS = ("scan_id", "row", "scale", "csf_grey", "grey_white")
CUBE_SPACING = 2.0  # mm: finer volumes are averaged to this, 96 voxels a side


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
    return _quantise(volume, scale), scale


def _quantise(volume: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.round(volume / scale), 0, 255).astype(np.uint8)


def block_mean(volume: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of factor x factor x factor voxels; sizes must be multiples of the factor."""
    blocks = [part for n in volume.shape for part in (n // factor, factor)]
    return volume.reshape(blocks).mean(axis=(1, 3, 5))


def read_volumes(paths: Iterable[str | Path], contract: VolumeContract) -> Iterator[np.ndarray]:
    """Read registered volumes one after the other, float32; :class:`StudyError` if one breaks the contract."""
    for path in paths:
        image = nib.load(path)
        volume = np.asarray(image.dataobj, np.float32)  # not kept by the image
        check_array(contract, volume, image.affine, str(path))
        yield volume


def write_shard(
    scan_ids: Sequence[str],
    volumes: Iterable[np.ndarray],
    contract: VolumeContract,
    folder: str | Path,
    names: Sequence[str] = PATCHES,
) -> None:
    """Write the patches of some scans; one volume at a time is in memory.

    Parameters
    ----------
    scan_ids : sequence of str
    volumes : iterable of numpy.ndarray
        Their registered volumes in the same order, float32 on the template grid.
    contract : VolumeContract
        What the volumes are.
    folder : path
        Gets ``NAME.npy`` (uint8, n_scans x D x H x W) for each name, ``scans.tsv`` (scan_id, row, scale, and the
        intensities csf_grey and grey_white of :func:`tissue.class_thresholds`) and ``contract.json``.
    names : sequence of str
        Which of the 18 patches and of the whole volumes ``whole`` and ``cube`` (see :data:`regions.VOLUMES`).

    Raises
    ------
    StudyError
        If a name is not known.
    ValueError
        If there are more or fewer volumes than scans.
    """
    boxes = patch_slices(contract.spacing_mm) | volume_slices(contract.spacing_mm)
    unknown = [name for name in names if name not in boxes]
    if unknown:
        raise StudyError(f"'{unknown[0]}' is neither a patch nor a volume of the store; choose from {', '.join(boxes)}")
    factors = {name: max(1, int(CUBE_SPACING / contract.spacing_mm)) if name == "cube" else 1 for name in names}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "contract.json", contract.to_json())
    rows = []
    with contextlib.ExitStack() as stack:
        files = {}
        for name, factor in factors.items():
            shape = tuple((side.stop - side.start) // factor for side in boxes[name])
            files[name] = stack.enter_context(_array_file(folder / f"{name}.npy", (len(scan_ids), *shape)))
        for row, (scan, volume) in enumerate(zip(scan_ids, volumes, strict=True)):
            numbers, scale = to_uint8(volume)
            for name, factor in factors.items():
                box = boxes[name]
                part = numbers[box] if factor == 1 else _quantise(block_mean(volume[box], factor), scale)
                files[name].write(part.tobytes())
            rows.append((scan, row, scale, *class_thresholds(numbers, scale, scan)))
    write_table(pd.DataFrame(rows, columns=list(COLUMNS)), folder / "scans.tsv", "patch_shard")


@contextlib.contextmanager
def _array_file(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Give a file to append the rows of a uint8 array to.

    Written in a row and not through a memory map, whose pages would count as memory of the process.
    """
    with atomic(path) as temporary, open(temporary, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file
