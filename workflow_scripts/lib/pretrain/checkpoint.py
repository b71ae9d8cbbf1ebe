"""Checkpoints of a training run: one safetensors file, tensors in its body, numbers as JSON in its header."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from workflow_scripts.lib.pretrain.average import Average
from workflow_scripts.lib.study.files import atomic

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Progress:
    """Where a run stands: what a resumed run needs beside tensors.

    No state of a random generator is among it. Each draw comes from a generator seeded by (seed, method,
    level, location, epoch, step), so that a run that stops after any step goes on as if it had not.

    Attributes
    ----------
    epoch, step : int
        The next step to take.
    sums : dict of str to float
        Sums over the steps of the current epoch.
    counts : dict of str to int
        How many steps of the current epoch had such a number.
    skipped : int
        Steps of the current epoch whose loss had no gradient.
    rows : list of dict
        The log of past epochs.
    best_epoch : int
        Epoch (counted from 1) with the lowest criterion so far; 0 before there is one.
    criterion : float
        That criterion.
    processes : int
        How many processes wrote it.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    skipped: int = 0
    rows: list[dict] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    criterion: float = float("inf")
    processes: int = 1

    def add(self, numbers: dict[str, float], learned: bool) -> None:
        """Count a step and what it reported; NaN is no number."""
        for name, value in numbers.items():
            if value == value:
                self.sums[name] = self.sums.get(name, 0.0) + value
                self.counts[name] = self.counts.get(name, 0) + 1
        self.step += 1
        self.skipped += not learned


@dataclasses.dataclass
class Run:
    """All that changes in the course of a training.

    Attributes
    ----------
    model : torch.nn.Module
    optimizer : torch.optim.Optimizer
    average : Average or None
        Moving average of the weights, if there is one.
    best : dict of str to torch.Tensor
        State of the network after the best epoch, on the CPU; empty before there is one.
    at : Progress
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: Average | None = None
    best: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)
    at: Progress = dataclasses.field(default_factory=Progress)


def identity_hash(identity: dict) -> str:
    """Hash all that a run depends on (config, code, data); JSON must be able to hold it."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def save(path: Path, run: Run, identity: str) -> None:
    """Write a checkpoint atomically: a killed writer leaves the previous one."""
    tensors = {f"model.{name}": tensor for name, tensor in run.model.state_dict().items()}
    for number, state in run.optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{number}.{name}": value for name, value in state.items() if value is not None})
    if run.average is not None:
        tensors.update({f"ema.{name}": tensor for name, tensor in run.average.shadow.items()})
    tensors.update({f"best.{name}": tensor for name, tensor in run.best.items()})
    tensors = {name: torch.as_tensor(tensor).detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"identity": identity, "progress": json.dumps(dataclasses.asdict(run.at))}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def resume(path: Path, run: Run, identity: str) -> None:
    """Load a checkpoint into a run if there is one of this very run.

    A checkpoint of another config, code or data is left aside, as is a damaged one; both are logged, and
    the run stays as it is. A run of another number of processes is resumed, since its result is as good,
    but not to the last bit that of an undisturbed one: that is logged too.
    """
    if not path.exists():
        return
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            if header.get("identity") != identity:
                logger.info("%s belongs to another config, code or data: training starts anew", path)
                return
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        logger.warning("%s is damaged (%s): training starts anew", path, error)
        return
    before, run.at = run.at.processes, Progress(**json.loads(header["progress"]))
    run.model.load_state_dict(_part(tensors, "model"))
    _restore_optimizer(run.optimizer, _part(tensors, "optimizer"))
    if run.average is not None:
        for name, tensor in _part(tensors, "ema").items():
            run.average.shadow[name].copy_(tensor)
    run.best = _part(tensors, "best")
    logger.info("%s: resumed at epoch %d, step %d", path, run.at.epoch, run.at.step)
    if run.at.processes != before:
        logger.warning(
            "%s was written by %d processes, now there are %d: the result is not, to the last bit, that of an "
            "undisturbed run",
            path,
            run.at.processes,
            before,
        )
        run.at.processes = before


def _part(tensors: dict[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    prefix = f"{kind}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        number, name = key.split(".", 1)
        if name != "step":
            # same layout in memory as the undisturbed run, or the last bit may differ
            tensor = torch.empty_like(parameters[int(number)]).copy_(tensor)
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
