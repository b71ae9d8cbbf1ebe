"""Time self-supervised training steps on patches: the library's loop beside the straightforward route.

    ./run python -m tests.benchmarks.ssl_step [--quick] [--spacings 4 2 1] [--objective simclr] [--files npy]

Library: patches resident as 8-bit numbers, augmented as a batch, PatchLevel, the training loop. Straightforward: a
dataset that reads one float32 patch a scan from .npy (or .nii.gz), two views by MONAI's or TorchIO's transforms, one
sample after the other in the workers of a DataLoader; float32, eager, contiguous, torch's AdamW. Both have the same
list of augmentations with the same probabilities and strengths (labels, which is in neither library for patches
without label maps, is restated in numpy), the same encoder and loss, and read the loss after each step.

Routes take turns, in one process; the least of the rounds counts. Wall seconds hold what waits for what. Cpu seconds
(all threads and workers) do not change with other work on the machine, as long as --cores is 1: of two threads that
share a convolution, the one that waits for the other spins, and on a busy machine it spins for long. The workers' start
is part of their epoch. Stages are timed one after the other in one process; a GPU waits after each, which it does not
in a training.
"""

import argparse
import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.plain_route import LIBRARIES, PARTS, PATCH, Plain, Study, Views, read
from tests.benchmarks.sfcn_throughput import (
    best,
    cpu_seconds,
    make_profiler,
    own_device,
    read_profile,
    timed,
    use,
    wait,
)
from workflow_scripts.lib.imaging.regions import patch_slices
from workflow_scripts.lib.pretrain.augment import Augmentation, augment
from workflow_scripts.lib.pretrain.levels import PatchLevel, two_view_loss
from workflow_scripts.lib.pretrain.loop import train
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.pretrain.source import PatchSource

# all nine and scaling, as strong as the config has them; spike and labels, which it leaves out, as pictured
STRENGTHS = {"rotation": 10.0, "scaling": 0.1, "flip": 0.5, "labels": 0.25, "contrast": 1.3, "bias": 0.2}
STRENGTHS |= {"blur": 0.6, "spike": 0.2, "noise": 0.1}
CROPS = {"cuda": 0.9, "cpu": 0.75}  # envs/paper.yaml, config.yaml
SOME = 16  # scans that stages are timed on where it goes one by one
METHODS = {"simclr": {"objective": "simclr", "projector": True}, "rnce": {"objective": "rnce"}}
QUICK = {"spacings": [8], "batch": 12, "steps": 2, "rounds": 1}
# spacing -> batch on a CPU: less than a second a step
CPU_BATCH = {8: 72, 4: 72, 2: 16, 1: 4}


def settings(options: argparse.Namespace, batch: int, device: torch.device) -> Settings:
    """Say what a config would say."""
    section = {
        "method": METHODS[options.objective],
        "temperature": 0.2,
        "representation": 64 if batch > 64 else 8,  # R-NCE needs more scans in a batch
        "precision": "bfloat16" if device.type == "cuda" else "float32",
        "resident_gb": 100,
        "augmentation": {"probability": 0.5, "crop": options.crop, **STRENGTHS},
        "patch": {"epochs": 1, "batch": batch, "learning_rate": 1e-3, "checkpoint_epochs": 10**6},
    }
    return Settings.from_config(section, "patch", options.objective, 1)


class Library:
    """The library's route: source, level, loop."""

    def __init__(self, given: Settings, study: Study, device: torch.device):
        self.given, self.device = given, device
        self.source = PatchSource(study.shards, PATCH, study.ids, device, given.resident_bytes)
        self.auxiliary = study.auxiliary if given.method.guided else None

    def level(self) -> PatchLevel:
        return PatchLevel(self.given, self.source, self.auxiliary)

    def train(self, warm: int, steps: int, compiled: bool = False, profiled: bool = False) -> dict[str, float]:
        """Train anew and give the seconds of a step, or what :func:`read_profile` gives, of the steps after some."""
        level, marks, profiler = self.level(), [], make_profiler(self.device) if profiled else None

        def step(rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            marks.append((time.perf_counter(), cpu_seconds()))  # the loop has read the loss of the step before
            if profiler and len(marks) == warm + 1:
                profiler.start()
            if profiler and len(marks) == warm + steps + 1:
                wait(self.device)
                profiler.stop()
            return level.step(rows, generator)

        epochs = -(-(warm + steps + 1) // (len(self.source) // self.given.schedule.batch))
        schedule = dataclasses.replace(self.given.schedule, epochs=epochs, compile=compiled)
        torch.use_deterministic_algorithms(self.device.type == "cpu")  # as runs.use_device does
        torch.utils.deterministic.fill_uninitialized_memory = False
        try:
            with tempfile.TemporaryDirectory() as folder:
                kept = Path(folder) / "checkpoint.safetensors"
                train(level, step, len(self.source), schedule, (1, "benchmark"), self.device, kept, {})
        finally:
            torch.use_deterministic_algorithms(False)
        if profiler:
            worked, shares = read_profile(profiler, self.device)
            return {"worked": worked / steps, "shares": shares}
        (wall, cpu), (wall_after, cpu_after) = marks[warm], marks[warm + steps]
        return {"wall": (wall_after - wall) / steps, "cpu": (cpu_after - cpu) / steps}


def compare(study: Study, options: argparse.Namespace, batch: int, device: torch.device) -> list[dict]:
    """Time all routes in turns; return rows of the table: seconds a step, ratios to the library's."""
    cuda = device.type == "cuda"
    given = settings(options, batch, device)
    library, plain, warm = Library(given, study, device), Plain(given, study, device), 5 if cuda else 1
    # every worker makes some batches, or its start would count too much
    plain_steps = max(options.steps, 2 * options.workers)
    epochs = {name: Views(study, name, options.files, given.augmentation, plain_steps, batch) for name in LIBRARIES}
    plain.learn(*stand_ins(study, given, batch))
    found: dict[str, list[dict]] = {}
    for _ in range(options.rounds):
        found.setdefault("library", []).append(library.train(warm, options.steps))
        if options.compile:
            found.setdefault("library, compiled", []).append(library.train(warm, options.steps, compiled=True))
        for name, views in epochs.items():
            taken = timed(device, lambda views=views: plain.epoch(views, batch, options.workers))
            found.setdefault(name, []).append({part: seconds / plain_steps for part, seconds in taken.items()})
    table = [{"route": name, **best(measured)} for name, measured in found.items()]
    for row in table:
        row.update(ratio=row["wall"] / table[0]["wall"], cpu_ratio=row["cpu"] / table[0]["cpu"])
    worked = library.train(warm, options.steps, profiled=True)
    table[0].update(shares=worked["shares"], busy=min(1.0, worked["worked"] / table[0]["wall"]) if cuda else None)
    return table


def stand_ins(study: Study, given: Settings, batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Make rows and two views of a batch as the straightforward route has them, of random numbers."""
    kept = tuple(max(1, round(given.augmentation.crop * n)) for n in study.shape)
    first, second = (study.mean + study.std * torch.randn(batch, 1, *kept) for _ in range(2))
    return torch.arange(batch), first, second


def stages(study: Study, options: argparse.Namespace, batch: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Time what a step consists of, one after the other: ms a scan; cpu time on a CPU, else wall."""
    given = settings(options, batch, device)
    library, plain = Library(given, study, device), Plain(given, study, device)
    level, generator, rows = library.level(), torch.Generator(device).manual_seed(1), np.arange(batch)
    patches, optimizer = library.source.batch(rows), given.schedule.make_optimizer(level)
    classes = library.source.classes(rows)
    images = [torch.from_numpy(read(file))[None] for file in study.files["npy"][:SOME]]
    views = stand_ins(study, given, batch)

    def augmented() -> torch.Tensor:
        both = torch.cat([augment(patches, given.augmentation, generator, classes) for _ in range(2)])
        return both.contiguous(memory_format=torch.channels_last_3d)

    def network() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, **given.autocast):
            h = level.encoder(fixed).chunk(2)
        a = None if level.auxiliary is None else (level.auxiliary[:batch],) * 2
        two_view_loss(given.method, h, a, level.projector, True, None)[0].backward()
        optimizer.step()

    def per_scan(action: Callable[[], object], scans: int = batch, on: torch.device = device) -> float:
        action()
        taken = best([timed(on, action) for _ in range(2)])
        return 1e3 * taken["wall" if on.type == "cuda" else "cpu"] / scans

    fixed, cpu = augmented(), torch.device("cpu")
    ours = {"load": per_scan(lambda: (library.source.batch(rows), library.source.classes(rows)))}
    ours |= {"augment": per_scan(augmented), "network": per_scan(network)}
    learned = per_scan(lambda: plain.learn(*views))
    found = {"library": ours}
    for name in LIBRARIES:
        chosen = Views(study, name, "npy", given.augmentation, 1, len(images))
        both = per_scan(lambda chosen=chosen: [chosen.view(image) for image in images * 2], len(images), cpu)
        found[name] = {"augment": both, "network": learned}
        for kind, files in study.files.items():
            found[name][f"load {kind}"] = per_scan(
                lambda files=files: [read(file) for file in files[:SOME]], len(images), cpu
            )
    return found


def each_transform(study: Study, crop: float, batch: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Time each transform when it is applied: ms a view; the library's on the device, the others' on one core."""
    images = [torch.from_numpy(read(file))[None] for file in study.files["npy"][: SOME // 2]]
    source = PatchSource(study.shards, PATCH, study.ids, device, 10**11)
    patches, classes = (take(np.arange(batch)) for take in (source.batch, source.classes))
    generator, always = (
        torch.Generator(device).manual_seed(1),
        Augmentation(**{**STRENGTHS, "flip": 1.0, "labels": 1.0}),
    )
    always = dataclasses.replace(always, probability=1.0)
    parts = {name: PARTS[name](always, study) for name in LIBRARIES}
    found = {}
    for name in parts["monai"]:
        wanted = {name: getattr(always, name)} | ({"scaling": always.scaling} if name == "rotation" else {})
        one = Augmentation(probability=1.0, **wanted)
        actions = {"library": (lambda one=one: augment(patches, one, generator, classes), batch, device)}
        for other in LIBRARIES:
            part = parts[other][name]
            actions[other] = (lambda part=part: [part(image) for image in images], len(images), torch.device("cpu"))
        found[name] = {}
        for route, (action, count, on) in actions.items():
            action()
            taken = best([timed(on, action) for _ in range(2)])
            found[name][route] = 1e3 * taken["wall" if on.type == "cuda" else "cpu"] / count
    return found


@contextlib.contextmanager
def limited(cores: int) -> Iterator[None]:
    """Keep this process and its workers on so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure(options: argparse.Namespace, spacing: int, device: torch.device) -> dict:
    """Measure everything with the patch of one spacing."""
    shape = tuple(part.stop - part.start for part in patch_slices(spacing)[PATCH])
    batch = options.batch or (256 if device.type == "cuda" else CPU_BATCH[spacing])
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder), shape, 2 * batch, 2 * batch if options.files == "nii.gz" else SOME)
        return {
            "spacing": spacing,
            "shape": shape,
            "batch": batch,
            "crop": options.crop,
            "steps": compare(study, options, batch, device),
            "stages": stages(study, options, batch, device),
            "transforms": each_transform(study, options.crop, batch, device),
        }


def text(found: dict) -> list[str]:
    """Lay the tables of one spacing out."""
    shape = " x ".join(map(str, found["shape"]))
    kept = f"{found['crop']:g} of each axis kept, {found['batch']} a batch"
    lines = [f"{found['spacing']} mm, patches of {shape}, {kept}"]
    lines.append(f"{'route':20}{'wall s/step':>12}{'ratio':>8}{'cpu s/step':>12}{'ratio':>8}")
    for row in found["steps"]:
        numbers = f"{row['wall']:12.3f}{row['ratio']:8.2f}{row['cpu']:12.3f}{row['cpu_ratio']:8.2f}"
        lines.append(f"{row['route']:20}{numbers}")
    first = found["steps"][0]
    if first["busy"] is not None:
        lines.append(f"GPU busy {first['busy']:.1%} of a step")
    lines.append(
        "where the library's goes: " + ", ".join(f"{name} {part:.0%}" for name, part in first["shares"].items())
    )
    for title, part in (("ms a scan, stage by stage", "stages"), ("ms a view, each transform applied", "transforms")):
        lines += [title, *_grid(found[part])]
    return lines


def _grid(numbers: dict[str, dict[str, float]]) -> list[str]:
    """Lay rows of numbers out; a column that a row has not is empty."""
    names = list(dict.fromkeys(name for row in numbers.values() for name in row))
    lines = [f"{'':12}" + "".join(f"{name:>13}" for name in names)]
    for title, row in numbers.items():
        lines.append(f"{title:12}" + "".join(f"{row[name]:13.2f}" if name in row else f"{'':13}" for name in names))
    return lines


def main(arguments: list[str] | None = None) -> dict:
    """Run the comparison and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny patches, two steps: whether it runs")
    parser.add_argument("--device", help="cuda or cpu")
    parser.add_argument("--spacings", type=int, nargs="+", help="mm: 1 on a GPU; 4, 2 and 1 on a CPU")
    parser.add_argument("--batch", type=int, help="256 on a GPU, on a CPU by spacing")
    parser.add_argument("--steps", type=int, help="timed in each round: 30 on a GPU, 3 on a CPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--objective", choices=METHODS, default="simclr")
    parser.add_argument("--crop", type=float, help="share of each axis: 0.9 on a GPU, 0.75 on a CPU")
    parser.add_argument("--files", choices=("npy", "nii.gz"), default="npy")
    parser.add_argument("--cores", type=int, help="2 on a CPU: threads, and workers of the straightforward route")
    parser.add_argument("--workers", type=int, help="of the straightforward route: as many as cores, 16 at most")
    parser.add_argument("--compile", action="store_true", help="the library with torch.compile as well (minutes)")
    given = parser.parse_args(arguments)
    device = own_device(given.device)
    cuda, there = device.type == "cuda", len(os.sched_getaffinity(0))
    chosen = {"spacings": [1] if cuda else [4, 2, 1], "steps": 30 if cuda else 3, "crop": CROPS[device.type]}
    if given.quick:
        vars(given).update(QUICK)
    for name, value in chosen.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    cores = min(there, given.cores or (there if cuda else 2))
    given.workers = min(16, cores) if given.workers is None else given.workers
    use(device, cores)
    with limited(cores):
        found = [measure(given, spacing, device) for spacing in given.spacings]
    for part in found:
        print("\n".join(text(part)))
    return {"device": device.type, "cores": cores, "workers": given.workers, "found": found}


if __name__ == "__main__":
    main()
