"""What a genetic study will cost before anything runs: jobs, hours of a core, memory and disk, by step.

Every figure is a unit cost, measured (``tests/benchmarks/genetics.py``) or inferred, times how the step grows with
people, variants and traits. Cores that hyper-threads share do less: take figures as good to a factor of about two.
"""

from dataclasses import dataclass

import pandas as pd

LARGEST = 0.083  # share of the variants of chromosome 2, which has most
CHROMOSOMES = 22
THREADS = 8  # of one job; wall time of the longest job is its hours of a core over these
HAPMAP3 = 1_200_000  # variants that LD score regression uses, and relatedness where config extracts them
PRUNED = 500_000  # most that quality control prunes for components
RELATED = 200_000  # most that KING looks at
MEASURED, INFERRED = "measured", "inferred"


@dataclass(frozen=True)
class Costs:
    """Unit costs: seconds of a core, bytes. Measured with plink2 2.00a3.5 on a two-core machine.

    Attributes
    ----------
    glm, glm_trait : float
        Seconds a variant, of 30,000 people with 26 covariates and dosages: once, and for each trait.
    king, relatedness : float
        Seconds a pair of people and variant.
    eigen : float
        Seconds, times people cubed: the decomposition behind heritability.
    bgen, read : float
        Seconds a person and variant: a pass through a .bgen file, which is written as .pgen, and through a .pgen file.
    dosage : float
        Bytes a person and variant of a .pgen file with dosages that are all different, the worst case.
    """

    glm: float = 2.9e-3
    glm_trait: float = 0.4e-3
    king: float = 1.0e-10
    relatedness: float = 1.0e-10
    eigen: float = 1.5e-9
    bgen: float = 3.0e-8
    read: float = 5.0e-9
    dosage: float = 0.87


COLUMNS = ["step", "jobs", "cpu_hours", "longest_minutes", "memory_gb", "disk_gb", "basis"]


def plan(
    people: int,
    variants: int,
    traits: int,
    covariates: int = 26,
    costs: Costs | None = None,
    threads: int = THREADS,
    parts: int = CHROMOSOMES,
    related: int | None = None,
) -> pd.DataFrame:
    """Estimate the steps of a genetic study.

    Parameters
    ----------
    people, variants, traits : int
        After imputation, before quality control.
    covariates : int
        Components, age terms and so on; the association's cost grows a little with them.
    costs : Costs, optional
        Other unit costs, such as those measured on the machine at hand.
    threads : int
        Of a job, for its wall time.
    parts : int
        Jobs that the genome is cut into: 22 with one a chromosome, or 1.
    related : int, optional
        Variants that the relatedness matrix uses (``greml: extract``); all without it.

    Returns
    -------
    pandas.DataFrame
        ``step``, ``jobs``, ``cpu_hours`` (of one core, all jobs), ``longest_minutes`` (wall, of the longest job on
        ``threads`` cores), ``memory_gb`` (of a job), ``disk_gb`` (kept), ``basis`` (measured, or inferred by growth
        from a smaller measurement).

    Raises
    ------
    ValueError
        If a number is not positive.
    """
    if min(people, variants, traits, threads) < 1 or covariates < 0:
        raise ValueError(
            f"people {people}, variants {variants}, traits {traits}, threads {threads}: all must be above 0"
        )
    unit, part = costs or Costs(), parts
    pairs, used, related = people**2 / 2, min(variants, HAPMAP3), min(related or variants, variants)
    glm = variants * people / 30_000 * (unit.glm + unit.glm_trait * traits) * (covariates + 24) / 50
    matrix = people**2 * 8 / 1e9
    calls = people * variants
    # read .bgen once, then filters that read and one that writes
    quality = (unit.bgen + 3 * unit.read) * calls
    rows = [
        ("import and quality control", part, quality, part, 2, unit.dosage * calls / 1e9, MEASURED),
        ("relatives (KING)", 1, unit.king * pairs * min(variants, RELATED), 1, 4 + matrix / 8, 0, MEASURED),
        ("components", 1, 20 * unit.read * people * min(variants, PRUNED), 1, 4, 0, INFERRED),
        ("association", part, glm, part, 2, variants * traits * 40 / 1e9, MEASURED),
        ("loci, genes, peaks", traits, traits * variants * 2e-5, traits, 10, 0.1 * traits, INFERRED),
        ("relatedness matrix", part, unit.relatedness * pairs * related, part, 2 + matrix, part * matrix / 2, MEASURED),
        ("heritability (GREML)", 1, unit.eigen * people**3 + 5 * traits**2, 1, 2.3 * matrix + 2, 0, INFERRED),
        ("LD scores", part, variants * 2e-3, part, 8, variants * 4e-7, INFERRED),
        ("LD score regression", 1, used * 1e-4 * traits * (traits + 1) / 2, 1, 4, 0.05 * traits, INFERRED),
        ("cell types", traits, used * 8e-4 * traits, traits, 8, 0, INFERRED),
    ]
    return pd.DataFrame([_row(*row, threads) for row in rows], columns=COLUMNS)


def _row(
    step: str, jobs: int, seconds: float, share: int, memory: float, disk: float, basis: str, threads: int
) -> tuple:
    """Turn seconds of a core into hours and the longest job's minutes; by chromosome, that of the largest one."""
    longest = seconds * (LARGEST if share >= CHROMOSOMES else 1 / share) / threads / 60
    return step, jobs, seconds / 3600, longest, memory, disk, basis


def write_plan(table: pd.DataFrame, people: int, variants: int, traits: int, threads: int = THREADS) -> str:
    """Write the plan as a Markdown table with its sums."""
    lines = [
        f"{people:,} people, {variants:,} variants, {traits} traits; longest job on {threads} threads",
        "",
        "| step | jobs | hours of a core | longest job, minutes | memory of a job, GB | disk, GB | basis |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in table.itertuples():
        cells = [f"{row.cpu_hours:.1f}", f"{row.longest_minutes:.0f}", f"{row.memory_gb:.0f}", f"{row.disk_gb:.1f}"]
        lines.append(f"| {row.step} | {row.jobs} | {' | '.join(cells)} | {row.basis} |")
    total = f"| all | {table['jobs'].sum()} | {table['cpu_hours'].sum():.1f} | | {table['memory_gb'].max():.0f} | "
    return "\n".join([*lines, f"{total}{table['disk_gb'].sum():.1f} | |"]) + "\n"
