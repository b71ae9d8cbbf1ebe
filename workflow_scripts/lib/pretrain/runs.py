"""Whole runs on patches: train one location or the image level, and give weights, card and log."""

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.pretrain import data, parallel, self_check
from workflow_scripts.lib.pretrain.levels import ImageLevel, PatchLevel, refresh_normalisation
from workflow_scripts.lib.pretrain.loop import train
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.study import ids, seeds
from workflow_scripts.lib.study.errors import StudyError

LOG = ("epoch", "steps", "learning_rate", "loss")


def chunk_members(patches: Sequence[str], chunk: str, per_job: int) -> list[str]:
    """List the locations of a chunk: chunk "01" with 9 a job has the tenth to the eighteenth."""
    members = list(patches)[int(chunk) * per_job : (int(chunk) + 1) * per_job]
    if not members:
        raise StudyError(f"chunk '{chunk}' with {per_job} locations a job is empty: there are {len(patches)}")
    return members


def use_device(threads: int) -> torch.device:
    """Choose CUDA if there is one, after a check of its convolutions, else the CPU with reproducible kernels.

    Parameters
    ----------
    threads : int
        Of a CPU.
    """
    # batches are new memory each step; pages of 2 MB make converting them several times faster
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    torch.set_num_threads(threads)
    device = own_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # fixed shapes within a run
        self_check.check_convolutions(device)
        return device
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
    return device


def own_device() -> torch.device:
    """Return this process's CUDA device if there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", parallel.rank() % torch.cuda.device_count())


def run(function: Callable, processes: int, threads: int, *arguments: object) -> object:
    """Call a function here, or in so many processes that share each batch (one a GPU).

    Parameters
    ----------
    function : callable
        One of this module's, which processes can import.
    processes : int
        0 or 1 for none beside this one.
    threads : int
        Of a CPU, each process.

    Returns
    -------
    object
        What the function gives in the first process.
    """
    if processes < 2:
        return _call(function, threads, *arguments)
    return parallel.launch(_call, processes, function, threads, *arguments)


def _call(function: Callable, threads: int, *arguments: object) -> object:
    use_device(threads)
    return function(*arguments)


def fingerprint(values: np.ndarray | None) -> str | None:
    """Hash an array's bytes."""
    return None if values is None else hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def start(settings: Settings, place: str) -> tuple:
    """Return the keys of a run's random draws, and seed the weights that are made next."""
    keys = (settings.seed, settings.name, settings.level, place)
    torch.manual_seed(seeds.derive_seed(*keys, "weights"))
    return keys


def fit(
    settings: Settings,
    level: nn.Module,
    images: int,
    keys: tuple,
    checkpoint: Path,
    identity: dict,
    curves: Path | None,
) -> list[dict]:
    """Train a level from its checkpoint if there is one; untrained methods stay as they are.

    Parameters
    ----------
    settings : Settings
    level : torch.nn.Module
        With ``step`` and perhaps ``validate`` and ``source``; changed in place.
    images : int
        How many things (scans, pairs) an epoch goes through.
    keys : tuple
        See :func:`start`.
    checkpoint : path
    identity : dict
        What the run depends on beside its settings.
    curves : path or None
        Folder for TensorBoard.

    Returns
    -------
    list of dict
        One row an epoch.
    """
    if settings.method.objective == "random":
        return []
    source = getattr(level, "source", None)
    return train(
        level,
        level.step,
        images,
        settings.schedule,
        keys,
        own_device(),
        checkpoint,
        {**settings.identity, **identity},
        validate=getattr(level, "validate", None),
        prefetch=None if source is None or hasattr(level, "pairs") else source.prefetch,
        curves=curves,
    )


def log_table(rows: list[dict]) -> pd.DataFrame:
    """Make the table of a training's rows, also of none."""
    return pd.DataFrame(rows, columns=None if rows else LOG)


def finish(
    settings: Settings, network: nn.Module, rows: list[dict], people: pd.Series, output: Path, card: dict
) -> None:
    """Write weights and card, once however many processes there are.

    Parameters
    ----------
    settings : Settings
    network : torch.nn.Module
    rows : list of dict
        See :func:`fit`.
    people : pandas.Series
        participant_id of every scan that had a part in the training.
    output : path
        The ``.safetensors`` file.
    card : dict
        ``input``, ``intensity`` and what else is to be said.
    """
    if not parallel.is_first():
        return
    said = {
        "participants": ids.participant_hashes(people),
        "scans": len(people),
        "seed": settings.seed,
        # of the epoch whose weights these are
        "metrics": next((row for row in rows if row.get("chosen")), rows[-1] if rows else {}),
        "source": f"trained by this workflow, method {settings.name}",
        "method": dataclasses.asdict(settings.method),
    }
    weights.save_weights(network, output, {**said, **card})


def train_patch(
    settings: Settings,
    patch: str,
    shards: Sequence[str | Path],
    scans: pd.DataFrame,
    auxiliary: np.ndarray | None,
    checkpoint: Path,
    output: Path,
    curves: Path | None = None,
) -> pd.DataFrame:
    """Train the encoder of one location, or of the whole volume, on two views and write its weights and card.

    Parameters
    ----------
    settings : Settings
    patch : str
        Name of the location or of the volume.
    shards : sequence of path
        See :class:`data.PatchSource`.
    scans : pandas.DataFrame
        scan_id, participant_id of the training scans.
    auxiliary : numpy.ndarray or None
        Scans x d_a, see :func:`data.auxiliary_features`. Without them R-NCE is its contrastive term alone.
    checkpoint, output : path
        ``output`` is the ``.safetensors`` file.
    curves : path, optional
        Folder for TensorBoard.

    Returns
    -------
    pandas.DataFrame
        The log: one row an epoch.
    """
    settings.refuse_trivial(len(scans), 0 if auxiliary is None else auxiliary.shape[1])
    source = data.PatchSource(shards, patch, scans["scan_id"].tolist(), own_device(), settings.resident_bytes)
    keys = start(settings, patch)
    level = PatchLevel(settings, source, auxiliary)
    identity = {"patches": source.fingerprint(), "auxiliary": fingerprint(auxiliary)}
    rows = fit(settings, level, len(source), keys, checkpoint, identity, curves)
    refresh_normalisation(level.encoder, source, settings.schedule.batch)
    finish(settings, level.encoder, rows, scans["participant_id"], output, source_card(source))
    return log_table(rows)


def source_card(source: data.PatchSource) -> dict:
    """Say what a network reads: location, grid in voxels, contract of the volumes, rule of the intensities."""
    place = {"location": source.name, "grid": list(source.shape), "rule": source.rule}
    return {
        "input": {**place, "volume": source.contract.to_json()},
        "intensity": f"{source.contract.intensity}, by rule {source.rule}; standardisation is part of the network",
    }


def train_image(
    settings: Settings,
    tokens: np.ndarray,
    scans: pd.DataFrame,
    auxiliary: np.ndarray | None,
    covered: np.ndarray | None,
    checkpoint: Path,
    output: Path,
    curves: Path | None = None,
) -> pd.DataFrame:
    """Train the aggregator on tokens and write its weights and card.

    Parameters
    ----------
    settings, scans, checkpoint, output, curves
        See :func:`train_patch`.
    tokens : numpy.ndarray
        Scans x locations x width, float32.
    auxiliary : numpy.ndarray or None
        Scans x d_a: all features that some location covers.
    covered : numpy.ndarray or None
        Locations x d_a, bool.

    Returns
    -------
    pandas.DataFrame
        The log: one row an epoch.
    """
    settings.refuse_trivial(len(scans), 0 if auxiliary is None else auxiliary.shape[1])
    keys = start(settings, "all")
    level = ImageLevel(settings, tokens, auxiliary, covered, own_device())
    identity = {"tokens": fingerprint(tokens), "auxiliary": fingerprint(auxiliary)}
    identity.update(covered=fingerprint(covered), scans=scans["scan_id"].tolist())
    rows = fit(settings, level, len(tokens), keys, checkpoint, identity, curves)
    card = {
        "input": {"tokens": list(tokens.shape[1:])},
        "intensity": "tokens as the patch encoders give them; standardisation is part of the network",
    }
    finish(settings, level.aggregator, rows, scans["participant_id"], output, card)
    return log_table(rows)
