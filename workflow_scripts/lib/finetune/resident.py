"""Stored volumes that stay on the device and that several processes use at the same time without a copy."""

import hashlib
import types
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from workflow_scripts.lib.pretrain.source import PatchSource

WITHOUT_LIMIT = 2**62  # bytes: all scans are loaded, whatever their size


class ResidentSource(PatchSource):
    """A :class:`PatchSource` with all scans on the device, 8-bit, which can be handed to other processes.

    Handing it over copies no voxel: other processes get shared memory on a CPU and a handle to the same memory of a
    GPU (which the process that loaded it must keep until they are done).

    Parameters
    ----------
    shards, name, scan_ids, device, rule
        See :class:`PatchSource`.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        name: str,
        scan_ids: Sequence[str],
        device: torch.device,
        rule: str = "stored",
    ):
        super().__init__(shards, name, scan_ids, device, WITHOUT_LIMIT, rule)
        self._means, self._squares = self._measure_all()

    @classmethod
    def made_up(
        cls, name: str, shape: Sequence[int], scans: int, device: torch.device, rule: str, random: np.random.Generator
    ) -> "ResidentSource":
        """Make one of random numbers, to time what real ones would cost."""
        numbers = random.integers(0, 256, (scans, *shape), dtype=np.uint8)
        thresholds = np.tile(np.float32([55, 75]), (scans, 1))
        source = cls.__new__(cls)
        source.__setstate__(
            {
                "name": name,
                "device": torch.device(device),
                "scan_ids": [f"made-up {scan}" for scan in range(scans)],
                "rule": rule,
                "contract": None,
                "shape": tuple(shape),
                "_scale": torch.full((scans,), 0.5, device=device),
                "_resident": torch.from_numpy(numbers).to(device),
                "_last": None,
                "_reader": types.SimpleNamespace(scale=np.full(scans, 0.5, np.float32), thresholds=thresholds),
            }
        )
        source._means, source._squares = source._measure_all()
        return source

    def __getstate__(self) -> dict:
        """Give what another process needs: no open file and no thread."""
        state = {name: value for name, value in self.__dict__.items() if name != "_ahead"}
        read = self._reader
        return {**state, "_last": None, "_reader": types.SimpleNamespace(scale=read.scale, thresholds=read.thresholds)}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)

    @property
    def megabytes(self) -> float:
        """Memory of the voxels."""
        return self._resident.nbytes / 1e6

    def _measure_all(self) -> tuple[np.ndarray, np.ndarray]:
        """Measure mean intensity and mean square of each scan, float64; exact, so other scans make no difference."""
        means, squares = [], []
        for part in self._parts(np.arange(len(self))):
            mean, std = self._measure(part)
            shift, slope = self._line(part)
            mean = (mean if shift is None else mean - shift) * slope
            means.append(mean.cpu().numpy())
            squares.append(((std * slope) ** 2 + mean**2).cpu().numpy())
        return np.concatenate(means), np.concatenate(squares)

    def intensity_of(self, rows: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation of the intensities of these scans."""
        mean, square = self._means[rows].mean(), self._squares[rows].mean()
        return float(mean), float(max(square - mean**2, 0) ** 0.5)

    def digest(self, rows: np.ndarray) -> str:
        """Hash which scans these are and what was stored of them; scans beside them make no difference."""
        said = [self.name, self.rule, str(self.shape), *(self.scan_ids[row] for row in rows)]
        found = hashlib.sha256("\n".join(said).encode())
        for numbers in (self._reader.scale, self._means, self._squares):
            found.update(np.ascontiguousarray(numbers[rows]).tobytes())
        return found.hexdigest()
