"""What a fit costs on this machine: a few steps on made-up volumes of the study's own size, before any is launched."""

import contextlib
import ctypes
import dataclasses
import gc
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import multiprocessing

from workflow_scripts.lib.finetune import packed, starts
from workflow_scripts.lib.finetune.fits import use_one_thread
from workflow_scripts.lib.finetune.level import FitLevel
from workflow_scripts.lib.finetune.options import Options
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.pretrain.loop import torch_generator
from workflow_scripts.lib.study import seeds

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclasses.dataclass(frozen=True)
class _Probe:
    """What the processes of a measurement are told."""

    options: Options
    start: starts.Start
    spacing: float
    device: torch.device
    steps: int
    ready: object = None


def measure_fit(
    options: Options, start: starts.Start, spacing: float, device: torch.device, at_once: int = 1, steps: int = 5
) -> dict[str, object]:
    """Time training steps and scoring of one model.

    A step is what the loop does: batch, augmentation, forward, backward, reading loss and norm, optimiser. Weights are
    random, which costs the same as pretrained ones. Loading the data and starting processes is left out. On a GPU
    seconds are those of the clock; on a CPU, where a fit has one thread, those of the processor, so that other work on
    the machine makes no difference.

    Parameters
    ----------
    options : Options
    start : starts.Start
    spacing : float
        Of the template grid, mm.
    device : torch.device
    at_once : int
        Processes that measure at the same time, as in a job of so many ``fits_at_once``. What a fit costs the device
        is then the seconds over this number.
    steps : int
        Timed, after two that are not; their median counts.

    Returns
    -------
    dict
        A row of schema ``fit_costs``: model, device, batch, fits_at_once, ``seconds_step`` (one training step of a
        batch), ``seconds_scan`` (one scan through the network, as in validation and test), ``megabytes`` (largest use
        of one fit beyond its volumes), ``megabytes_scan`` (volumes of one scan), ``megabytes_checkpoint``.
    """
    found: list[dict] = []
    ready = multiprocessing.get_context("spawn").Barrier(at_once) if at_once > 1 else None
    probe = _Probe(options, start, spacing, device, steps, ready)
    packed.work_off(use_one_thread, _measure, probe, range(at_once), at_once, lambda _, row: found.append(row))
    row = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    same = {"model": options.model, "device": name, "batch": options.schedule.batch, "fits_at_once": at_once}
    return {**same, **row}


def _measure(probe: _Probe, _: int) -> dict[str, float]:
    """Measure in one process."""
    options, start, device = probe.options, probe.start, probe.device
    scans, random = 2 * options.schedule.batch, seeds.generator(options.seed, "measure", options.model)
    sources = [
        ResidentSource.made_up(name, shape, scans, device, start.rule, random)
        for name, shape in zip(start.arrays, starts.shapes(start.arrays, probe.spacing), strict=True)
    ]
    rows = dict.fromkeys(("train", "validation", "test"), np.arange(scans))
    labels = dict.fromkeys(rows, np.arange(scans, dtype=np.float32) % 2)
    with _peak(device) as used:
        network = start.make(options.dropouts[-1])
        starts.set_intensity(network, sources, rows["train"])
        level = FitLevel(options, network, sources, rows, labels)
        take_step = _stepper(level, options)
        step = _median(take_step, probe, probe.steps)
        level.eval()
        score = _median(lambda: level.score("validation"), probe, max(1, probe.steps // 2))
    return {
        "seconds_step": step,
        "seconds_scan": score / scans,
        "megabytes": used[0],
        "megabytes_scan": sum(source.megabytes for source in sources) / scans,
        # weights, both moments of the optimiser, and the best weights
        "megabytes_checkpoint": 4 * sum(tensor.nbytes for tensor in network.state_dict().values()) / 1e6,
    }


def _stepper(level: FitLevel, options: Options) -> Callable[[], None]:
    """Make a function that takes one step as the loop does."""
    setting = options.settings[0]
    optimizer = options.schedule_of(setting).make_optimizer(level)
    generator = torch_generator(level.device, options.seed, "measure")
    rows = np.arange(options.schedule.batch)
    level.train()

    def take_step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss, _ = level.step(rows, generator)
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in level.parameters() if p.grad is not None])
        torch.stack([loss.detach(), norm]).tolist()
        optimizer.step()

    return take_step


def _median(action: Callable[[], object], probe: _Probe, times: int) -> float:
    """Time an action so many times, after two that choose kernels and fill caches; seconds."""
    device, found = probe.device, []
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    for number in range(times + 2):
        if number == 2 and probe.ready is not None:
            probe.ready.wait(timeout=600)  # so that all are timed while the others work
        _wait(device)
        begun = clock()
        action()
        _wait(device)
        found.append(clock() - begun)
    return float(np.median(found[2:]))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def _peak(device: torch.device) -> Iterator[list[float]]:
    """Give a list that holds, afterwards, by how many megabytes memory rose at most within the block."""
    found: list[float] = []
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield found
        found.append((torch.cuda.max_memory_allocated(device) - before) / 1e6)
        return
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # or what was freed before would be used again, and not be seen
        CLEAR.write_text("5")  # Linux forgets the largest size so far
    before = _resident("VmRSS")
    yield found
    found.append(max(0.0, _resident("VmHWM") - before))


def _resident(key: str) -> float:
    """Read the memory of this process, in MB; without Linux's /proc the largest so far."""
    if not STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return float(line.split()[1]) * 1024 / 1e6
