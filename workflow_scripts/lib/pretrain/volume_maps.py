"""3D Grad-CAM of a multi-task SFCN: where in the brain the evidence for each label lies, averaged over scans."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch.nn import functional

from workflow_scripts.lib.imaging.contract import check_same
from workflow_scripts.lib.imaging.regions import volume_slices
from workflow_scripts.lib.models.gradcam import combine, grad_cam
from workflow_scripts.lib.models.randomise import untrained
from workflow_scripts.lib.models.sfcn import HALVINGS, SFCN
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.encoders import Encoder
from workflow_scripts.lib.pretrain.multitask import head_slices
from workflow_scripts.lib.pretrain.targets import UNSEEN, name_sets
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

DIRECTIONS = {"higher": 1.0, "lower": -1.0}
BRIGHT = 0.1  # of the way from the darkest to the brightest voxel: what is above it in the mean scan is brain
LEAST_CELLS = 4  # along each axis, for a map that says anything about place


@dataclasses.dataclass(frozen=True)
class VolumeMaps:
    """Mean maps of targets.

    Attributes
    ----------
    table : pandas.DataFrame
        Schema ``volume_maps``, a row a target and direction.
    arrays : dict of str to numpy.ndarray
        ``native``: rows of ``table`` x the grid of the block, float32, mean over scans of maps from 0 to 1. ``maps``:
        the same on the grid of the volumes (trilinear), float16. ``volume``: mean of the scans, float32. ``brain``:
        where it is brighter than the background, bool. ``affine``: 4 x 4, voxel indices of ``volume`` to MNI mm.
    """

    table: pd.DataFrame
    arrays: dict[str, np.ndarray]


def choose_scans(scans: pd.DataFrame, sets: pd.DataFrame, count: int, seed: int, method: str) -> pd.DataFrame:
    """Draw scans to explain, one a participant: of people new to the network, else of those who chose the epoch.

    Parameters
    ----------
    scans : pandas.DataFrame
        scan_id, participant_id, cohort.
    sets : pandas.DataFrame
        scan_id, participant_id, set of the training.
    count : int
        At most so many.
    seed : int
        The study's.
    method : str
        Names the draw.

    Returns
    -------
    pandas.DataFrame
        scan_id, participant_id, cohort, set; sorted by scan_id.

    Raises
    ------
    StudyError
        If there are only scans of the training set.
    """
    table = scans[["scan_id", "participant_id", "cohort"]].assign(set=name_sets(scans, sets)).sort_values("scan_id")
    for names in (UNSEEN, ("validation",)):
        pool = table[table["set"].isin(names)]
        if len(pool):
            rng = seeds.generator(seed, "explain_volumes", method)
            drawn = pool.iloc[rng.permutation(len(pool))].drop_duplicates("participant_id").head(count)
            return drawn.sort_values("scan_id", ignore_index=True)
    raise StudyError(
        f"explain_volumes: method {method} has learned from every scan. Give a cohort no role in pretraining, or raise "
        "pretrain.validation_share."
    )


def choose_block(shape: Sequence[int]) -> int:
    """Choose the SFCN's last block whose maps still have 4 cells along each axis of volumes of this shape (from 1).

    At 1 mm that is the sixth, as published; its maps have 5 x 6 x 5 cells.
    """
    deep = [block for block in range(1, HALVINGS + 1) if min(shape) // 2**block >= LEAST_CELLS]
    if not deep:
        return 1
    return HALVINGS + 1 if deep[-1] == HALVINGS else deep[-1]  # the sixth halves nothing


def spread_out(native: torch.Tensor, shape: Sequence[int], stride: int) -> torch.Tensor:
    """Bring maps of a block to the grid of the volumes: each cell to the cube of voxels that it pools.

    Halvings drop an odd last voxel, so that the cells may end before the volume does; the rest gets the nearest value.

    Parameters
    ----------
    native : torch.Tensor
        n x d x h x w.
    shape : sequence of int
        D, H, W.
    stride : int
        Voxels that a cell has along each axis.

    Returns
    -------
    torch.Tensor
        n x D x H x W.
    """
    covered = [cells * stride for cells in native.shape[1:]]
    maps = functional.interpolate(native[:, None], covered, mode="trilinear", align_corners=False)
    behind = [size - done for size, done in zip(shape, covered, strict=True)]
    return functional.pad(maps, (0, behind[2], 0, behind[1], 0, behind[0]), mode="replicate")[:, 0]


def explain_scans(
    encoder: Encoder,
    shards: Sequence[str | Path],
    scans: pd.DataFrame,
    targets: Sequence,
    device: torch.device,
    seed: int,
    method: str,
) -> VolumeMaps:
    """Average the maps of scans, for each target in both directions.

    Parameters
    ----------
    encoder : Encoder
        An SFCN trained on these targets.
    shards : sequence of path
        Of rule ``extract_volumes``.
    scans : pandas.DataFrame
        From :func:`choose_scans`.
    targets : sequence of Target
    device : torch.device
    seed : int
        The study's.
    method : str
        Names the draw of the untrained network.

    Returns
    -------
    VolumeMaps
    """
    source = PatchSource(shards, encoder.volume, scans["scan_id"].tolist(), device, 0, rule=encoder.rule)
    check_same(source.contract, encoder.contract, f"volumes for {encoder.name}")
    if not isinstance(encoder.network, SFCN):
        raise StudyError(f"{encoder.name}: maps of volumes are made of an SFCN, found {type(encoder.network).__name__}")
    block = choose_block(source.shape)
    network = (
        encoder.network.to(device).eval().requires_grad_(False)
    )  # frozen, so that only the last layers keep a graph
    other = untrained(network, seed, "explain_volumes", method)
    wanted = [(target, name) for target in targets for name in DIRECTIONS]
    found = [_native(network, source, block, target, targets, DIRECTIONS[name]) for target, name in wanted]
    fresh = [_native(other, source, block, target, targets, DIRECTIONS[name]) for target, name in wanted]
    native = torch.stack([maps.mean(0) for maps, _ in found])
    stride = 2 ** min(block, HALVINGS)
    volume = _mean_volume(source)
    arrays = {
        "native": native.numpy(),
        "maps": spread_out(native, source.shape, stride).numpy().astype(np.float16),
        "volume": volume,
        "brain": volume > volume.min() + BRIGHT * (np.quantile(volume, 0.995) - volume.min()),
        "affine": _affine(source),
    }
    rows = []
    for number, ((target, name), own, others) in enumerate(zip(wanted, found, fresh, strict=True)):
        place = _place(arrays["maps"][number].astype(np.float64), arrays["brain"], arrays["affine"])
        cells = dict(zip(("cells_x", "cells_y", "cells_z"), native.shape[1:], strict=True))
        said = {"target": target.name, "direction": name, "scans": len(source), "empty": float(own[1].float().mean())}
        size = {"block": block, **cells, "cell_mm": float(stride * arrays["affine"][0, 0])}
        rows.append({**said, **size, **place, **_compare(own[0], others[0])})
    return VolumeMaps(pd.DataFrame(rows), arrays)


def _native(network: SFCN, source: PatchSource, block: int, target, targets: Sequence, sign: float):
    """Compute the maps of all scans for a target: scans x cells from 0 to 1, and which of them are empty."""
    outputs = head_slices(targets)[target.name]

    def score(output: torch.Tensor) -> torch.Tensor:
        own = output[:, outputs]
        if target.kind != "bins":
            return sign * own[:, 0]
        return sign * own.softmax(1) @ torch.as_tensor(target.centres, dtype=own.dtype, device=own.device)

    parts = []
    for row in range(len(source)):
        found = grad_cam(network, source.batch(np.array([row])), [network.blocks[block - 1]], score)
        own = combine(found.native, found.native[0].shape[1:])
        parts.append((own.maps.cpu(), own.empty.cpu()))
    return tuple(torch.cat(one) for one in zip(*parts, strict=True))


def _mean_volume(source: PatchSource) -> np.ndarray:
    total = sum(source.batch(np.array([row]))[0, 0].double().cpu() for row in range(len(source)))
    return (total / len(source)).float().numpy()


def _affine(source: PatchSource) -> np.ndarray:
    """Say where the voxels of the stored volumes lie: the template's grid, cut and perhaps coarser."""
    contract = source.contract
    place = volume_slices(contract.spacing_mm)[source.name]
    factor = round((place[0].stop - place[0].start) / source.shape[0])
    affine = np.array(contract.affine, dtype=np.float64)
    # a coarser voxel has its centre in the middle of those that it joins
    affine[:3, 3] += affine[:3, :3] @ [one.start + (factor - 1) / 2 for one in place]
    affine[:3, :3] *= factor
    return affine


def _place(heat: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> dict:
    """Say how much of a mean map lies in the brain, and where in it the map is highest."""
    within = np.where(brain, heat, -1.0)
    peak = affine @ [*np.unravel_index(int(within.argmax()), heat.shape), 1.0]
    nothing = within.max() <= 0
    return {
        "inside_brain": float(heat[brain].sum() / heat.sum()) if heat.sum() > 0 else np.nan,
        "brain_share": float(brain.mean()),
        **{f"peak_{axis}": np.nan if nothing else peak[number] for number, axis in enumerate("xyz")},
    }


def _compare(maps: torch.Tensor, others: torch.Tensor) -> dict:
    """Correlate the ranks of two networks' maps of the same scans, where both have a pattern."""
    pairs = [(a.flatten().numpy(), b.flatten().numpy()) for a, b in zip(maps, others, strict=True)]
    values = [stats.spearmanr(a, b).statistic for a, b in pairs if np.ptp(a) > 0 and np.ptp(b) > 0]
    return {"similarity_untrained": float(np.mean(values)) if values else np.nan, "compared": len(values)}
