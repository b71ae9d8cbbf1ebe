"""Measure the memory of an epoch of reading from the patch store with 1,000, 10,000 and 100,000 scans.

    ./run python -m tests.benchmarks.memory [--counts 1000 10000 100000] [--shape 56 80 64] [--batch 32]

The store is of sparse files: they have their full length and take no room on the disk. Each count has a process of its
own, which goes through all scans once in random order, batches announced, nothing resident; on a GPU if there is one.
Peak is VmHWM of /proc/self/status (Linux), above what the process has before it opens the store. RssAnon is what the
process holds itself, RssFile what it maps of files (libraries, and a memory map's pages, if there were one).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.pretrain.source import PatchSource
from workflow_scripts.lib.study.files import write_json

SHAPE = (56, 80, 64)  # the subcortical patches at 1 mm
PER_SHARD = 200
FIELDS = ("VmHWM", "VmRSS", "RssAnon", "RssFile")


def scan_ids(count: int) -> list[str]:
    """Name scans as a large study does."""
    return [f"sub-{number:07d}_ses-1" for number in range(count)]


def write_store(folder: Path, count: int, shape: tuple[int, ...]) -> list[Path]:
    """Write shards of sparse files; return their folders."""
    ids, contract = scan_ids(count), registered_contract({"spacing_mm": 1, "parameters": 7}).to_json()
    shards = []
    for start in range(0, count, PER_SHARD):
        members, shard = ids[start : start + PER_SHARD], folder / f"{start // PER_SHARD:04d}"
        shard.mkdir(parents=True)
        table = pd.DataFrame({"scan_id": members, "row": range(len(members)), "scale": 0.5})
        table.assign(csf_grey=60.0, grey_white=95.0).to_csv(shard / "scans.tsv", sep="\t", index=False)
        write_json(shard / "contract.json", contract)
        with open(shard / "patch.npy", "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(members), *shape)}
            np.lib.format.write_array_header_1_0(file, header)
            file.truncate(file.tell() + len(members) * int(np.prod(shape)))
        shards.append(shard)
    return shards


def memory() -> dict[str, float]:
    """Read what the system says of this process: MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) / 1024 for name in FIELDS}


def measure(folder: Path, count: int, batch: int) -> dict[str, float]:
    """Go through all scans of a store once and measure memory and speed."""
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.zeros(1, device=device)
    ids, before = scan_ids(count), memory()
    source = PatchSource(sorted(folder.iterdir()), "patch", ids, device, resident_bytes=0)
    opened, start = memory(), time.perf_counter()
    batches = np.array_split(np.random.default_rng(1).permutation(count), -(-count // batch))
    for rows, following in zip(batches, [*batches[1:], None], strict=True):
        source.batch(rows)
        if following is not None:
            source.prefetch(following)
    taken, after = time.perf_counter() - start, memory()
    more = {f"{name}_more": after[name] - before[name] for name in FIELDS}
    return (
        {"count": count, "opening": opened["VmHWM"] - before["VmHWM"], "scans_per_second": count / taken} | more | after
    )


def run(counts: list[int], shape: tuple[int, ...], batch: int) -> list[dict]:
    """Measure each count in a process of its own."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write_store(Path(folder), count, shape)
            command = [sys.executable, "-m", "tests.benchmarks.memory", "--measure", folder]
            command += ["--counts", str(count), "--batch", str(batch)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(output.splitlines()[-1]))
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--shape", type=int, nargs=3, default=SHAPE)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--measure", type=Path, help="measure this store in this process")
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(measure(given.measure, given.counts[0], given.batch)))
        return
    size = int(np.prod(given.shape))
    batch_mb = given.batch * size / 2**20
    print(
        f"patches of {size / 1e6:.2f} MB, batches of {given.batch}: {batch_mb:.1f} MB, {4 * batch_mb:.1f} MB as float32"
    )
    print(f"{'scans':>8}{'store GB':>10}{'peak MB':>9}{'more MB':>9}{'RssAnon':>9}{'RssFile':>9}{'scans/s':>9}")
    for row in run(given.counts, tuple(given.shape), given.batch):
        numbers = (row["VmHWM"], row["VmHWM_more"], row["RssAnon"], row["RssFile"], row["scans_per_second"])
        print(f"{row['count']:8}{row['count'] * size / 1e9:10.1f}" + "".join(f"{number:9.0f}" for number in numbers))


if __name__ == "__main__":
    main()
