"""Unit costs of the genetic analysis: seconds of a core that plink2 and the embedded REML take, beside those noted.

    python -m tests.benchmarks.genetics            # ten minutes of one core, 2 GB
    python -m tests.benchmarks.genetics --write    # and write .docs/genetics_scale.md

Everything runs on one thread on plink2's own dummy data; times are user and system time of the process, which a busy
machine inflates less than the clock. Each is the median of the rounds.
"""

import argparse
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import plan, reml, tools
from workflow_scripts.lib.study.seeds import generator

DOCS = Path(__file__).resolve().parents[2] / ".docs" / "genetics_scale.md"
# measured earlier on a two-core Debian 12 machine with the same plink2: seconds of a core a variant (30,000 people,
# 26 covariates), seconds a pair of people and variant, bytes a person and variant, seconds times people cubed
NOTED = {"glm, 1 trait": 3.3e-3, "glm, 3 traits": 4.1e-3, "KING": 1.0e-10, "relatedness": 1.0e-10}
NOTED |= {"dosage file": 0.87, "decomposition": 1.5e-9}
NEW = ["read .bgen", "filter"]  # seconds a person and variant; nothing was noted of these
COVARIATES = 26


@dataclass(frozen=True)
class Sizes:
    """Sizes of the dummy data."""

    people: int = 30_000
    variants: int = 2_000
    related: int = 2_797
    markers: int = 32_143
    matrix: int = 2_400


def measured(command: list[str]) -> tuple[float, float]:
    """Run a command; seconds of user and system time, and its memory in MB."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen([str(part) for part in command], stdout=words, stderr=words)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            words.seek(0)
            raise RuntimeError(words.read().decode()[-500:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_columns(prefix: Path, people: int) -> None:
    """Write three random traits and the covariates for the people of a dummy fileset."""
    random, samples = generator(0, "benchmark", "genetics"), tools.read_samples(prefix)
    for name, columns in (
        ("traits", [f"t{n}" for n in range(3)]),
        ("covariates", [f"c{n}" for n in range(COVARIATES)]),
    ):
        table = pd.DataFrame(random.normal(size=(people, len(columns))), columns=columns)
        tools.write_ids(samples, f"{prefix}.{name}", table)


def measure_glm(program: str, sizes: Sizes, folder: Path, traits: int) -> tuple[float, float]:
    """Measure the association of some traits in one pass: seconds a variant of 30,000 people, and MB."""
    data = folder / "dosages"
    command = [
        program,
        "--pfile",
        data,
        "--pheno",
        f"{data}.traits",
        "--pheno-name",
        ",".join(f"t{n}" for n in range(traits)),
    ]
    command += ["--covar", f"{data}.covariates", "--covar-variance-standardize", "--glm", "omit-ref", "hide-covar"]
    command += ["cols=chrom,pos,ref,alt,a1freq,test,nobs,beta,se,tz,p,err", "--threads", "1", "--out", folder / "glm"]
    seconds, memory = measured(command)
    return seconds / sizes.variants * 30_000 / sizes.people, memory


def measure_pairs(program: str, sizes: Sizes, folder: Path, flags: list[str]) -> tuple[float, float]:
    """Measure a step over all pairs of people: seconds a pair and variant, and MB."""
    seconds, memory = measured(
        [program, "--pfile", folder / "calls", *flags, "--threads", "1", "--out", folder / "pairs"]
    )
    return seconds / (sizes.related**2 / 2 * sizes.markers), memory


def measure_pass(program: str, sizes: Sizes, folder: Path, source: list) -> tuple[float, float]:
    """Measure a pass through dosages that writes them again: seconds a person and variant, and MB."""
    flags = ["--maf", "0.01", "--make-pgen", "--threads", "1", "--out", folder / "written"]
    seconds, memory = measured([program, *source, *flags])
    return seconds / (sizes.people * sizes.variants), memory


def measure_decomposition(sizes: Sizes) -> tuple[float, float]:
    """Measure the decomposition behind GREML: seconds over people cubed, and MB of its matrix."""
    random = generator(0, "benchmark", "decomposition")
    values = random.normal(size=(sizes.matrix, 2 * sizes.matrix))
    matrix = values @ values.T / values.shape[1]
    traits, covariates = random.normal(size=(sizes.matrix, 3)), random.normal(size=(sizes.matrix, 8))
    start = time.process_time()
    reml.rotate(matrix, traits, covariates)
    return (time.process_time() - start) / sizes.matrix**3, 2 * matrix.nbytes / 1e6


def measure(sizes: Sizes, rounds: int, folder: Path) -> pd.DataFrame:
    """Measure all unit costs; a row each with what was noted and the ratio."""
    program = tools.find("plink2").path
    dosages, calls = folder / "dosages", folder / "calls"
    measured([program, "--dummy", sizes.people, sizes.variants, "dosage-freq=0.3", "--threads", "1", "--out", dosages])
    measured([program, "--dummy", sizes.related, sizes.markers, "--threads", "1", "--out", calls])
    measured([program, "--pfile", dosages, "--export", "bgen-1.2", "bits=8", "--out", dosages])
    write_columns(dosages, sizes.people)
    bgen = ["--bgen", f"{dosages}.bgen", "ref-first", "--sample", f"{dosages}.sample"]
    steps = {
        "read .bgen": lambda: measure_pass(program, sizes, folder, bgen),
        "filter": lambda: measure_pass(program, sizes, folder, ["--pfile", dosages]),
        "glm, 1 trait": lambda: measure_glm(program, sizes, folder, 1),
        "glm, 3 traits": lambda: measure_glm(program, sizes, folder, 3),
        "KING": lambda: measure_pairs(program, sizes, folder, ["--king-cutoff", "0.0884"]),
        "relatedness": lambda: measure_pairs(program, sizes, folder, ["--make-grm-bin"]),
        "decomposition": lambda: measure_decomposition(sizes),
    }
    rows = []
    for name, step in steps.items():
        seconds, memory = np.median([step() for _ in range(rounds)], axis=0)
        rows.append({"cost": name, "measured": seconds, "memory_mb": memory})
    size = dosages.with_suffix(".pgen").stat().st_size / sizes.variants / sizes.people
    table = pd.DataFrame([*rows, {"cost": "dosage file", "measured": size, "memory_mb": np.nan}])
    noted = table["cost"].map(NOTED)
    return table.assign(noted=noted, ratio=table["measured"] / noted)


def own_costs(table: pd.DataFrame) -> plan.Costs:
    """Turn a measurement into the unit costs of the plan."""
    cost = table.set_index("cost")["measured"]
    trait = max((cost["glm, 3 traits"] - cost["glm, 1 trait"]) / 2, 0.0)
    return plan.Costs(
        glm=cost["glm, 1 trait"] - trait,
        glm_trait=trait,
        king=cost["KING"],
        relatedness=cost["relatedness"],
        eigen=cost["decomposition"],
        bgen=cost["read .bgen"],
        read=cost["filter"],
        dosage=cost["dosage file"],
    )


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    """Measure, print, and with --write put the tables into the docs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Sizes()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    sizes = Sizes(*(getattr(options, name) for name in vars(Sizes())))
    with tempfile.TemporaryDirectory() as folder:
        table = measure(sizes, options.rounds, Path(folder))
    version = tools.find("plink2").version
    text = f"{version}, one thread, median of {options.rounds}\n\n{to_markdown(table)}"
    size = (30_000, 10_000_000, 3)
    expected = plan.write_plan(plan.plan(*size, costs=own_costs(table), related=plan.HAPMAP3), *size)
    print(f"{text}\n{expected}")
    if options.write:
        write_docs(text, expected)
    return table


def to_markdown(table: pd.DataFrame) -> str:
    """Write the unit costs as a table."""
    lines = ["| unit cost | measured | noted | ratio | memory, MB |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in table.itertuples():
        memory = "" if np.isnan(row.memory_mb) else f"{row.memory_mb:.0f}"
        before = " | " if np.isnan(row.noted) else f"{row.noted:.3g} | {row.ratio:.2f}"
        lines.append(f"| {row.cost} | {row.measured:.3g} | {before} | {memory} |")
    return "\n".join(lines) + "\n"


def write_docs(costs: str, expected: str) -> None:
    """Replace what stands between the markers of the document."""
    text = DOCS.read_text()
    for name, content in (("costs", costs), ("plan", expected)):
        first, last = f"<!-- {name}: made by tests/benchmarks/genetics.py -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(first)
        text = f"{before}{first}{content}{last}{rest.partition(last)[2]}"
    DOCS.write_text(text)


if __name__ == "__main__":
    main()
