"""The one training loop, for all levels and methods. It can be killed at any time and resumes exactly.

One step, in this order:

1. the global random generators are seeded by (keys, "global", epoch, step), so that dropout draws what it would have
   drawn in an undisturbed run; a generator for augmentation is made of (keys, "views", epoch, step);
2. ``step`` computes the loss of this process's rows; the rows of the next step are announced (``prefetch``);
3. backward; gradients are averaged over the processes;
4. loss and norm of the gradient are read: if one is not finite the training stops here, with weights, optimiser and
   checkpoint as they were before the step;
5. the gradient is clipped, the optimiser takes its step, the moving average follows the new weights.

A loss that has no gradient (no image of the batch has a label) ends after 2: nothing changes, and it is counted.

One end of an epoch: means become a row of the log; where it is due, ``validate`` sees the moving average of the
weights (the weights themselves if there is none), and the best of them are kept; the row goes to log and curves; the
checkpoint is written. With ``patience`` that may be the end: whether it is follows from the checkpoint alone. After
the last epoch the network has the best weights, else the average, else the last.

What is guaranteed: a run that is killed or stopped at any moment and started again with the same config, code, data,
number of processes and threads gives, on a CPU, the same bytes as an undisturbed one: weights, moving average, best
epoch, log. Data order, augmentation and dropout come from seeds and not from generators' states; all else is in the
checkpoint. On a GPU some kernels add in no fixed order and the last bits differ, as they do between two undisturbed
runs.
"""

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.pretrain import checkpoint as checkpoints
from workflow_scripts.lib.pretrain import parallel
from workflow_scripts.lib.pretrain.average import Average
from workflow_scripts.lib.pretrain.optimize import Schedule
from workflow_scripts.lib.pretrain.processes import STOPPED, stop_flag
from workflow_scripts.lib.pretrain.watch import Watch, diagnose
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)

COLLAPSED = -1e-4  # uniformity above this: all images of a batch fall on one point
REMEDY = (
    "The same config would come to the same step: lower learning_rate, set clip (1 is usual), raise warmup, set "
    "precision to float32, or look for damaged images among these."
)
Step = Callable[[np.ndarray, torch.Generator], tuple[torch.Tensor, dict[str, torch.Tensor]]]
Validate = Callable[[], dict[str, float]]


class Diverged(StudyError):
    """The loss, its gradient or all validations stopped being numbers: a matter of the settings, not of the data."""


def torch_generator(device: torch.device, seed: int, *keys: object) -> torch.Generator:
    """Return a torch generator on a device for these keys (see :func:`seeds.derive_seed`)."""
    return torch.Generator(device).manual_seed(seeds.derive_seed(seed, *keys))


@contextlib.contextmanager
def prepared(model: nn.Module, schedule: Schedule) -> Iterator[None]:
    """Compile and synchronise the networks in a model for a while; names in its state dict stay what they are."""
    networks = ([*model.children()] or [model]) if schedule.compile else []
    parallel.broadcast(model)
    parallel.synchronise_norms(model)
    for network in networks:
        network.compile()
    try:
        yield
    finally:
        parallel.restore_norms(model)
        for network in networks:
            network._compiled_call_impl = None


def train(
    model: nn.Module,
    step: Step,
    scans: int,
    schedule: Schedule,
    keys: tuple,
    device: torch.device,
    checkpoint: Path,
    identity: dict,
    *,
    validate: Validate | None = None,
    prefetch: Callable[[np.ndarray], None] | None = None,
    curves: Path | None = None,
    tell: Callable[[int], None] | None = None,
) -> list[dict]:
    """Train a network, from its checkpoint if there is one of this very run.

    Parameters
    ----------
    model : torch.nn.Module
        All that is trained; changed in place.
    step : callable
        Takes rows of the scans (this process's part of a batch) and a generator, the same in all processes;
        gives the loss (scalar) and numbers to log. All processes must report the same names. A number that is
        NaN, or missing, in a step takes no part in the mean of its epoch.
    scans : int
        How many scans there are; each epoch goes through them in a new order, without a last batch that
        is not full (unless the schedule has ``keep_last``).
    schedule : Schedule
    keys : tuple
        Study seed, then the names of this run (method, level, location).
    device : torch.device
    checkpoint : path
        Where to keep it; it stays after the last epoch, so that training again costs nothing, until the caller
        removes it.
    identity : dict
        All that the result depends on beside ``schedule`` and ``keys``: config, code, data.
    validate : callable, optional
        Gives ``criterion`` (the lower, the better; NaN is never the best) and other numbers, without changing
        the network, which is in evaluation mode. In several processes their mean counts.
    prefetch : callable, optional
        Is told the rows of the next step as soon as those of this one are used.
    curves : path, optional
        Folder for TensorBoard.
    tell : callable, optional
        Is told before each step which epoch (counted from 0) it belongs to.

    Returns
    -------
    list of dict
        One row an epoch: epoch, steps, learning_rate, loss, and the means of what ``step`` logs;
        ``gradient_norm`` (before clipping) where ``clip`` is on; ``skipped`` where steps had a loss without
        gradient. With ``validate``, ``valid_`` and its names, in epochs that were validated, and ``chosen``:
        whether the network has the weights of this epoch.

    Raises
    ------
    Diverged
        If the loss or the norm of its gradient is not finite, or no epoch has a criterion.
    StudyError
        If the representation has collapsed at the end, a batch cannot be divided equally between the processes, or
        the schedule has ``patience`` and there is nothing to validate.
    SystemExit
        With status 143 after SIGTERM; a checkpoint has been written.
    """
    known = checkpoints.identity_hash({**identity, "schedule": schedule.identity, "keys": list(keys)})
    with prepared(model, schedule), stop_flag() as stop:
        average = Average(model, schedule.ema) if schedule.ema else None
        run = checkpoints.Run(model, schedule.make_optimizer(model), average)
        run.at.processes = parallel.world_size()
        checkpoints.resume(checkpoint, run, known)
        training = _Training(run, step, scans, schedule, keys, device, (checkpoint, known), validate, prefetch)
        training.tell = tell
        at = run.at
        with Watch(training.name, training.total, training.taken, curves) as watch:
            while not training.is_over():
                if at.step < training.steps:
                    watch.step(training.take_step())
                    due = training.is_late()
                else:
                    watch.epoch(training.close_epoch(), schedule.epochs)
                    over = training.is_over()
                    due = schedule.checkpoint_end if over else at.epoch % schedule.checkpoint_epochs == 0
                stopping = parallel.agreed(stop.is_set())
                if due or stopping:
                    training.save()
                if stopping:
                    logger.warning("asked to stop: checkpoint at epoch %d, step %d", at.epoch, at.step)
                    parallel.barrier()  # until the first process has written it
                    raise SystemExit(STOPPED)
        return training.finish()


class _Training:
    """A run and all that its steps need; see :func:`train` and the order of operations at the top."""

    def __init__(self, run, step, scans, schedule, keys, device, kept, validate, prefetch):
        self.run, self.at, self.model, self.step = run, run.at, run.model, step
        self.schedule, self.keys, self.device, self.validate, self.prefetch = schedule, keys, device, validate, prefetch
        self.checkpoint, self.identity = kept
        self.tell: Callable[[int], None] | None = None
        self.batch = min(schedule.batch, scans)
        self.steps = schedule.steps(scans)
        self.total = schedule.epochs * self.steps
        self.name = " ".join(str(key) for key in keys[1:])
        self.saved, self.saved_at = (self.at.epoch, self.at.step) if self.taken else None, time.monotonic()
        # two, since the first rows of the next epoch are announced at the end of this one
        self.order = functools.lru_cache(2)(lambda epoch: seeds.generator(*keys, "order", epoch).permutation(scans))
        if schedule.patience is not None and validate is None:
            raise StudyError(f"{self.name}: patience (early stopping) needs validation scans, and there are none")
        self.model.train()
        parallel.require_same(self.taken, f"the checkpoint {self.checkpoint}")

    @property
    def taken(self) -> int:
        """Steps since the start of the first epoch."""
        return self.at.epoch * self.steps + self.at.step

    def rows(self, number: int) -> np.ndarray:
        """Return the rows of a step (counted from 0 over all epochs), of all processes."""
        epoch, step = divmod(number, self.steps)
        return self.order(epoch)[step * self.batch :][: self.batch]

    def seed_global(self, *where: object) -> None:
        """Seed torch's own generators; beside the first process differently, or all drop out the same units."""
        own = () if parallel.is_first() else (parallel.rank(),)
        torch.manual_seed(seeds.derive_seed(*self.keys, *where, *own))

    def take_step(self) -> float:
        """Take the next step and return its loss."""
        at, optimizer, number = self.at, self.run.optimizer, self.taken
        rate = self.schedule.rate(number, self.total)
        for group in optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        optimizer.zero_grad(set_to_none=True)
        if self.tell is not None:
            self.tell(at.epoch)
        self.seed_global("global", at.epoch, at.step)
        try:
            learns, numbers, norm = self.differentiate(number)
        except torch.linalg.LinAlgError as error:
            self.refuse(f"the projection failed ({error}). Lower learning_rate or raise ridge", {}, rate)
        for name, said in (("loss", "loss"), ("gradient_norm", "norm of the gradient")):
            if not math.isfinite(numbers[name]):
                self.refuse(f"the {said} is {numbers[name]}", numbers, rate)
        if learns:
            if self.schedule.clip:
                nn.utils.clip_grads_with_norm_(self.model.parameters(), self.schedule.clip, norm)
            optimizer.step()
            if self.run.average is not None:
                self.run.average.update(number)
        left_out = () if self.schedule.clip else ("gradient_norm",)
        if not learns:
            left_out = ("gradient_norm", "loss")
        at.add({name: value for name, value in numbers.items() if name not in left_out}, learns)
        return numbers["loss"]

    def differentiate(self, number: int) -> tuple[bool, dict[str, float], torch.Tensor]:
        """Compute loss and gradients; tells if there are any, what was reported, and the norm of the gradient."""
        at = self.at
        draws = torch_generator(self.device, *self.keys, "views", at.epoch, at.step)
        loss, report = self.step(parallel.share(self.rows(number)), draws)
        if self.prefetch is not None and number + 1 < self.total:
            self.prefetch(parallel.share(self.rows(number + 1)))
        if loss.requires_grad:
            loss.backward()
            parallel.average_gradients(self.model)
        norm = nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
        numbers = parallel.average({"loss": loss, **report, "gradient_norm": norm}, self.device)
        return loss.requires_grad, numbers, norm

    def refuse(self, fault: str, numbers: dict[str, float], rate: float) -> NoReturn:
        """Stop at a step that must not be taken, with a diagnosis."""
        where = f"{self.name}, epoch {self.at.epoch + 1}, step {self.at.step + 1}"
        last = "there is no checkpoint yet"
        if self.saved is not None:
            last = f"the last good checkpoint, {self.checkpoint}, is of epoch {self.saved[0]}, step {self.saved[1]}"
        details = diagnose(self.model, numbers, rate, self.rows(self.taken))
        raise Diverged(f"{where}: {fault}. {details} Nothing of this step was kept; {last}. {REMEDY}")

    def close_epoch(self) -> dict:
        """Turn the sums of an epoch into a row of the log, validate, and go on to the next."""
        at, schedule = self.at, self.schedule
        if at.skipped == self.steps:
            raise StudyError(
                f"{self.name}, epoch {at.epoch + 1}: no batch had a loss to learn from; is there any label?"
            )
        means = {name: total / at.counts[name] for name, total in at.sums.items()}
        if at.skipped:
            means["skipped"] = at.skipped
        rate = schedule.rate((at.epoch + 1) * self.steps - 1, self.total)
        at.epoch, at.step, at.sums, at.counts, at.skipped = at.epoch + 1, 0, {}, {}, 0
        row = {"epoch": at.epoch, "steps": self.steps, "learning_rate": rate, **means}
        if self.validate is not None and (at.epoch % schedule.validate_epochs == 0 or at.epoch == schedule.epochs):
            row.update(self.validated())
        at.rows.append(row)
        if means.get("uniformity", -math.inf) > COLLAPSED:
            logger.warning("%s: all images have the same representation in epoch %d", self.name, at.epoch)
        return row

    @torch.no_grad()
    def validated(self) -> dict[str, float]:
        """Validate the weights that would be kept now, and keep them if they are the best."""
        at, average = self.at, self.run.average
        self.seed_global("validate", at.epoch)
        self.model.eval()
        with contextlib.nullcontext() if average is None else average.applied():
            found = parallel.average(self.validate(), self.device)
            if found["criterion"] < at.criterion:  # the earlier of equals stays, and NaN is below nothing
                at.best_epoch, at.criterion = at.epoch, found["criterion"]
                state = self.model.state_dict()
                self.run.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}
        self.model.train()
        return {f"valid_{name}": value for name, value in found.items()}

    def is_over(self) -> bool:
        """Whether no epoch is left, or none was better for so long that training stops early."""
        at, patience = self.at, self.schedule.patience
        if at.epoch >= self.schedule.epochs:
            return True
        just_validated = at.step == 0 and bool(at.rows) and "valid_criterion" in at.rows[-1]
        return patience is not None and just_validated and at.epoch - at.best_epoch >= patience

    def is_late(self) -> bool:
        """Whether the last checkpoint was written too many minutes ago."""
        minutes = self.schedule.checkpoint_minutes
        return bool(minutes) and time.monotonic() - self.saved_at >= 60 * minutes

    def save(self) -> None:
        """Write a checkpoint, from the first process."""
        if parallel.is_first():
            checkpoints.save(self.checkpoint, self.run, self.identity)
        self.saved, self.saved_at = (self.at.epoch, self.at.step), time.monotonic()

    def finish(self) -> list[dict]:
        """Put the weights to be kept into the network and return the log."""
        at = self.at
        if at.rows[-1].get("uniformity", -math.inf) > COLLAPSED:
            raise StudyError(
                f"{self.name}: all images have the same representation after the last epoch (collapse). Lower "
                "learning_rate, raise batch or temperature, or weaken the augmentation."
            )
        if self.validate is None:
            if self.run.average is not None:
                self.run.average.put_in()
            return at.rows
        if not at.best_epoch:
            raise Diverged(
                f"{self.name}: the validation criterion was finite in no epoch, so that none can be chosen. Look at "
                "the labels of the validation scans, or lower learning_rate."
            )
        self.model.load_state_dict(self.run.best)
        return [{**row, "chosen": row["epoch"] == at.best_epoch} for row in at.rows]
