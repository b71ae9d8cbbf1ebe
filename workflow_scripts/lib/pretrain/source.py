"""Batches of stored patches or volumes on the device: resident there, or streamed while the step before computes."""

import concurrent.futures
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.imaging.store_reader import StoreReader
from workflow_scripts.lib.study.errors import StudyError

RULES = ("stored", "unit", "zscore", "mean")
PART_BYTES = 2**25  # read at a time where all scans are gone through


class PatchSource:
    """Patches of one location, or whole volumes, of chosen scans in a chosen order.

    The store holds 8-bit numbers and a scale for each scan. If the chosen scans fit into ``resident_bytes`` they are
    kept as they are, 8-bit, on the device, so that training touches neither disk nor bus; otherwise each batch is read
    from the files in their order. Host memory is then two batches, however many scans there are. Batches are the same
    to the last bit in both ways, announced (:meth:`prefetch`) or not.

    Parameters
    ----------
    shards : sequence of path
        Folders of the store, see :class:`StoreReader`.
    name : str
        Name of the location, or ``whole`` or ``cube``.
    scan_ids : sequence of str
        Which scans, in the order in which rows are counted from now on.
    device : torch.device
    resident_bytes : int
    rule : {'stored', 'unit', 'zscore', 'mean'}
        What intensities are. ``stored``: number x scale, white matter at 110. ``unit``: number / 255, from 0 to 1 at
        the scan's 99.9th percentile. ``zscore``: mean 0 and standard deviation 1 over the array of the scan.
        ``mean``: divided by the mean of the array of the scan, zeros included.

    Raises
    ------
    StudyError
        If a scan is in no shard, shards differ in their volumes or sizes, or the rule is not known.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        name: str,
        scan_ids: Sequence[str],
        device: torch.device,
        resident_bytes: int = 2**31,
        rule: str = "stored",
    ):
        if rule not in RULES:
            raise StudyError(f"intensity rule '{rule}' is not known; choose one of {', '.join(RULES)}")
        self.name, self.device, self.scan_ids, self.rule = name, torch.device(device), list(scan_ids), rule
        self._reader = StoreReader(shards, name, self.scan_ids)
        self.contract, self.shape = self._reader.contract, self._reader.shape
        self._scale = torch.from_numpy(self._reader.scale).to(self.device)
        self._ahead = Ahead(self._reader.read, self.shape, self.device)
        self._last = None  # rows, mean and standard deviation that were measured last
        self._resident = None
        if len(self) * int(np.prod(self.shape)) <= resident_bytes:
            resident = torch.empty((len(self), *self.shape), dtype=torch.uint8, device=self.device)
            for part in self._parts(np.arange(len(self))):
                resident[part[0] : part[-1] + 1] = self._ahead.take(part)
            self._resident = resident

    def __len__(self) -> int:
        return len(self.scan_ids)

    def __deepcopy__(self, memo: dict) -> "PatchSource":
        return self  # nothing of it changes: copies of a level that holds it share it

    def _parts(self, rows: np.ndarray) -> list[np.ndarray]:
        """Cut rows into parts of bounded size."""
        at_once = max(1, PART_BYTES // int(np.prod(self.shape)))
        return np.array_split(rows, -(-len(rows) // at_once))

    def prefetch(self, rows: np.ndarray) -> None:
        """Begin to read rows in the background; the next :meth:`batch` of just these rows uses them."""
        if self._resident is None:
            self._ahead.announce(rows)

    def _numbers(self, rows: np.ndarray) -> torch.Tensor:
        """Give stored numbers: rows x D x H x W, uint8, on the device; valid until the next call."""
        if self._resident is None:
            return self._ahead.take(rows)
        return self._resident[torch.as_tensor(rows, device=self.device)]

    def batch(self, rows: np.ndarray) -> torch.Tensor:
        """Return patches of these rows: batch x 1 x D x H x W, float32, on the device."""
        numbers = self._numbers(rows)
        shift, slope = self._line(rows, numbers)
        values = numbers.to(torch.float32)
        if shift is not None:
            values.sub_(shift[:, None, None, None])
        return values.mul_(slope[:, None, None, None])[:, None]

    def classes(self, rows: np.ndarray) -> torch.Tensor:
        """Return the thresholds between fluid and grey and between grey and white matter of these rows.

        Returns
        -------
        torch.Tensor
            Batch x 2, float32, on the device, in the units of :meth:`batch`.

        Raises
        ------
        StudyError
            If the store was written without thresholds.
        """
        if self._reader.thresholds is None:
            raise StudyError(
                f"{self.name}: the store has no thresholds between tissues (columns csf_grey and grey_white of its "
                "scans.tsv); an earlier version wrote it. Rerun extract_patches, and extract_volumes where it is used."
            )
        shift, slope = self._line(rows)
        scale = self._scale[torch.as_tensor(rows, device=self.device)]
        numbers = torch.from_numpy(self._reader.thresholds[rows]).to(self.device) / scale[:, None]
        return (numbers if shift is None else numbers - shift[:, None]) * slope[:, None]

    def _line(self, rows: np.ndarray, numbers: torch.Tensor | None = None) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Give shift (None for 0) and slope of each row: intensity = (number - shift) x slope."""
        if self.rule == "stored":
            return None, self._scale[torch.as_tensor(rows, device=self.device)]
        if self.rule == "unit":
            return None, torch.full((len(rows),), 1 / 255, device=self.device)
        mean, std = self._measure(rows, numbers)
        # an array of one value becomes zero, and an array of zeros stays
        divisor = std if self.rule == "zscore" else mean
        slope = (1 / torch.where(divisor > 0, divisor, 1.0)).float()
        return (mean.float() if self.rule == "zscore" else None), slope

    def _measure(self, rows: np.ndarray, numbers: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Measure mean and standard deviation of the numbers of each row: float64, exact, on the device."""
        if numbers is None and self._last is not None and np.array_equal(self._last[0], rows):
            return self._last[1:]
        mean, std = moments(self._numbers(rows) if numbers is None else numbers)
        self._last = (np.array(rows), mean, std)
        return mean, std

    def intensity(self, at_most: int = 512) -> tuple[float, float]:
        """Mean and standard deviation of the intensities of (evenly chosen) scans."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(len(self), at_most)).round().astype(int))
        sums = np.zeros(2)
        for part in self._parts(rows):
            mean, std = self._measure(part)
            shift, slope = self._line(part)
            mean = (mean if shift is None else mean - shift) * slope
            square = (std * slope) ** 2 + mean**2
            sums += [mean.sum().item(), square.sum().item()]
        mean, square = sums / len(rows)
        return float(mean), float(max(square - mean**2, 0) ** 0.5)

    def fingerprint(self) -> str:
        """Hash which scans these are and what was stored: ids, order, size, rule, scales, thresholds, first patch."""
        digest = hashlib.sha256("\n".join([self.name, self.rule, str(self.shape), *self.scan_ids]).encode())
        digest.update(self._reader.scale.tobytes())
        if self._reader.thresholds is not None:
            digest.update(self._reader.thresholds.tobytes())
        digest.update(self._numbers(np.arange(1)).cpu().numpy().tobytes())
        return digest.hexdigest()


def moments(numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute mean and standard deviation of each scan's numbers: B x D x H x W uint8 to two of B, float64.

    Sums are exact, hence depend neither on the device nor on the other scans of the batch: float32 holds every whole
    number up to 2^24, and 256 squares of 8-bit numbers stay below it.
    """
    flat = numbers.flatten(1)
    count = flat.shape[1]
    parts = nn.functional.pad(flat, (0, -count % 256)).float().unflatten(1, (-1, 256))
    mean = parts.sum(2).double().sum(1) / count
    square = parts.square_().sum(2).double().sum(1) / count
    return mean, (square - mean**2).clamp(min=0).sqrt()


@dataclasses.dataclass
class _Slot:
    """Host memory of a batch, and the event after which it may be overwritten (CUDA)."""

    host: torch.Tensor | None = None
    copied: torch.cuda.Event | None = None


@dataclasses.dataclass
class _Announced:
    rows: np.ndarray
    slot: _Slot
    numbers: concurrent.futures.Future


class Ahead:
    """Reads announced rows in a thread and, on a GPU, copies them there beside the computation.

    There are two host buffers, page-locked for a GPU: one is filled while the other is on its way or in use.

    Parameters
    ----------
    read : callable
        ``read(rows, out)`` fills ``out``, uint8, rows x D x H x W.
    shape : tuple of int
        D, H, W.
    device : torch.device
    """

    def __init__(self, read: Callable[[np.ndarray, np.ndarray], None], shape: tuple[int, ...], device: torch.device):
        self._read, self._shape, self._device = read, shape, device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._free, self._announced = [_Slot(), _Slot()], []
        self._worker = None

    def announce(self, rows: np.ndarray) -> None:
        """Begin to read rows; of more than two announced and not taken, the oldest is given up."""
        if self._worker is None:
            self._worker = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        if not self._free:
            oldest = self._announced.pop(0)
            if not oldest.numbers.cancel():
                concurrent.futures.wait([oldest.numbers])
            self._free.append(oldest.slot)
        slot, rows = self._free.pop(), np.array(rows)
        self._announced.append(_Announced(rows, slot, self._worker.submit(self._fill, slot, rows)))

    def take(self, rows: np.ndarray) -> torch.Tensor:
        """Give rows on the device, read ahead or now: uint8. On the CPU they are overwritten after the next call."""
        found = [entry for entry in self._announced if np.array_equal(entry.rows, rows)]
        if not found:
            self.announce(rows)
            found = self._announced[-1:]
        self._announced = [entry for entry in self._announced if entry is not found[0]]
        slot = found[0].slot
        self._free.insert(0, slot)  # the other is used before it
        numbers = found[0].numbers.result()
        if self._stream is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(slot.copied)
            numbers.record_stream(current)  # its memory is the other stream's, and still read by this one
        return numbers

    def _fill(self, slot: _Slot, rows: np.ndarray) -> torch.Tensor:
        """Read rows into host memory and send them to the device; runs in the thread."""
        if slot.copied is not None:
            slot.copied.synchronize()
        if slot.host is None or len(slot.host) < len(rows):
            slot.host = self._allocate(len(rows))
        host = slot.host[: len(rows)]
        self._read(rows, host.numpy())
        if self._stream is None:
            return host
        with torch.cuda.stream(self._stream):
            numbers = host.to(self._device, non_blocking=True)
            slot.copied = torch.cuda.Event()
            slot.copied.record()
        return numbers

    def _allocate(self, count: int) -> torch.Tensor:
        return torch.empty((count, *self._shape), dtype=torch.uint8, pin_memory=self._stream is not None)
