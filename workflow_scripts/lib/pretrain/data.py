"""Batches of patches from the patch store, and auxiliary features beside them."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.imaging.contract import check_same, from_json
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json

logger = logging.getLogger(__name__)


class PatchSource:
    """Patches of one location, of chosen scans, in a chosen order.

    The store holds 8-bit numbers and a scale for each scan; intensity = number x scale. If the chosen
    scans fit into ``resident_bytes`` they are kept as they are, 8-bit, on the device, so that training
    touches neither disk nor bus; otherwise each batch is read from the memory map in file order, and
    memory stays constant.

    Parameters
    ----------
    shards : sequence of path
        Folders of the store, each with ``{patch}.npy`` (scans x D x H x W, uint8) and ``scans.tsv``
        (scan_id, row, scale).
    patch : str
        Name of the location.
    scan_ids : sequence of str
        Which scans, in the order in which rows are counted from now on.
    device : torch.device
    resident_bytes : int

    Raises
    ------
    StudyError
        If a scan is in no shard, or shards differ in their patch size.
    """

    def __init__(
        self,
        shards: Sequence[str | Path],
        patch: str,
        scan_ids: Sequence[str],
        device: torch.device,
        resident_bytes: int = 2**31,
    ):
        self.patch, self.device, self.scan_ids = patch, device, list(scan_ids)
        self._arrays, places = [], {}
        self.contract = None
        for number, shard in enumerate(shards):
            self._agree(Path(shard) / "contract.json")
            listing = tables.read_table(Path(shard) / "scans.tsv", "patch_shard")
            self._arrays.append(np.load(Path(shard) / f"{patch}.npy", mmap_mode="r"))
            for scan, row, scale in zip(listing["scan_id"], listing["row"], listing["scale"], strict=True):
                places[scan] = (number, int(row), float(scale))
        absent = [scan for scan in self.scan_ids if scan not in places]
        if absent or not self.scan_ids:
            found = f"{len(absent)} scans are in no shard, the first is '{absent[0]}'" if absent else "no scan is given"
            raise StudyError(f"patches of {patch}: {found}. Rerun extract_patches for them or exclude them.")
        sizes = {array.shape[1:] for array in self._arrays}
        if len(sizes) > 1:
            raise StudyError(f"patches of {patch} have different sizes: {sorted(sizes)}. Rerun extract_patches.")
        self.shape = sizes.pop()
        self._where = np.array([places[scan][:2] for scan in self.scan_ids])
        self._scale = torch.tensor([places[scan][2] for scan in self.scan_ids], dtype=torch.float32, device=device)
        self._resident = None
        if len(self) * int(np.prod(self.shape)) <= resident_bytes:
            self._resident = self._read(np.arange(len(self))).to(device)

    def _agree(self, path: Path) -> None:
        """Take what the first shard's volumes were; :class:`StudyError` if another shard's were something else."""
        contract = from_json(read_json(path), str(path))
        if self.contract is not None:
            check_same(contract, self.contract, f"patches of {path.parent}")
        self.contract = contract

    def __len__(self) -> int:
        return len(self.scan_ids)

    def _read(self, rows: np.ndarray) -> torch.Tensor:
        """Read rows from the memory maps, in the order of the files, into the order that was asked for."""
        numbers = np.empty((len(rows), *self.shape), dtype=np.uint8)
        places = self._where[rows]
        for target in np.lexsort((places[:, 1], places[:, 0])):
            shard, row = places[target]
            numbers[target] = self._arrays[shard][row]
        return torch.from_numpy(numbers)

    def batch(self, rows: np.ndarray) -> torch.Tensor:
        """Return patches of these rows: batch x 1 x D x H x W, float32, on the device."""
        index = torch.as_tensor(rows, device=self.device)
        numbers = self._read(rows).to(self.device) if self._resident is None else self._resident[index]
        return (numbers.to(torch.float32) * self._scale[index, None, None, None])[:, None]

    def intensity(self, at_most: int = 512) -> tuple[float, float]:
        """Mean and standard deviation of the intensities of (evenly chosen) scans."""
        rows = np.unique(np.linspace(0, len(self) - 1, min(len(self), at_most)).round().astype(int))
        sums = np.zeros(2)
        for part in np.array_split(rows, max(1, len(rows) // 32)):
            values = self.batch(part).double()
            sums += [values.mean().item() * len(part), values.square().mean().item() * len(part)]
        mean, square = sums / len(rows)
        return float(mean), float(max(square - mean**2, 0) ** 0.5)

    def fingerprint(self) -> str:
        """Hash which scans these are and what was stored: ids, order, size, scales, the first patch."""
        digest = hashlib.sha256("\n".join([self.patch, str(self.shape), *self.scan_ids]).encode())
        digest.update(self._scale.cpu().numpy().tobytes())
        digest.update(self._read(np.arange(1)).numpy().tobytes())
        return digest.hexdigest()


def training_scans(scans: pd.DataFrame, roles: pd.DataFrame, included: pd.DataFrame) -> pd.DataFrame:
    """Choose the scans that may train a network: included, of split train, of participants with role pretrain.

    Parameters
    ----------
    scans, roles, included : pandas.DataFrame
        Tables of the study: ``results/cohort/scans.tsv``, ``roles.tsv``, ``results/qc/included.tsv``.

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, sorted by scan_id.

    Raises
    ------
    StudyError
        If none is left.
    LeakageError
        If one of them belongs to an evaluated participant.
    """
    people = set(roles.loc[roles["role"] == "pretrain", "participant_id"])
    chosen = scans[
        scans["participant_id"].isin(people) & (scans["split"] == "train") & scans["scan_id"].isin(included["scan_id"])
    ]
    if chosen.empty:
        raise StudyError(
            f"no scan to pretrain on: {len(people)} participants have the role pretrain and {len(included)} scans are "
            "included. Give a cohort the role pretrain (config: cohort), or look into results/qc/excluded.tsv."
        )
    evaluated = roles.loc[roles["role"] == "evaluate", "participant_id"]
    refuse_overlap(chosen["participant_id"], evaluated, "pretraining", "evaluation")
    return chosen[["scan_id", "participant_id"]].sort_values("scan_id", ignore_index=True)


def covers(assignment: pd.DataFrame, patches: Sequence[str], features: Sequence[str]) -> np.ndarray:
    """Tell which features each location covers.

    Parameters
    ----------
    assignment : pandas.DataFrame
        feature, patch; features without a patch (n/a) are covered by none.
    patches, features : sequence of str

    Returns
    -------
    numpy.ndarray
        Patches x features, bool.

    Raises
    ------
    StudyError
        If the assignment names a patch that is not known.
    """
    given = assignment.dropna(subset=["patch"])
    unknown = sorted(set(given["patch"]) - set(patches))
    if unknown:
        raise StudyError(f"the assignment of features names patch '{unknown[0]}'; known: {', '.join(patches)}")
    result = np.zeros((len(patches), len(features)), dtype=bool)
    rows, columns = pd.Index(patches), pd.Index(features)
    given = given[given["feature"].isin(columns)]
    result[rows.get_indexer(given["patch"]), columns.get_indexer(given["feature"])] = True
    return result


def auxiliary_features(features: pd.DataFrame, scan_ids: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """Standardise auxiliary features by the mean and standard deviation of the scans that are given.

    Parameters
    ----------
    features : pandas.DataFrame
        scan_id and the columns.
    scan_ids : sequence of str
        Training scans only: nothing about any other scan enters.
    columns : sequence of str

    Returns
    -------
    numpy.ndarray
        Scans x columns, float32, mean 0 and variance 1 (a constant column is 0). Missing values are
        set to the mean, with a warning.

    Raises
    ------
    StudyError
        If a scan has no features.
    """
    table = features.set_index("scan_id")
    absent = [scan for scan in scan_ids if scan not in table.index]
    if absent:
        raise StudyError(
            f"{len(absent)} pretraining scans have no regional features, the first is '{absent[0]}'. R-NCE needs them "
            "for each scan: make them, exclude the scan, or pretrain with SimCLR only."
        )
    values = table.loc[list(scan_ids), list(columns)].to_numpy(dtype=np.float64)
    missing = np.isnan(values)
    if missing.any():
        logger.warning("%d auxiliary values are missing; they are set to the training mean", int(missing.sum()))
    mean, std = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    # rounding leaves a constant column with a spread near its own precision: that is no variance
    constant = std <= 1e-9 * np.abs(mean)
    standard = (values - mean) / np.where(constant, 1.0, std)
    standard[:, constant] = 0.0
    return np.where(missing, 0.0, standard).astype(np.float32)
