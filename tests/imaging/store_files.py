"""A small patch store whose numbers depend on the scan and the array only, however it is sharded."""

from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.study.files import write_json

SHAPE = (6, 7, 8)
COUNT = 40
IDS = [f"s{number:02d}_1" for number in range(COUNT)]
NAMES = ("one", "two", "whole")


def numbers(scan: int, name: str = "one") -> np.ndarray:
    return np.random.default_rng([NAMES.index(name), scan]).integers(0, 256, SHAPE, dtype=np.uint8)


def scale(scan: int) -> np.float32:
    return np.float32(0.4 + 0.001 * scan)


def thresholds(scan: int) -> np.ndarray:
    return np.array([60 + 0.1 * scan, 95 + 0.1 * scan], np.float32)


def write_store(folder: Path, shards: int = 2, with_thresholds: bool = True) -> list[Path]:
    """Write shards with the scans shuffled over them."""
    folders = []
    for number, members in enumerate(np.array_split(np.random.default_rng(8).permutation(COUNT), shards)):
        shard = folder / f"{number:03d}"
        shard.mkdir(parents=True)
        table = pd.DataFrame({"scan_id": [IDS[scan] for scan in members], "row": range(len(members))})
        table["scale"] = [scale(scan) for scan in members]
        if with_thresholds:
            table[["csf_grey", "grey_white"]] = [thresholds(scan) for scan in members]
        table.to_csv(shard / "scans.tsv", sep="\t", index=False)
        write_json(shard / "contract.json", registered_contract({"spacing_mm": 8, "parameters": 7}).to_json())
        for name in NAMES:
            np.save(shard / f"{name}.npy", np.stack([numbers(scan, name) for scan in members]))
        folders.append(shard)
    return folders
