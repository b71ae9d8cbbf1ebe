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
    rows : list of dict
        The log of past epochs.
    """

    epoch: int = 0
    step: int = 0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    rows: list[dict] = dataclasses.field(default_factory=list)


def identity_hash(identity: dict) -> str:
    """Hash all that a run depends on (config, code, data); JSON must be able to hold it."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress, identity: str) -> None:
    """Write a checkpoint atomically: a killed writer leaves the previous one."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{number}.{name}": value for name, value in state.items() if value is not None})
    tensors = {name: torch.as_tensor(tensor).detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"identity": identity, "progress": json.dumps(dataclasses.asdict(progress))}
    with atomic(path) as temporary:
        save_file(tensors, temporary, metadata=header)


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, identity: str) -> Progress:
    """Load a checkpoint into a network and its optimiser if there is one of this very run.

    A checkpoint of another config, code or data is left aside, as is a damaged one; both are logged.

    Returns
    -------
    Progress
        From the checkpoint, or a fresh one.
    """
    if not path.exists():
        return Progress()
    try:
        with safe_open(path, framework="pt", device="cpu") as stream:
            header = stream.metadata() or {}
            if header.get("identity") != identity:
                logger.info("%s belongs to another config, code or data: training starts anew", path)
                return Progress()
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        logger.warning("%s is damaged (%s): training starts anew", path, error)
        return Progress()
    progress = Progress(**json.loads(header["progress"]))
    prefix = "model."
    model.load_state_dict({name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)})
    _restore_optimizer(optimizer, tensors)
    logger.info("%s: resumed at epoch %d, step %d", path, progress.epoch, progress.step)
    return progress


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".", 2)
            if tensor.dim():
                # same layout in memory as the undisturbed run, or the last bit may differ
                tensor = torch.empty_like(parameters[int(number)]).copy_(tensor)
            state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
