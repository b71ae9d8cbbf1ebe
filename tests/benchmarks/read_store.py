"""Time an epoch of reading from the patch store beside reading the same voxels from NIfTI.gz volumes with nibabel.

    ./run python -m tests.benchmarks.read_store [--scans 40] [--spacing 1] [--batch 16]

Scans are the template brain, each with noise and a brightness of its own, written as register writes them. All routes
go through the same random order and give the same float32 batches on the CPU; nothing is resident. "8-bit" stops at
the stored numbers, which is what goes to a GPU: float32 is made there, while on the CPU a fresh float32 batch of whole
volumes costs more than to read it. Warm: the files lie in the system's page cache. Cold: they were put out of it before
(posix_fadvise); what lies below, the cache of a disk, a host or a network, is out of reach, so a cold disk may be
slower than this says.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.imaging.grid import Grid, resample
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.packaged import mni_map
from workflow_scripts.lib.imaging.patch_store import read_volumes, write_shard
from workflow_scripts.lib.imaging.regions import patch_slices, volume_slices
from workflow_scripts.lib.imaging.volumes import save_volume
from workflow_scripts.lib.pretrain.source import PatchSource

CPU = torch.device("cpu")
NAMES = (*PATCHES, "whole")
SHARDS = 2
PLAIN = "NIfTI.gz, nibabel"


def make_study(folder: Path, scans: int, spacing: float) -> tuple[list[Path], list[Path], list[str]]:
    """Write volumes and the store made of them; return files, shards and scan ids."""
    grid, random = Grid(spacing), np.random.default_rng(1)
    brain = resample(mni_map("t1"), grid) / 255
    brain[brain < 0.12] = 0
    brain *= 110 / np.quantile(brain[brain > 0], 0.8)
    ids = [f"s{number:04d}_1" for number in range(scans)]
    files = [folder / f"{scan}.nii.gz" for scan in ids]
    for file in files:
        noise = random.normal(0, 3, grid.shape).astype(np.float32)
        save_volume(np.maximum(brain * random.uniform(0.95, 1.05) + noise * (brain > 0), 0), grid.affine, file)
    contract = registered_contract({"spacing_mm": spacing, "parameters": 7})
    shards = [folder / f"{number:03d}" for number in range(SHARDS)]
    for shard, members in zip(shards, np.array_split(np.arange(scans), SHARDS), strict=True):
        chosen = [files[member] for member in members]
        write_shard([ids[member] for member in members], read_volumes(chosen, contract), contract, shard, NAMES)
    return files, shards, ids


def forget(folder: Path) -> None:
    """Put all files out of the page cache."""
    for file in folder.rglob("*"):
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def batches_of(scans: int, batch: int) -> list[np.ndarray]:
    """Put the scans in a random order and cut it into batches."""
    order = np.random.default_rng(2).permutation(scans)
    return [order[start : start + batch] for start in range(0, scans, batch)]


def from_nifti(files: list[Path], boxes: list[tuple[slice, ...]], batches: list[np.ndarray]) -> Iterator[torch.Tensor]:
    """Cut boxes out of each volume, in nibabel's quickest way: one box through the proxy, several from one reading."""
    for rows in batches:
        if len(boxes) == 1:
            parts = [np.asarray(nib.load(files[row]).dataobj[boxes[0]], np.float32) for row in rows]
            yield torch.from_numpy(np.stack(parts))[:, None]
            continue
        volumes = [np.asarray(nib.load(files[row]).dataobj, np.float32) for row in rows]
        for box in boxes:
            yield torch.from_numpy(np.stack([volume[box] for volume in volumes]))[:, None]


def from_store(sources: list[PatchSource], batches: list[np.ndarray], ahead: bool) -> Iterator[torch.Tensor]:
    """Read batches of one source after the other, the next one announced or not."""
    for source in sources:
        for rows, following in zip(batches, [*batches[1:], None], strict=True):
            values = source.batch(rows)
            if ahead and following is not None:
                source.prefetch(following)
            yield values


def eight_bit(sources: list[PatchSource], batches: list[np.ndarray]) -> Iterator[torch.Tensor]:
    """Read batches as they are stored into memory that is used again."""
    for source in sources:
        out = np.empty((max(map(len, batches)), *source.shape), np.uint8)
        for rows in batches:
            source._reader.read(rows, out[: len(rows)])
            yield torch.from_numpy(out[: len(rows)])[:, None]


def measure(route: Callable[[], Iterator[torch.Tensor]], prepare: Callable[[], None], repeats: int) -> np.ndarray:
    """Measure wall and cpu seconds of an epoch: the least of several, so that others' work counts little."""
    times = []
    for _ in range(repeats):
        prepare()
        start = time.perf_counter(), time.process_time()
        for values in route():
            values[0, 0, 0, 0, 0].item()
        times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return np.min(times, axis=0)


def check(files: list[Path], source: PatchSource, box: tuple[slice, ...]) -> None:
    """Make sure that both routes give the same voxels, to half a step of eight bits."""
    rows = [np.arange(min(2, len(files)))]
    plain, stored = next(from_nifti(files, [box], rows)), source.batch(rows[0])
    apart = (plain - stored).abs().flatten(1).quantile(0.99, dim=1).max().item()
    if apart > 0.5:
        sys.exit(f"the store differs from the volumes by {apart:g}: the routes do not do the same work")


def compare(folder: Path, scans: int, spacing: float, batch: int, repeats: int = 3) -> list[dict]:
    """Time all routes; return rows of the table."""
    files, shards, ids = make_study(folder, scans, spacing)
    boxes, batches = patch_slices(spacing) | volume_slices(spacing), batches_of(scans, batch)
    table = []
    for what, names in (("one patch", ["subcortical_L"]), ("whole volume", ["whole"]), ("18 patches", PATCHES)):
        sources = [PatchSource(shards, name, ids, CPU, resident_bytes=0) for name in names]
        check(files, sources[0], boxes[names[0]])
        own = [boxes[name] for name in names]
        for cache, prepare in (("warm", lambda: None), ("cold", lambda: forget(folder))):
            routes = {
                PLAIN: lambda own=own: from_nifti(files, own, batches),
                "store, 8-bit": lambda sources=sources: eight_bit(sources, batches),
                "store": lambda sources=sources: from_store(sources, batches, False),
                "store, read ahead": lambda sources=sources: from_store(sources, batches, True),
            }
            times = {name: measure(route, prepare, repeats) for name, route in routes.items()}
            for name, (wall, cpu) in times.items():
                ratio, cpu_ratio = times[PLAIN] / (wall, cpu)
                row = {"what": what, "cache": cache, "route": name, "seconds": wall, "ratio": ratio}
                table.append(row | {"cpu_seconds": cpu, "cpu_ratio": cpu_ratio})
    return table


def main(arguments: list[str] | None = None) -> list[dict]:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=40)
    parser.add_argument("--spacing", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        table = compare(Path(folder), given.scans, given.spacing, given.batch, given.repeats)
        size = np.mean([file.stat().st_size for file in Path(folder).glob("*.nii.gz")]) / 1e6
    print(f"{given.scans} scans at {given.spacing} mm, NIfTI.gz of {size:.2f} MB, batches of {given.batch}, one epoch")
    huge = os.environ.get("THP_MEM_ALLOC_ENABLE", "0")  # torch's switch for huge pages, which make fresh memory cheap
    print(f"THP_MEM_ALLOC_ENABLE={huge}; ratios are of the plain route to each, by wall and by cpu seconds")
    print(f"{'what':14}{'cache':7}{'route':20}{'wall s':>9}{'ratio':>8}{'cpu s':>9}{'ratio':>8}")
    for row in table:
        numbers = f"{row['seconds']:9.4f}{row['ratio']:8.1f}{row['cpu_seconds']:9.4f}{row['cpu_ratio']:8.1f}"
        print(f"{row['what']:14}{row['cache']:7}{row['route']:20}{numbers}")
    return table


if __name__ == "__main__":
    main()
