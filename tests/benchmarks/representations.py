"""Measure the speed of representation learning on this machine and write .docs/benchmarks.md: the one command.

    ./run python -m tests.benchmarks.representations [--quick] [--output FILE]

Runs ssl_step, sfcn_throughput, read_store and memory, one after the other, with a GPU where there is one. What needs a
GPU is listed as not measured where there is none; so are wall times on two cores of a machine that is busy with other
things. What fails is listed as failed, with its error on the screen, and the others go on. A quarter of an hour on an
idle machine, with a GPU and torch.compile twice that. --quick takes tiny sizes, whose figures mean nothing.
"""

import argparse
import os
import platform
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from tests.benchmarks import memory, read_store, sfcn_throughput, ssl_step

DOCUMENT = Path(__file__).resolve().parents[2] / ".docs" / "benchmarks.md"
FAILED = "failed"
IDLE = 1.0  # load up to which two threads find two cores free
READING = {False: ["--scans", "20", "--repeats", "2"], True: ["--scans", "3", "--spacing", "8", "--repeats", "1"]}
# scans, patch (2 mm: memory does not depend on it, time does), batch
MEMORY = {False: ([1_000, 10_000, 100_000], (28, 40, 32), 32), True: ([200, 400], (2, 3, 4), 32)}


def attempt(action: Callable[[], object]) -> object | None:
    """Run something; None, and the error on the screen, if it fails."""
    try:
        return action()
    except Exception:
        traceback.print_exc()
        return None


def measure(quick: bool, cuda: bool) -> dict:
    """Run everything; what is left out or fails is None."""
    flags, load = ["--quick"] if quick else [], os.getloadavg()[0]
    found = {"ssl one core": attempt(lambda: ssl_step.main(["--device", "cpu", "--cores", "1", *flags]))}
    if load <= IDLE:
        found["ssl two cores"] = attempt(lambda: ssl_step.main(["--device", "cpu", "--cores", "2", *flags]))
    found["sfcn one core"] = attempt(lambda: sfcn_throughput.main(["--device", "cpu", "--threads", "1", *flags]))
    if cuda:
        more = flags or ["--compile"]
        for objective in ssl_step.METHODS:
            arguments = ["--device", "cuda", "--objective", objective, *more]
            found[f"ssl {objective}"] = attempt(lambda arguments=arguments: ssl_step.main(arguments))
        found["sfcn cuda"] = attempt(lambda: sfcn_throughput.main(["--device", "cuda", *more]))
        published = ["--device", "cuda", "--batch", "32", "--rounds", "1"]
        found["sfcn cuda, published batch"] = attempt(lambda: sfcn_throughput.main([*published, *flags]))
    found["reading"] = attempt(lambda: read_store.main(READING[quick]))
    found["memory"] = attempt(lambda: memory.run(*MEMORY[quick]))
    return found


def ssl_ratio(steps: list[dict], kind: str) -> float:
    """Give how many times as long the faster of the straightforward routes takes as the library's."""
    return min(row[kind] for row in steps if not row["route"].startswith("library"))


def ssl_cpu(found: dict) -> str:
    ratios = ((part["spacing"], ssl_ratio(part["steps"], "cpu_ratio")) for part in found["found"])
    return "; ".join(f"{spacing} mm: {ratio:.1f}" for spacing, ratio in ratios)


def ssl_wall(found: dict) -> str:
    return "; ".join(f"{part['spacing']} mm: {ssl_ratio(part['steps'], 'ratio'):.1f}" for part in found["found"])


def ssl_busy(found: dict) -> str:
    return "; ".join(f"{part['spacing']} mm: {part['steps'][0]['busy']:.1%}" for part in found["found"])


def fastest(found: dict) -> dict:
    return max(found["rows"], key=lambda row: row["volumes_per_second"])


def sfcn_rate(found: dict) -> str:
    row, grid = fastest(found), " x ".join(map(str, found["grid"]))
    return f"{row['volumes_per_second']:.1f} ({grid}, {row['batch']} a batch; {row['route']})"


def sfcn_ratio(found: dict) -> str:
    return f"{fastest(found)['ratio']:.2f}"


def sfcn_work(found: dict) -> str:
    row = fastest(found)
    return f"{row['tflops']:.2f} TFLOP/s, {sfcn_throughput.said(row['of_peak'], '.1%')} of the chip's peak"


def sfcn_busy(found: dict) -> str:
    return sfcn_throughput.said(fastest(found)["busy"], ".1%")


def sfcn_cpu(found: dict) -> str:
    row = next(row for row in found["rows"] if row["route"] == "library, float32")
    return f"{row['cpu_ratio']:.2f} ({row['batch'] / row['cpu']:.2f} volumes a cpu second)"


def reading(found: list[dict], routes: tuple[str, ...] = ("store, 8-bit",)) -> str:
    parts = []
    for what in dict.fromkeys(row["what"] for row in found):
        own = [row for row in found if row["what"] == what and row["route"] in routes]
        sides = [[row for row in own if row["cache"] == cache] for cache in ("warm", "cold")]
        wall, cpu = (
            " and ".join(f"{max(row[kind] for row in side):.0f}" for side in sides) for kind in ("ratio", "cpu_ratio")
        )
        parts.append(f"{what}: {wall} (cpu time {cpu})")
    return "; ".join(parts)


def reading_float(found: list[dict]) -> str:
    return reading(found, ("store", "store, read ahead"))


def flat(found: list[dict]) -> str:
    said = ", ".join(f"{row['VmHWM_more']:.0f} MB with {row['count']:,} scans" for row in found)
    return f"{said}, above the process before"


NO_GPU, BUSY = "not measured: needs a GPU", "not measured: the machine was busy"
# figure, goal, what it is read from, how it is said, what stands there without it
FIGURES = (
    ("SSL step, cpu time, by voxel size", "3", "ssl one core", ssl_cpu, FAILED),
    ("SSL step, wall time on 2 CPU cores", "3", "ssl two cores", ssl_wall, BUSY),
    ("SSL step on a GPU, SimCLR", "10", "ssl simclr", ssl_wall, NO_GPU),
    ("SSL step on a GPU, R-NCE", "10", "ssl rnce", ssl_wall, NO_GPU),
    ("GPU busy while training patches, SimCLR", "95%", "ssl simclr", ssl_busy, NO_GPU),
    ("GPU busy while training patches, R-NCE", "95%", "ssl rnce", ssl_busy, NO_GPU),
    ("SFCN on a GPU, volumes/s", "100 on one H200", "sfcn cuda", sfcn_rate, NO_GPU),
    ("SFCN on a GPU in batches of 32, volumes/s", "-", "sfcn cuda, published batch", sfcn_rate, NO_GPU),
    ("SFCN on a GPU beside eager float32", "4", "sfcn cuda", sfcn_ratio, NO_GPU),
    ("SFCN on a GPU, arithmetic", "-", "sfcn cuda", sfcn_work, NO_GPU),
    ("GPU busy while training the SFCN", "-", "sfcn cuda", sfcn_busy, NO_GPU),
    ("SFCN on a CPU beside eager float32, cpu time", "-", "sfcn one core", sfcn_cpu, FAILED),
    ("Epoch from the store, 8-bit (what a GPU gets), files warm and cold", "20", "reading", reading, FAILED),
    ("Epoch from the store, float32 on the CPU, files warm and cold", "20", "reading", reading_float, FAILED),
    ("Peak memory of an epoch", "flat to 100,000 scans", "memory", flat, FAILED),
)


def table(found: dict) -> list[str]:
    """Write the figures beside their goals."""
    lines = ["| figure | goal, at least | reached |", "| --- | --- | --- |"]
    for figure, goal, source, say, absent in FIGURES:
        part = found.get(source)
        reached = FAILED if source in found and part is None else absent if part is None else say(part)
        lines.append(f"| {figure} | {goal} | {reached} |")
    return lines


def bounds(found: dict) -> list[str]:
    """Say how far the network, which both routes have, lets the ratio rise on a CPU."""
    lines = []
    for part in found["found"]:
        stages = part["stages"]
        own, network = sum(stages["library"].values()), stages["library"]["network"]
        views = min(stages[name]["load npy"] + stages[name]["augment"] for name in ssl_step.LIBRARIES)
        plain = views + stages["monai"]["network"]
        lines.append(
            f"- {part['spacing']} mm: batches and views are made {views / (own - network):.0f} times as fast, but the "
            f"network is {network / own:.0%} of the library's step. With views for nothing the stages, without what "
            f"workers cost, would be {plain / network:.1f} times as fast."
        )
    return lines


def machine(cuda: bool) -> list[str]:
    """Name what was measured on."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    rows = {"CPU": f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"}
    rows["load when it began"] = f"{os.getloadavg()[0]:.1f} (other processes slow wall times down; idle is below 1)"
    rows["GPU"] = torch.cuda.get_device_name() if cuda else "none"
    version = torch.backends.cudnn.version() if cuda else None
    rows["torch"] = torch.__version__
    rows["cuDNN"] = f"{version // 10000}.{version // 100 % 100}.{version % 100}" if version else "none"
    return [f"- {name}: {value}" for name, value in rows.items()]


COLUMNS = {
    "reading": ("Reading an epoch", ("what", "cache", "route", "seconds", "ratio", "cpu_seconds", "cpu_ratio")),
    "memory": ("Memory of an epoch, MB", ("count", "VmHWM_more", "RssAnon_more", "RssFile_more", "scans_per_second")),
}


def details(found: dict) -> list[str]:
    """Write the tables of each benchmark."""
    lines = []
    for name, part in found.items():
        if part is None:
            continue
        if name.startswith("ssl"):
            block = [line for spacing in part["found"] for line in (*ssl_step.text(spacing), "")][:-1]
            title = f"Self-supervised step, {name[4:]}, workers: {part['workers']}"
        elif name.startswith("sfcn"):
            block, title = sfcn_throughput.text(part["rows"], part["grid"]), f"SFCN, {name[5:]}"
        else:
            title, columns = COLUMNS[name]
            block = ["".join(f"{column:>20}" for column in columns)]
            block += ["".join(f"{_short(row[column]):>20}" for column in columns) for row in part]
        lines += [f"## {title}", "", "```", *[line.rstrip() for line in block], "```", ""]
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def document(found: dict, about: list[str]) -> str:
    """Put everything together."""
    lines = ["# Speed of representation learning", ""]
    lines += ["Written by `./run python -m tests.benchmarks.representations`; run it on your own machine.", ""]
    lines += [*about, "", *table(found), ""]
    lines += [
        "Ratios are times as fast as the straightforward route: MONAI or TorchIO, whichever is faster, on one sample",
        "after the other (`plain_route.py`); eager float32; NIfTI.gz with nibabel. What is compared, and how, stands",
        "at the top of `ssl_step.py`, `sfcn_throughput.py`, `read_store.py` and `memory.py` in `tests/benchmarks/`.",
        "",
    ]
    if found.get("ssl one core"):
        lines += ["## What bounds the SSL step on a CPU", "", *bounds(found["ssl one core"]), ""]
    return "\n".join(lines + details(found)).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> dict:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to the screen unless --output is given")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args(arguments)
    cuda = torch.cuda.is_available()
    about = machine(cuda)
    found = measure(given.quick, cuda)
    said, output = document(found, about), given.output or (None if given.quick else DOCUMENT)
    if output:
        output.write_text(said)
    print(said if output is None else f"written: {output}")
    return found


if __name__ == "__main__":
    main()
