"""Read named tensors out of the files of other programs, without running what such files may carry."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from workflow_scripts.lib.study.errors import StudyError


def read_tensors(path: str | os.PathLike) -> dict[str, torch.Tensor]:
    """Read every tensor of a file, by its name there.

    Parameters
    ----------
    path : path
        A torch state dict (``.pt``, ``.pth``, ``.p``), ``.safetensors``, ``.npz``, or Keras weights (``.h5``,
        ``.hdf5``; needs h5py). Pickled objects are never built: torch files are read with ``weights_only=True``,
        ``.npz`` with ``allow_pickle=False``.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU, of the file's number types.

    Raises
    ------
    StudyError
        If the file is missing, of another suffix, damaged, or holds anything but tensors.
    """
    path = Path(path)
    if path.suffix not in READERS:
        raise StudyError(
            f"{path}: weights of other programs are read from {', '.join(READERS)}; found '{path.suffix}'. Save the "
            "network's tensors alone in one of these formats."
        )
    if not path.is_file():
        raise StudyError(f"{path}: no such file")
    try:
        content = READERS[path.suffix](path)
    except StudyError:
        raise
    # readers of damaged files fail in every way there is: keys, sizes, codes, ends of file
    except Exception as error:
        raise StudyError(
            f"{path} cannot be read as {path.suffix} without running what it holds: it is damaged or has pickled "
            f"objects in it ({str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}). "
            "Save the network's tensors alone."
        ) from error
    return _only_tensors(content, path)


def _only_tensors(content: object, path: Path) -> dict[str, torch.Tensor]:
    if not isinstance(content, Mapping):
        raise StudyError(f"{path} holds a {type(content).__name__}, expected tensors by name (a state dict)")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise StudyError(
                f"{path}: '{name}' is a {type(value).__name__}, expected a tensor. Save the state dict alone, not a "
                "checkpoint that has it inside."
            )
    return dict(content)


def _read_torch(path: Path) -> object:
    return torch.load(path, map_location="cpu", weights_only=True)


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _read_h5(path: Path) -> dict[str, torch.Tensor]:
    try:
        import h5py
    except ImportError as error:
        raise StudyError(
            f"{path}: Keras weights in HDF5 need h5py, which is not installed. Install it (pip install h5py), or save "
            "the arrays as .npz under their Keras names."
        ) from error
    found = {}
    with h5py.File(path, "r") as file:
        # the optimiser's state, beside the weights in files of whole models, is not the network's
        file.visititems(
            lambda name, item: (
                found.update({name: torch.from_numpy(item[()])})
                if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights/")
                else None
            )
        )
    return found


READERS: dict[str, Callable] = {
    ".pt": _read_torch,
    ".pth": _read_torch,
    ".p": _read_torch,
    ".safetensors": load_file,
    ".npz": _read_npz,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
}
