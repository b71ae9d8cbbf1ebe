"""From held-out scores to metrics by resample, their summary, and comparisons of representations."""

import itertools
import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import compare
from workflow_scripts.lib.evaluate.metrics import BOUNDS, METRICS
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

logger = logging.getLogger(__name__)
COUNTS = ["n_resamples", "n_participants", "n_test"]
COMPARISON = ["task", "metric", "a", "b", *COUNTS, "mean_a", "mean_b", "difference", "lower", "upper"]
COMPARISON += ["p_permutation", "p_permutation_holm", "p_corrected", "p_corrected_holm"]
TESTS = {"paired": compare.sign_flip_test, "unpaired": compare.unpaired_test}


def shared_scans(scans: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """List the scans of each task that every representation with that task has scored.

    Resamples are the same for all representations, so sharing scans is sharing held-out people.

    Parameters
    ----------
    scans : dict
        Representation -> rows with task and scan_id, without repeats.

    Returns
    -------
    pandas.DataFrame
        task, scan_id.
    """
    rows = pd.concat(scans, names=["representation"]).reset_index("representation")
    wanted = rows.groupby("task")["representation"].transform("nunique")
    count = rows.groupby(["task", "scan_id"])["representation"].transform("nunique")
    shared = rows.loc[count == wanted, ["task", "scan_id"]].drop_duplicates()
    for task, part in rows.groupby("task", sort=False):
        kept = (shared["task"] == task).sum()
        if kept < part["scan_id"].nunique():
            logger.warning("%s: %d of %d scans in all representations", task, kept, part["scan_id"].nunique())
    return shared


def metrics_by_resample(scores: pd.DataFrame, kinds: dict[str, str], representation: str) -> pd.DataFrame:
    """Compute each metric of each resample of one representation.

    Parameters
    ----------
    scores : pandas.DataFrame
        task, resample, participant_id, scan_id, y, score.
    kinds : dict
        Task -> binary or continuous.
    representation : str
        Its name.

    Returns
    -------
    pandas.DataFrame
        task, representation, resample, metric, value (missing where a resample has one class
        only), participants (scored in it).
    """
    parts = [pd.DataFrame(columns=["task", "representation", "resample", "metric", "value", "participants"])]
    for task, part in scores.groupby("task", sort=False):
        row, resamples = pd.factorize(part["resample"], sort=True)
        column, scans = pd.factorize(part["scan_id"], sort=True)
        mask = np.zeros((len(resamples), len(scans)), dtype=bool)
        mask[row, column] = True
        grid = np.zeros(mask.shape)
        grid[row, column] = part["score"]
        y = np.zeros(len(scans))
        y[column] = part["y"]
        people = part.groupby("resample")["participant_id"].nunique().reindex(resamples).to_numpy()
        for metric, function in METRICS[kinds[task]].items():
            frame = {"task": task, "representation": representation, "resample": resamples}
            parts.append(
                pd.DataFrame({**frame, "metric": metric, "value": function(grid, y, mask), "participants": people})
            )
    return pd.concat(parts[1:] or parts, ignore_index=True)


def summarise(values: pd.DataFrame, pool: dict[str, int], level: float = 0.95) -> pd.DataFrame:
    """Summarise each metric over resamples.

    Parameters
    ----------
    values : pandas.DataFrame
        What :func:`metrics_by_resample` gave.
    pool : dict
        Task -> number of participants.
    level : float

    Returns
    -------
    pandas.DataFrame
        task, representation, metric, n_resamples, n_participants (scored at least once), n_test
        (mean left out and scored), mean, sd (over resamples; not a standard error), lower, upper (pool-corrected
        interval of the mean, cut where the metric ends).
    """
    rows = []
    keys = ["task", "representation", "metric"]
    for (task, representation, metric), part in values.groupby(keys, sort=False):
        known = part.dropna(subset="value")
        if len(known) < 2:
            logger.warning("%s, %s: %d resamples with a %s: left out", task, representation, len(known), metric)
            continue
        n_test = known["participants"].mean()
        found = compare.corrected_t(known["value"].to_numpy(), n_test, pool[task], level)
        row = {"task": task, "representation": representation, "metric": metric, "n_resamples": len(known)}
        row |= {"n_participants": pool[task], "n_test": n_test}
        bounds = dict(zip(("lower", "upper"), np.clip([found["lower"], found["upper"]], *BOUNDS[metric]), strict=True))
        rows.append(row | {"mean": found["mean"], "sd": found["sd"]} | bounds)
    columns = [*keys, *COUNTS, "mean", "sd", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns)


def compare_pair(
    a: np.ndarray, b: np.ndarray, n_test: float, n_participants: int, options: dict, rng: np.random.Generator
) -> dict[str, float]:
    """Test two representations on one task; ``options`` holds permutation, n_permutations and level."""
    found = compare.corrected_t(a - b, n_test, n_participants, options["level"])
    p = TESTS[options["permutation"]](a, b, options["n_permutations"], rng)
    return {
        "n_resamples": len(a),
        "n_participants": n_participants,
        "n_test": n_test,
        "mean_a": a.mean(),
        "mean_b": b.mean(),
        "difference": found["mean"],
        "lower": found["lower"],
        "upper": found["upper"],
        "p_permutation": p,
        "p_corrected": found["p"],
    }


def compare_representations(values: pd.DataFrame, pool: dict[str, int], options: dict, seed: int) -> pd.DataFrame:
    """Compare each pair of representations on the main metric of each task (AUC, or a form of R2).

    Parameters
    ----------
    values : pandas.DataFrame
        What :func:`metrics_by_resample` gave.
    pool : dict
        Task -> number of participants.
    options : dict
        permutation (``paired`` or ``unpaired``), n_permutations, level, and continuous_metric (what
        to compare in continuous tasks: ``r2`` or ``r2_pool``).
    seed : int
        Seed of the study.

    Returns
    -------
    pandas.DataFrame
        task, metric, a, b, n_resamples, n_participants, n_test, mean_a, mean_b, difference (a - b),
        lower, upper (pool-corrected), p_permutation (as published; conditional on this pool),
        p_corrected (pool-corrected t), and both adjusted by Holm's rule over the pairs of a task.
    """
    main = values[values["metric"].isin(["auc", options["continuous_metric"]])]
    rows = [pd.DataFrame(columns=COMPARISON)]
    for (task, metric), part in main.groupby(["task", "metric"], sort=False):
        wide = part.pivot(index="resample", columns="representation", values="value")
        people = part.groupby("resample")["participants"].mean()
        pairs = []
        for a, b in itertools.combinations(part["representation"].unique(), 2):
            both = wide[[a, b]].dropna()
            if len(both) < 2:
                logger.warning("%s: %s and %s share %d resamples: not compared", task, a, b, len(both))
                continue
            rng = generator(seed, "compare_probes", task, a, b)
            n_test = float(people[both.index].mean())
            found = compare_pair(both[a].to_numpy(), both[b].to_numpy(), n_test, pool[task], options, rng)
            pairs.append({"task": task, "metric": metric, "a": a, "b": b, **found})
        table = pd.DataFrame(pairs)
        for name in ("permutation", "corrected"):
            if len(table):
                table[f"p_{name}_holm"] = compare.holm(table[f"p_{name}"].to_numpy())
        if len(table):
            rows.append(table)
    return pd.concat(rows[1:] or rows, ignore_index=True).reindex(columns=COMPARISON)


def collect(
    read: Callable[[str], pd.DataFrame], names: list[str], kinds: dict[str, str]
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Compute metrics by resample on shared scans, holding the scores of one representation at a time.

    Parameters
    ----------
    read : callable
        Gives the scores of a representation by its name.
    names : list of str
        The representations.
    kinds : dict
        Task -> binary or continuous.

    Returns
    -------
    values : pandas.DataFrame
        See :func:`metrics_by_resample`.
    pool : dict
        Task -> participants scored at least once.

    Raises
    ------
    StudyError
        No task was scored.
    """
    shared = shared_scans({name: read(name)[["task", "scan_id"]].drop_duplicates() for name in names})
    if not len(shared):
        raise StudyError("no task was scored by any representation; results/cohort/task_counts.tsv says why.")
    parts, pool = [], {}
    for name in names:
        scores = read(name).merge(shared, on=["task", "scan_id"])
        parts.append(metrics_by_resample(scores, kinds, name))
        pool |= scores.groupby("task")["participant_id"].nunique().to_dict()
    return pd.concat(parts, ignore_index=True), pool
