"""Reading the patch store; apart from writing, so that an edit here does not have every shard written again."""

import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.contract import VolumeContract, check_same, from_json
from workflow_scripts.lib.imaging.regions import VOLUMES
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json
from workflow_scripts.lib.study.tables import read_table

OPEN_FILES = 128  # at once; systems allow a process 256 or more


class StoreReader:
    """Rows of one array of the store over many shards, read in the order of the files.

    Rows are read into the caller's memory. A memory map would do with less code, but every page that was touched
    counts as memory of the process, which over an epoch is the whole store.

    Parameters
    ----------
    shards : sequence of path
        Folders of the store, each with ``NAME.npy`` (scans x D x H x W, uint8), ``scans.tsv`` and ``contract.json``.
    name : str
        A patch or a whole volume.
    scan_ids : sequence of str
        Which scans, in the order in which rows are counted from now on.

    Attributes
    ----------
    contract : VolumeContract
        What the volumes were; the same in all shards.
    shape : tuple of int
        D, H, W.
    scale : numpy.ndarray
        float32, a scan: intensity is number x scale.
    thresholds : numpy.ndarray or None
        float32, scans x 2: intensities between fluid and grey and between grey and white matter; None if a shard was
        written without.

    Raises
    ------
    StudyError
        If no scan is given, a scan is in no shard or in two, an array is missing or damaged, or shards differ in what
        their volumes were or in their size.
    """

    def __init__(self, shards: Sequence[str | Path], name: str, scan_ids: Sequence[str]):
        self.name = name
        self._remedy = f"Rerun {'extract_volumes' if name in VOLUMES else 'extract_patches'}"
        self._files = [Path(shard) / f"{name}.npy" for shard in shards]
        self.contract = self._common_contract()
        self._locate(scan_ids)
        self.shape, counts, self._offsets = self._headers()
        beyond = np.flatnonzero(self._row >= counts[self._shard])
        if beyond.size:
            file = self._files[self._shard[beyond[0]]]
            raise StudyError(f"{file} has no row {self._row[beyond[0]]}, which its scans.tsv names. {self._remedy}.")
        self._lock, self._open = threading.Lock(), {}
        weakref.finalize(self, _close_all, self._open)

    def __len__(self) -> int:
        return len(self._row)

    def _common_contract(self) -> VolumeContract | None:
        """Take what the first shard's volumes were; :class:`StudyError` if another shard's were something else."""
        first = None
        for file in self._files:
            path = file.with_name("contract.json")
            contract = from_json(read_json(path), str(path))
            check_same(contract, first or contract, f"patches of {path.parent}")
            first = first or contract
        return first

    def _locate(self, scan_ids: Sequence[str]) -> None:
        """Find the scans in the shards' listings, one at a time, and keep place, scale and thresholds of each."""
        codes, wanted = pd.factorize(np.array(scan_ids, dtype=object))
        if not len(codes):
            raise StudyError(f"patches of {self.name}: no scan is given. {self._remedy} or include scans.")
        index = pd.Index(wanted, dtype=object)
        shard, row = np.full(len(index), -1), np.zeros(len(index), np.int64)
        numbers = np.full((len(index), 3), np.nan, np.float32)
        for number, file in enumerate(self._files):
            listing = read_table(file.with_name("scans.tsv"), "patch_shard")
            places = index.get_indexer(listing["scan_id"].astype(object))
            listing, places = listing[places >= 0], places[places >= 0]
            twice = np.flatnonzero(shard[places] >= 0)
            if twice.size:
                raise StudyError(f"scan '{index[places[twice[0]]]}' is in more than one shard. {self._remedy}.")
            shard[places], row[places] = number, listing["row"]
            numbers[places] = listing.reindex(columns=["scale", "csf_grey", "grey_white"])
        absent = np.flatnonzero(shard < 0)
        if absent.size:
            raise StudyError(
                f"patches of {self.name}: {absent.size} scans are in no shard, the first is '{index[absent[0]]}'. "
                f"{self._remedy} for them or exclude them."
            )
        self._shard, self._row = shard[codes], row[codes]
        self.scale, thresholds = numbers[codes, 0], numbers[codes, 1:]
        self.thresholds = None if np.isnan(thresholds).any() else thresholds

    def _headers(self) -> tuple[tuple[int, ...], np.ndarray, list[int]]:
        """Read of all files the common size, how many rows they have and where these begin."""
        counts, offsets, sizes = [], [], set()
        for file in self._files:
            if not file.exists():
                known = sorted(other.stem for other in file.parent.glob("*.npy"))
                raise StudyError(f"{file}: no such file; the shard has {', '.join(known) or 'none'}. {self._remedy}.")
            try:
                array = np.load(file, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise StudyError(f"{file}: damaged or cut off ({error}). {self._remedy}.") from error
            if array.dtype != np.uint8 or array.ndim != 4 or not array.flags.c_contiguous:
                found = f"{array.ndim} axes of {array.dtype}"
                raise StudyError(f"{file}: found {found}, expected scans x D x H x W of uint8. {self._remedy}.")
            counts.append(len(array))
            offsets.append(array.offset)
            sizes.add(array.shape[1:])
        if len(sizes) > 1:
            raise StudyError(f"patches of {self.name} have different sizes: {sorted(sizes)}. {self._remedy}.")
        return sizes.pop(), np.array(counts), offsets

    def read(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Read rows into memory; safe to call from several threads.

        Parameters
        ----------
        rows : numpy.ndarray
            Integers; a row may stand there twice.
        out : numpy.ndarray
            uint8, rows x D x H x W, C order; filled in the order of ``rows``.
        """
        shard, row = self._shard[rows], self._row[rows]
        size = int(np.prod(self.shape))
        with self._lock:
            for target in np.lexsort((row, shard)):
                file = self._file(shard[target])
                start = self._offsets[shard[target]] + int(row[target]) * size
                view, done = memoryview(out[target]).cast("B"), 0
                while done < size:
                    count = os.preadv(file.fileno(), [view[done:]], start + done)
                    if not count:
                        raise StudyError(f"{file.name}: ends within row {row[target]}. {self._remedy}.")
                    done += count

    def _file(self, shard: int) -> BinaryIO:
        """Give the open file of a shard; those used last stay open, since opening is slow on shared file systems."""
        file = self._open.pop(shard, None) or open(self._files[shard], "rb", buffering=0)  # noqa: SIM115
        self._open[shard] = file
        if len(self._open) > OPEN_FILES:
            self._open.pop(next(iter(self._open))).close()
        return file


def _close_all(files: dict[int, BinaryIO]) -> None:
    for file in files.values():
        file.close()
