"""Time training steps of the SFCN on whole volumes: the library's beside eager float32, and what lies between.

    ./run python -m tests.benchmarks.sfcn_throughput [--quick] [--grid 160 192 160] [--batch 8] [--compile]

Volumes are random 8-bit numbers, resident on the device; a step is that of the multi-task method: batch, shift,
network, loss of six targets, gradients, optimiser. Routes are timed in turns, in one process; the best of the rounds
counts. Without --grid it is 160 x 192 x 160 on a GPU and 80 x 96 x 80 on a CPU, where half precision is left out: few
CPUs have instructions for it. Eager float32 is as torch comes, so that a GPU rounds to TF32 in convolutions; another
row forbids that. Batches of 8 keep the maps of the first block below 2^31 numbers, the limit of many kernels. Work is
counted from the shapes of the convolutions (step_flop). "Busy" is the time in which some kernel runs (torch.profiler)
over the time of a step without profiler.
"""

import argparse
import contextlib
import json
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from workflow_scripts.lib.imaging.contract import registered_contract
from workflow_scripts.lib.models.sfcn import CHANNELS, SFCN
from workflow_scripts.lib.pretrain import multitask
from workflow_scripts.lib.pretrain.settings import Settings
from workflow_scripts.lib.pretrain.source import PatchSource
from workflow_scripts.lib.pretrain.volumes import SHIFT, MultitaskLevel, shift
from workflow_scripts.lib.study.files import write_json

GRIDS = {"cuda": (160, 192, 160), "cpu": (80, 96, 80)}
# part of a GPU's name -> TFLOP/s without sparsity (data sheets): bfloat16, TF32, float32. The first that fits counts
PEAKS = {
    "H200 NVL": (835, 418, 60),
    "H200": (989, 495, 67),
    "H100 PCIe": (756, 378, 51),
    "H100 NVL": (835, 418, 60),
    "H100": (989, 495, 67),
    "A100": (312, 156, 19.5),
}
# kernels (GPU) and operators (CPU) by parts of their names; the first group that fits counts
GROUPS = {
    "normalisation": ("batch_norm", "batchnorm", "bn_fw", "bn_bw", "bn_fwd", "bn_bwd"),
    "pooling": ("pool",),
    "compiled": ("triton",),
    "optimiser": ("adam", "sgd", "multi_tensor", "foreach"),
    "convolution": ("conv", "wgrad", "dgrad", "fprop", "implicit", "xmma", "cutlass", "gemm", "cudnn"),
    "copies": ("memcpy", "memset", "copy", "nchw", "nhwc", "fill", "cat"),
}
TARGETS = {
    "age": {"kind": "continuous"},
    "sex": {"kind": "binary", "positive": "M"},
    "handedness": {"kind": "binary", "positive": "left"},
    "bmi": {"kind": "continuous"},
    "fluid_intelligence": {"kind": "continuous"},
    "neuroticism": {"kind": "continuous"},
}


def own_device(wanted: str | None = None) -> torch.device:
    """Give the device that is wanted, else a GPU if there is one."""
    device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
    return torch.device("cuda", torch.cuda.current_device()) if device == torch.device("cuda") else device


def wait(device: torch.device) -> None:
    """Let the device finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cpu_seconds() -> float:
    """Processor time of this process and of those that it has started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def timed(device: torch.device, action: Callable[[], object]) -> dict[str, float]:
    """Run something and give its seconds: wall, cpu (of all threads and finished children)."""
    wait(device)
    wall, cpu = time.perf_counter(), cpu_seconds()
    action()
    wait(device)
    return {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}


def best(measured: list[dict[str, float]]) -> dict[str, float]:
    """Take the least of each number over rounds: what other work on the machine disturbed least."""
    return {name: min(row[name] for row in measured) for name in measured[0]}


def write_store(folder: Path, name: str, numbers: np.ndarray) -> tuple[list[Path], list[str]]:
    """Write a store of one shard with these numbers (scans x D x H x W, uint8); return its folder and scan ids."""
    shard, ids = folder / "store", [f"s{scan:05d}_1" for scan in range(len(numbers))]
    shard.mkdir(parents=True)
    table = pd.DataFrame({"scan_id": ids, "row": range(len(ids)), "scale": 0.5, "csf_grey": 55.0, "grey_white": 75.0})
    table.to_csv(shard / "scans.tsv", sep="\t", index=False)
    write_json(shard / "contract.json", registered_contract({"spacing_mm": 1, "parameters": 7}).to_json())
    np.save(shard / f"{name}.npy", numbers)
    return [shard], ids


def make_profiler(device: torch.device) -> profile:
    """Make a profiler of operators and, on a GPU, of its kernels."""
    cuda = [ProfilerActivity.CUDA] if device.type == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *cuda])


def read_profile(profiler: profile, device: torch.device) -> tuple[float, dict[str, float]]:
    """Give seconds in which the device worked, and the share of each group of kernels (GPU) or operators (CPU).

    On a CPU the seconds are those of all operators, without what Python does between them.
    """
    if device.type == "cuda":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trace.json"
            profiler.export_chrome_trace(str(file))
            return device_time(json.loads(file.read_text())["traceEvents"])
    spent = [(event.key, event.self_cpu_time_total / 1e6) for event in profiler.key_averages()]
    return sum(seconds for _, seconds in spent), grouped(spent)


def device_time(events: list[dict]) -> tuple[float, dict[str, float]]:
    """Read a trace: seconds in which at least one kernel or copy ran (streams may overlap), and shares by group."""
    ran = [event for event in events if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
    busy, end = 0.0, -np.inf
    for event in sorted(ran, key=lambda event: event["ts"]):
        stop = event["ts"] + event["dur"]
        busy += max(0.0, stop - max(end, event["ts"]))
        end = max(end, stop)
    return busy / 1e6, grouped([(event["name"], event["dur"] / 1e6) for event in ran])


def grouped(spent: list[tuple[str, float]]) -> dict[str, float]:
    """Add up seconds by :data:`GROUPS`, as shares, the largest first."""
    sums = Counter()
    for name, seconds in spent:
        found = (group for group, parts in GROUPS.items() if any(part in name.lower() for part in parts))
        sums[next(found, "element by element, rest")] += seconds
    total = sum(sums.values()) or 1.0
    return {group: seconds / total for group, seconds in sums.most_common() if seconds > 0}


def step_flop(grid: Sequence[int], channels: Sequence[int] = CHANNELS) -> float:
    """Count the operations of a training step of one volume: forward, gradients of the weights and of the maps.

    Convolutions alone; at 160 x 192 x 160 this is 384 GFLOP (three times the forward pass would be 395).
    """
    size, before, total = np.array(grid), 1, 0.0
    for number, after in enumerate(channels):
        kernel = 27 if number < len(channels) - 1 else 1
        forward = 2.0 * kernel * before * after * size.prod()
        total += forward * (3 if number else 2)
        before, size = after, size // 2 if kernel == 27 else size
    return total


def peak_tflops(device: torch.device, precision: str) -> float | None:
    """Look up what the chip can do: TFLOP/s, None where it is not in :data:`PEAKS`."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    column = {"bfloat16": 0, "tf32": 1, "float32": 2}[precision]
    return next((float(rates[column]) for part, rates in PEAKS.items() if part in name), None)


def settings(precision: str, batch: int) -> Settings:
    """Say what a config would say about the published SFCN."""
    section = {
        "method": {"objective": "multitask", "targets": TARGETS},
        "temperature": 0.2,
        "representation": 64,
        "precision": precision,
        "resident_gb": 100,
        "volume": {"epochs": 1, "batch": batch, "learning_rate": 0.01, "optimizer": "sgd", "weight_decay": 0.001},
    }
    return Settings.from_config(section, "volume", "sfcn", 1)


class Eager(torch.nn.Module):
    """The network as one writes it down first: float32, contiguous, torch's own optimiser."""

    def __init__(self, volumes: torch.Tensor, values: torch.Tensor, intensity: tuple[float, float]):
        super().__init__()
        self.volumes, self.values = volumes, values
        self.targets = settings("float32", 2).method.targets
        self.network = SFCN(multitask.head_width(self.targets))
        self.network.set_intensity(*intensity)
        self.to(volumes.device)

    def step(self, rows: np.ndarray, generator: torch.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Take the batch from float32 volumes on the device: reading them is no part of this comparison."""
        volumes = shift(self.volumes[rows], SHIFT, generator)
        return multitask.loss(self.network(volumes), self.values[rows], self.targets)

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01, momentum=0.9, weight_decay=0.001)


class Route:
    """One way to take steps: model, optimiser, whether convolutions may round to TF32, random rows."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: int, tf32: bool, rate: str):
        self.model, self.optimizer, self.batch, self.tf32, self.rate = model, optimizer, batch, tf32, rate
        self.device = next(model.parameters()).device
        self.generator = torch.Generator(self.device).manual_seed(1)
        self.random = np.random.default_rng(1)

    def take(self, steps: int) -> None:
        """Take steps as the loop does, which reads loss and norm of the gradient after each."""
        with precision_of_float32(self.tf32):
            for _ in range(steps):
                rows = self.random.permutation(self.batch)
                self.optimizer.zero_grad(set_to_none=True)
                loss, _ = self.model.step(rows, self.generator)
                loss.backward()
                norm = torch.nn.utils.get_total_norm([p.grad for p in self.model.parameters() if p.grad is not None])
                torch.stack([loss.detach(), norm]).tolist()
                self.optimizer.step()


@contextlib.contextmanager
def precision_of_float32(tf32: bool) -> Iterator[None]:
    """Let convolutions of float32 numbers use TF32 on a GPU, which is torch's default, or not."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def routes(source: PatchSource, values: np.ndarray, batch: int, compiled: bool) -> dict[str, Callable[[], Route]]:
    """Name the ways, from the plainest to the library's best; each is made when it is called."""
    cuda = source.device.type == "cuda"

    def eager(tf32: bool) -> Route:
        volumes = source.batch(np.arange(len(source)))
        model = Eager(volumes, torch.from_numpy(values).to(source.device), source.intensity())
        return Route(model, model.make_optimizer(), batch, tf32, "tf32" if tf32 else "float32")

    def library(precision: str, recompute: bool = False, compiled: bool = False) -> Route:
        chosen = settings(precision, batch)
        model = MultitaskLevel(chosen, source, source, values, values)
        model.network.recompute = recompute
        if compiled:
            model.network.compile()
        optimizer = chosen.schedule.make_optimizer(model)
        return Route(model, optimizer, batch, True, "tf32" if precision == "float32" else precision)

    named = {"eager float32": lambda: eager(True)}
    if cuda:
        named["eager float32, no TF32"] = lambda: eager(False)
    named["library, float32"] = lambda: library("float32")
    named["library, float32, first block twice"] = lambda: library("float32", recompute=True)
    if cuda:
        named["library, bfloat16"] = lambda: library("bfloat16")
        named["library, bfloat16, first block twice"] = lambda: library("bfloat16", recompute=True)
    if compiled:
        best_precision = "bfloat16" if cuda else "float32"
        named[f"library, {best_precision}, compiled"] = lambda: library(best_precision, compiled=True)
    return named


def measure(make: Callable[[], Route], steps: int, grid: Sequence[int]) -> dict[str, float]:
    """Warm up, time so many steps, and profile two; the route is made here and given up afterwards."""
    route = make()
    device, cuda = route.device, route.device.type == "cuda"
    route.take(2 if cuda else 1)
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    taken = timed(device, lambda: route.take(steps))
    row = {name: seconds / steps for name, seconds in taken.items()}
    row["memory"] = torch.cuda.max_memory_allocated(device) / 1e9 if cuda else float("nan")
    with make_profiler(device) as profiler:
        route.take(2 if cuda else 1)
        wait(device)
    worked, shares = read_profile(profiler, device)
    row["busy"] = min(1.0, worked / 2 / row["wall"]) if cuda else float("nan")
    rate = step_flop(grid) * route.batch / row["wall"] / 1e12
    peak = peak_tflops(device, route.rate)
    return row | {"tflops": rate, "of_peak": rate / peak if peak else float("nan"), "shares": shares}


def fitting(make: Callable[[int], Callable[[], Route]], batch: int, steps: int, grid: Sequence[int]) -> dict:
    """Measure with this batch, or with half of it as long as memory does not hold it."""
    while True:
        try:
            return measure(make(batch), steps, grid) | {"batch": batch}
        except torch.OutOfMemoryError:
            if batch < 4:
                raise
            batch //= 2
        torch.cuda.empty_cache()


def compare(
    grid: Sequence[int], batch: int, steps: int, rounds: int, device: torch.device, compiled: bool
) -> list[dict]:
    """Time all routes in turns; return rows of the table, the eager one first."""
    numbers = np.random.default_rng(1).integers(0, 255, (batch, *grid), dtype=np.uint8)
    values = np.random.default_rng(2).integers(0, 2, (batch, len(TARGETS))).astype(np.float32)
    values[::3, 3] = np.nan
    with tempfile.TemporaryDirectory() as folder:
        shards, ids = write_store(Path(folder), "whole", numbers)
        source = PatchSource(shards, "whole", ids, device, resident_bytes=10**12)
    found: dict[str, list[dict]] = {}
    for _ in range(rounds):
        for name in routes(source, values, batch, compiled):
            make = lambda size, name=name: routes(source, values, size, compiled)[name]  # noqa: E731
            found.setdefault(name, []).append(fitting(make, batch, steps, grid))
            if device.type == "cuda":
                torch.cuda.empty_cache()
    table = []
    for name, measured in found.items():
        row = min(measured, key=lambda row: row["wall"])
        row["cpu"] = min(other["cpu"] for other in measured)
        table.append({"route": name, **row, "volumes_per_second": row["batch"] / row["wall"]})
    for row in table:
        row["ratio"] = row["volumes_per_second"] / table[0]["volumes_per_second"]
        row["cpu_ratio"] = table[0]["cpu"] / row["cpu"] * row["batch"] / table[0]["batch"]
    return table


def use(device: torch.device, threads: int) -> None:
    """Set torch up as a training does, but for deterministic kernels, which are not needed here."""
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = device.type == "cuda"


def said(number: float, form: str) -> str:
    """Write a number, or a dash for one that was not measured."""
    return "-" if np.isnan(number) else format(number, form)


def text(table: list[dict], grid: Sequence[int]) -> list[str]:
    """Lay the table out."""
    work = step_flop(grid) / 1e9
    lines = [f"SFCN, {' x '.join(map(str, grid))}, {work:.1f} GFLOP a training volume"]
    names = (
        f"{'batch':>6}{'vol/s':>8}{'ratio':>7}{'cpu ratio':>10}{'TFLOP/s':>9}{'of peak':>9}{'peak GB':>9}{'busy':>7}"
    )
    lines.append(f"{'route':40}{names}")
    for row in table:
        numbers = f"{row['batch']:6}{row['volumes_per_second']:8.2f}{row['ratio']:7.2f}{row['cpu_ratio']:10.2f}"
        numbers += f"{row['tflops']:9.3f}{said(row['of_peak'], '.1%'):>9}{said(row['memory'], '.1f'):>9}"
        numbers += f"{said(row['busy'], '.1%'):>7}"
        lines.append(f"{row['route']:40}{numbers}")
    for row in table:
        lines.append(
            f"  {row['route']}: " + ", ".join(f"{group} {share:.0%}" for group, share in row["shares"].items())
        )
    return lines


def main(arguments: list[str] | None = None) -> dict:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32 x 32 x 32, two volumes: whether it runs")
    parser.add_argument("--device", help="cuda or cpu")
    parser.add_argument("--grid", type=int, nargs=3)
    parser.add_argument("--batch", type=int, help="8 on a GPU, 2 on a CPU")
    parser.add_argument("--steps", type=int, help="timed, in each round: 10 on a GPU, 1 on a CPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of a CPU")
    parser.add_argument("--compile", action="store_true", help="with torch.compile as well (minutes)")
    given = parser.parse_args(arguments)
    device = own_device(given.device)
    cuda = device.type == "cuda"
    grid = tuple(given.grid or ((32, 32, 32) if given.quick else GRIDS[device.type]))
    batch, steps = given.batch or (8 if cuda and not given.quick else 2), given.steps or (10 if cuda else 1)
    use(device, given.threads)
    table = compare(grid, batch, steps, 1 if given.quick else given.rounds, device, given.compile)
    print("\n".join(text(table, grid)))
    return {"grid": grid, "device": device.type, "threads": given.threads, "rows": table}


if __name__ == "__main__":
    main()
