"""The one training loop, for both levels and all methods. It can be killed at any time and resumes exactly."""

import contextlib
import dataclasses
import logging
import math
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.pretrain import checkpoint as checkpoints
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)

OPTIMIZERS = ("adamw", "sgd")
COLLAPSED = -1e-4  # uniformity above this: all images of a batch fall on one point
Step = Callable[[np.ndarray, torch.Generator], tuple[torch.Tensor, dict[str, torch.Tensor]]]


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long and how fast a network is trained.

    Attributes
    ----------
    epochs : int
    batch : int
        Images in a batch, at most: fewer if there are not as many scans.
    learning_rate : float
        The peak, reached after the warm-up; from there half a cosine to 0.
    optimizer : {'adamw', 'sgd'}
    weight_decay : float
    momentum : float
        Of SGD.
    warmup : float
        Share of all steps in which the rate rises linearly.
    checkpoint_epochs : int
        A checkpoint every so many epochs.
    """

    epochs: int
    batch: int
    learning_rate: float
    optimizer: str = "adamw"
    weight_decay: float = 1e-4
    momentum: float = 0.9
    warmup: float = 0.1
    checkpoint_epochs: int = 10

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise StudyError(f"optimizer '{self.optimizer}' is not known; choose one of {', '.join(OPTIMIZERS)}")
        if self.epochs < 1 or self.batch < 2 or self.checkpoint_epochs < 1:
            raise StudyError(
                f"training needs at least 1 epoch, 2 images a batch and a checkpoint every 1 or more epochs; found "
                f"{self.epochs}, {self.batch}, {self.checkpoint_epochs}"
            )

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step (counted from 0) of so many."""
        rising = max(1, round(self.warmup * steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    def make_optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """Make the optimiser; one-dimensional parameters (biases, normalisations) do not decay."""
        parameters = list(model.parameters())
        groups = [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "adamw":
            return torch.optim.AdamW(groups, lr=self.learning_rate)
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum)


def torch_generator(device: torch.device, seed: int, *keys: object) -> torch.Generator:
    """Return a torch generator on a device for these keys (see :func:`seeds.derive_seed`)."""
    return torch.Generator(device).manual_seed(seeds.derive_seed(seed, *keys))


@contextlib.contextmanager
def stop_flag() -> Iterator[threading.Event]:
    """Give an event that SIGTERM (preemption, time limit) sets, instead of ending the process at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may set handlers; others are stopped by whoever started them
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, previous)


def train(
    model: nn.Module,
    step: Step,
    scans: int,
    schedule: Schedule,
    keys: tuple,
    device: torch.device,
    checkpoint: Path,
    identity: dict,
) -> list[dict]:
    """Train a network, from its checkpoint if there is one of this very run.

    Parameters
    ----------
    model : torch.nn.Module
        All that is trained; changed in place.
    step : callable
        Takes rows of the scans and a generator; gives the loss (scalar with gradient) and numbers to log.
    scans : int
        How many scans there are; each epoch goes through them in a new order, without a last batch that
        is not full.
    schedule : Schedule
    keys : tuple
        Study seed, then the names of this run (method, level, location).
    device : torch.device
    checkpoint : path
        Where to keep it; it stays after the last epoch, so that training again costs nothing, until the caller
        removes it.
    identity : dict
        All that the result depends on beside ``schedule`` and ``keys``: config, code, data.

    Returns
    -------
    list of dict
        One row an epoch: epoch, steps, learning_rate, loss, and the means of what ``step`` logs.

    Raises
    ------
    StudyError
        If the loss is not finite or the representation has collapsed at the end.
    SystemExit
        With status 143 after SIGTERM; a checkpoint has been written.

    Notes
    -----
    On a CPU a resumed run gives the same bytes as an undisturbed one with as many threads. On a GPU some
    kernels add in no fixed order and the last bits differ, as they do between two undisturbed runs.
    """
    batch = min(schedule.batch, scans)
    steps = scans // batch
    optimizer = schedule.make_optimizer(model)
    known = checkpoints.identity_hash({**identity, "schedule": dataclasses.asdict(schedule), "keys": list(keys)})
    at = checkpoints.resume(checkpoint, model, optimizer, known)
    model.train()
    with stop_flag() as stop:
        while at.epoch < schedule.epochs:
            order = seeds.generator(*keys, "order", at.epoch).permutation(scans)
            while at.step < steps:
                rate = schedule.rate(at.epoch * steps + at.step, schedule.epochs * steps)
                draws = torch_generator(device, *keys, "views", at.epoch, at.step)
                rows = order[at.step * batch :][:batch]
                report = _take_step(step, rows, draws, optimizer, rate, at)
                at.sums = {name: at.sums.get(name, 0.0) + value for name, value in report.items()}
                at.step += 1
                if stop.is_set():
                    checkpoints.save(checkpoint, model, optimizer, at, known)
                    logger.warning("asked to stop: checkpoint at epoch %d, step %d", at.epoch, at.step)
                    raise SystemExit(143)
            _close_epoch(at, steps, schedule, keys)
            if at.epoch % schedule.checkpoint_epochs == 0 or at.epoch == schedule.epochs:
                checkpoints.save(checkpoint, model, optimizer, at, known)
    if at.rows[-1].get("uniformity", -math.inf) > COLLAPSED:
        raise StudyError(
            f"{_name(keys)}: all images have the same representation after the last epoch (collapse). Lower "
            "learning_rate, raise batch or temperature, or weaken the augmentation."
        )
    return at.rows


def _name(keys: tuple) -> str:
    return " ".join(str(key) for key in keys[1:])


def _take_step(
    step: Step,
    rows: np.ndarray,
    generator: torch.Generator,
    optimizer: torch.optim.Optimizer,
    rate: float,
    at: checkpoints.Progress,
) -> dict[str, float]:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    where = f"epoch {at.epoch + 1}, step {at.step + 1}"
    try:
        loss, report = step(rows, generator)
    except torch.linalg.LinAlgError as error:
        raise StudyError(f"{where}: the projection failed ({error}). Lower learning_rate or raise ridge.") from error
    if not torch.isfinite(loss):
        raise StudyError(f"{where}: the loss is {loss.item()}. Lower learning_rate, or look for damaged patches.")
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), **{name: float(value) for name, value in report.items()}}


def _close_epoch(at: checkpoints.Progress, steps: int, schedule: Schedule, keys: tuple) -> None:
    """Turn the sums of an epoch into a row of the log and go on to the next."""
    means = {name: total / steps for name, total in at.sums.items()}
    rate = schedule.rate((at.epoch + 1) * steps - 1, schedule.epochs * steps)
    at.epoch, at.step, at.sums = at.epoch + 1, 0, {}
    at.rows.append({"epoch": at.epoch, "steps": steps, "learning_rate": rate, **means})
    text = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    logger.info("%s: epoch %d of %d: %s", _name(keys), at.epoch, schedule.epochs, text)
    if means.get("uniformity", -math.inf) > COLLAPSED:
        logger.warning("%s: all images have the same representation in epoch %d", _name(keys), at.epoch)
