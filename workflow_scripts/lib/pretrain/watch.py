"""What a person sees of a training while it runs, and what is said if it has to stop."""

import logging
import math
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from workflow_scripts.lib.pretrain import parallel

logger = logging.getLogger(__name__)

MOST_ROWS = 200  # of a batch that are listed


class Watch:
    """A progress bar on a terminal, a log line an epoch, and curves for TensorBoard; from the first process alone.

    Parameters
    ----------
    name : str
        Of the run.
    steps : int
        Of the whole training.
    done : int
        Steps that were taken before, by a run that this one goes on with.
    curves : path or None
        Folder for TensorBoard, None for no curves. A resumed run writes the points of its epochs anew, and tells
        TensorBoard to drop those that an interrupted run has written of the same epochs.
    """

    def __init__(self, name: str, steps: int, done: int, curves: Path | None):
        self._name, self._curves, self._writer = name, curves if parallel.is_first() else None, None
        shown = parallel.is_first() and sys.stderr.isatty()
        self._bar = tqdm(desc=name, total=steps, initial=done, unit="step", dynamic_ncols=True, disable=not shown)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def step(self, loss: float) -> None:
        """Show that a step was taken."""
        self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update()

    def epoch(self, row: dict, epochs: int) -> None:
        """Log the row of an epoch and add it to the curves."""
        numbers = {name: value for name, value in row.items() if name not in ("epoch", "steps")}
        text = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        logger.info("%s: epoch %d of %d: %s", self._name, row["epoch"], epochs, text)
        if self._curves is None:
            return
        if self._writer is None:
            # takes a second to load, which trainings without curves are spared
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._curves), purge_step=row["epoch"])
        for name, value in numbers.items():
            kind, _, rest = name.partition("valid_")
            tag = f"train/{name}" if kind else f"valid/{rest}"
            self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()  # before the checkpoint: a killed run must not lose points that no one writes again


def diagnose(model: nn.Module, numbers: dict[str, float], rate: float, rows: np.ndarray) -> str:
    """Say what a step looked like that must not be taken: numbers, learning rate, largest tensors, images.

    Parameters
    ----------
    model : torch.nn.Module
        With the gradients of the step, and the weights before it.
    numbers : dict of str to float
        What the step reported, with ``gradient_norm``; empty if it did not come that far.
    rate : float
    rows : numpy.ndarray
        Of all processes.
    """
    bad = [f"{name} {value}" for name, value in numbers.items() if not math.isfinite(value)]
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    weights = dict(model.named_parameters())
    shown = ", ".join(str(row) for row in rows[:MOST_ROWS].tolist())
    more = f" and {len(rows) - MOST_ROWS} more" if len(rows) > MOST_ROWS else ""
    return (
        f"Not finite: {', '.join(bad) or 'nothing that was reported'}. Learning rate {rate:.3g}. "
        f"Largest gradients: {_largest(gradients)}. Largest weights, before the step: {_largest(weights)}. "
        f"Images of the batch, by their place in the list of training scans, from 0: {shown}{more}."
    )


def _largest(tensors: dict[str, torch.Tensor], count: int = 3) -> str:
    """Name the tensors with the largest entries; those that are not finite come first."""
    sizes = {name: tensor.detach().abs().max().item() for name, tensor in tensors.items() if tensor.numel()}
    order = sorted(sizes, key=lambda name: sizes[name] if math.isfinite(sizes[name]) else math.inf, reverse=True)
    return ", ".join(f"{name} ({sizes[name]:.3g})" for name in order[:count]) or "none"
