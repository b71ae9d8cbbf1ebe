"""Samples of a learning curve: n images to train, n/5 to choose a setting, n/5 to test, many times over.

The published draw: n images of the pool, then as many validation and test images from people who are
not yet in the sample. Images are counted and not people: several sessions of one person may train, but
nobody stands in two sets. The paper does not say what happens when a set has one class only, or when
the people who are left have too few images. Here such a draw is thrown away and made again, and a
size at which fewer than one draw in ten succeeds does not fit the pool.
"""

import dataclasses
import logging
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

SETS = ("train", "validation", "test")
SIZES = ["task", "n", "validation", "test", "repeats", "fits", "reason"]
CLASSES = (("positive", 1), ("negative", 0))
TRIALS = 100  # draws that tell whether a size fits
SUCCESSES = TRIALS // 10  # of them; then all ATTEMPTS fail with a probability of 0.9^1000 = 2e-46
ATTEMPTS = 1000
SMALLEST = 2  # images in a set: one of each class
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Pool:
    """What samples of a task are drawn from.

    Attributes
    ----------
    table : pandas.DataFrame
        scan_id, participant_id, y, in the order of scan_id: the draw does not depend on the order of the table given.
    people : numpy.ndarray of int, (n_scans,)
        Number of the participant of each scan.
    groups : tuple of numpy.ndarray of bool, (n_scans,)
        Scans that are drawn together: all of them, or each class by itself.
    """

    table: pd.DataFrame
    people: np.ndarray
    groups: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, table: pd.DataFrame, stratify: bool = False) -> "Pool":
        """Take a table with scan_id, participant_id and y (0 or 1)."""
        table = table.sort_values("scan_id")[["scan_id", "participant_id", "y"]].reset_index(drop=True)
        y = table["y"].to_numpy(dtype=float)
        if table["scan_id"].duplicated().any():
            scan = table.loc[table["scan_id"].duplicated(), "scan_id"].iloc[0]
            raise StudyError(f"the pool of a learning curve has scan {scan} twice. Keep one row of it.")
        if not np.isin(y, (0, 1)).all():
            raise StudyError(
                f"a learning curve needs a task with two classes, 0 and 1; found {y[~np.isin(y, (0, 1))][0]:g}. "
                "Name binary or conversion tasks in finetune: tasks."
            )
        groups = (y == 0, y == 1) if stratify else (np.ones(len(table), dtype=bool),)
        return cls(table, pd.factorize(table["participant_id"])[0], groups)

    def attempt(self, sizes: Sequence[int], rng: np.random.Generator) -> list[np.ndarray] | None:
        """Draw the sets once; None if people run out or a set lacks a class."""
        y = self.table["y"].to_numpy()
        free = np.ones(len(self.table), dtype=bool)
        drawn = []
        for size in sizes:
            chosen = []
            for group, count in zip(self.groups, self._share_out(size), strict=True):
                candidates = np.flatnonzero(free & group)
                if len(candidates) < count:
                    return None
                chosen.append(rng.choice(candidates, count, replace=False))
            rows = np.sort(np.concatenate(chosen))
            if y[rows].min() == y[rows].max():
                return None
            free &= ~np.isin(self.people, self.people[rows])
            drawn.append(rows)
        return drawn

    def _share_out(self, size: int) -> list[int]:
        """Share a set out to the groups in proportion to the pool, one at least to each."""
        if len(self.groups) == 1:
            return [size]
        positive = min(max(1, round(size * self.groups[1].mean())), size - 1)
        return [size - positive, positive]


def set_sizes(n: int, share: float) -> tuple[int, int, int]:
    """Return the images of the three sets: n, and ``share`` of n (2 at least) for validation and for test."""
    held_out = max(SMALLEST, round(share * n))
    return n, held_out, held_out


def fits(pool: Pool, n: int, share: float, seed: int, task: str) -> bool:
    """Say whether samples of n training images can be drawn: whether one trial draw in ten succeeds at least.

    Parameters
    ----------
    pool : Pool
    n : int
        Training images.
    share : float
        Validation and test images, each as a share of n. Published: 0.2.
    seed : int
        Seed of the study.
    task : str
    """
    sizes = set_sizes(n, share)
    if n < SMALLEST or sum(sizes) > len(pool.table):
        return False
    rng = generator(seed, "draw_samples", "trial", task, n)
    successes = 0
    for trial in range(TRIALS):
        successes += pool.attempt(sizes, rng) is not None
        if successes >= SUCCESSES:
            return True
        if successes + TRIALS - trial - 1 < SUCCESSES:
            return False
    return False


def largest_size(pool: Pool, share: float, seed: int, task: str) -> int:
    """Return the largest n found to fit by halving the range of sizes; 0 if no size does."""
    top = int(len(pool.table) / (1 + 2 * share)) + 1
    # very small samples may lack a class where larger ones do not
    low = next((n for n in (10, 20, 5, 40, SMALLEST, 80, 160) if n < top and fits(pool, n, share, seed, task)), 0)
    if not low:
        return 0
    while top - low > 1:
        middle = (low + top) // 2
        low, top = (middle, top) if fits(pool, middle, share, seed, task) else (low, middle)
    return low


def why_not(pool: Pool, n: int, share: float, seed: int, task: str) -> str:
    """Say why samples of n training images cannot be drawn; empty if they can."""
    if fits(pool, n, share, seed, task):
        return ""
    y = pool.table["y"]
    largest = largest_size(pool, share, seed, task)
    remedy = f"the largest n that fits is {largest}" if largest else "no n fits"
    return (
        f"{task}: n = {n} needs {sum(set_sizes(n, share))} images in three sets without a shared participant and both "
        f"classes in each; the pool has {len(y)} images of {pool.people.max(initial=-1) + 1} people "
        f"({int((y == 1).sum())} images of class 1, {int((y == 0).sum())} of class 0); {remedy}"
    )


def draw_sample(
    pool: Pool | pd.DataFrame, n: int, share: float, seed: int, task: str, repeat: int, stratify: bool = False
) -> pd.DataFrame:
    """Draw one sample; each (seed, task, n, repeat) has its own generator.

    Parameters
    ----------
    pool : Pool or pandas.DataFrame
        A table needs scan_id, participant_id, y (0 or 1).
    n : int
        Training images.
    share : float
        Validation and test images, each as a share of n. Published: 0.2.
    seed : int
        Seed of the study.
    task : str
    repeat : int
        Number of the sample.
    stratify : bool
        Draw the classes in the pool's proportion; a ready Pool knows for itself.

    Returns
    -------
    pandas.DataFrame
        task, n, repeat, set (train, validation, test), scan_id, participant_id, y.

    Raises
    ------
    StudyError
        No draw in 1,000 gave three sets with both classes.
    """
    pool = pool if isinstance(pool, Pool) else Pool.of(pool, stratify)
    rng = generator(seed, "draw_samples", task, n, repeat)
    for _ in range(ATTEMPTS):
        drawn = pool.attempt(set_sizes(n, share), rng)
        if drawn is not None:
            break
    else:
        reason = why_not(pool, n, share, seed, task) or f"{task}: n = {n}: {ATTEMPTS} draws failed"
        raise StudyError(f"{reason}. Lower finetune: sizes, or turn finetune: stratify on.")
    sample = pool.table.iloc[np.concatenate(drawn)].reset_index(drop=True)
    sets = np.repeat(SETS, [len(rows) for rows in drawn])
    for place, (name, value) in enumerate({"task": task, "n": n, "repeat": repeat, "set": sets}.items()):
        sample.insert(place, name, value)
    check_sample(sample)
    return sample


def check_sample(sample: pd.DataFrame) -> None:
    """Refuse a sample in which a participant stands in two sets (:class:`LeakageError` names them)."""
    people, sets = sample["participant_id"].to_numpy(dtype=object), sample["set"].to_numpy(dtype=object)
    ids = {name: people[sets == name] for name in SETS}
    where = " ".join(str(sample[key].iloc[0]) for key in ("task", "n", "repeat")) if len(sample) else ""
    for left, right in (("train", "validation"), ("train", "test"), ("validation", "test")):
        refuse_overlap(ids[left], ids[right], f"{left} (sample {where})", f"{right} (sample {where})")


def shared_pool(task: pd.DataFrame, scans: dict[str, Iterable[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the scans that every model has, and count what each of them lacks.

    Parameters
    ----------
    task : pandas.DataFrame
        Rows of one task: task, scan_id, participant_id, y.
    scans : dict
        Source (a model, or ``included``) -> the scans that it has.

    Returns
    -------
    pool : pandas.DataFrame
        The rows that are left.
    counts : pandas.DataFrame
        task, source, participants, scans, lacking, positive_participants, negative_participants: ``labelled`` (the
        task's scans), each source by itself, and ``pool`` (the intersection).
    """
    has = {name: task["scan_id"].isin(set(ids)).to_numpy() for name, ids in scans.items()}
    kept = np.logical_and.reduce([np.ones(len(task), dtype=bool), *has.values()])
    rows = []
    for source, mask in {"labelled": np.ones(len(task), dtype=bool), **has, "pool": kept}.items():
        part = task[mask]
        classes = {f"{name}_participants": part.loc[part["y"] == y, "participant_id"].nunique() for name, y in CLASSES}
        counts = {"participants": part["participant_id"].nunique(), "scans": len(part), "lacking": int((~mask).sum())}
        rows.append({"task": task["task"].iloc[0], "source": source, **counts, **classes})
    if not kept.all():
        lacking = ", ".join(f"{name} lacks {(~mask).sum()}" for name, mask in has.items() if not mask.all())
        drawn = f"samples are drawn from the {kept.sum()} of {len(kept)} scans that all models have"
        logger.warning("%s: %s (%s)", task["task"].iloc[0], drawn, lacking)
    return task[kept], pd.DataFrame(rows)


def check_sizes(
    pools: dict[str, pd.DataFrame], sizes: list[int], repeats: int, share: float, seed: int, stratify: bool = False
) -> pd.DataFrame:
    """Say of each task and size whether the pool is large enough; arguments as :func:`draw_samples`.

    Returns
    -------
    pandas.DataFrame
        task, n, validation, test (images), repeats, fits (``true`` or ``false``), reason (missing if it fits).
    """
    rows = []
    for task, table in pools.items():
        pool = Pool.of(table, stratify)
        for n in sizes:
            reason, held_out = why_not(pool, n, share, seed, task), set_sizes(n, share)[1]
            fitting = "false" if reason else "true"
            rows.append((task, n, held_out, held_out, 0 if reason else repeats, fitting, reason or None))
    return pd.DataFrame(rows, columns=SIZES)


def draw_samples(
    pools: dict[str, pd.DataFrame], sizes: list[int], repeats: int, share: float, seed: int, stratify: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw all samples of all tasks, passing over sizes that a pool is too small for.

    Parameters
    ----------
    pools : dict
        Task -> scan_id, participant_id, y.
    sizes : list of int
        Training images. Published: 100, 200, 300, 400, 500.
    repeats : int
        Samples of each size. Published: 100.
    share, seed, stratify
        See :func:`draw_sample`.

    Returns
    -------
    samples : pandas.DataFrame
        See :func:`draw_sample`.
    fitting : pandas.DataFrame
        See :func:`check_sizes`.

    Raises
    ------
    StudyError
        No size of any task fits.
    """
    fitting, parts = check_sizes(pools, sizes, repeats, share, seed, stratify), []
    for reason in fitting["reason"].dropna():
        logger.warning("%s: passed over", reason)
    for task, rows in fitting[fitting["fits"] == "true"].groupby("task", sort=False):
        pool = Pool.of(pools[task], stratify)
        parts += [draw_sample(pool, n, share, seed, task, repeat) for n in rows["n"] for repeat in range(repeats)]
    if not parts:
        reasons = "\n".join(fitting["reason"]) or "no task is named"
        raise StudyError(f"no sample of a learning curve can be drawn:\n{reasons}.\nLower finetune: sizes.")
    return pd.concat(parts, ignore_index=True), fitting
