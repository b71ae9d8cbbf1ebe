"""Linear probes: how well does a linear head on a representation answer a task, resample by resample."""

import dataclasses
import logging

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate import resample
from workflow_scripts.lib.evaluate.logistic import fit_logistic
from workflow_scripts.lib.evaluate.ridge import fit_ridge
from workflow_scripts.lib.study.errors import StudyError

KEYS = ["scan_id", "participant_id"]
SCORES = ["task", "resample", "participant_id", "scan_id", "y", "score"]
MEMORY = 25_000_000  # numbers held by one batch of fits: 200 MB
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ProbeOptions:
    """Config section ``probe``.

    Attributes
    ----------
    n_resamples : int
        Published: 1000.
    n_test : int
        Participants left out of each resample. Published: 100.
    test_fraction : float
        Leave out at most this share of a task's participants.
    stratify : bool
        Keep both classes on both sides. Published: no.
    c : float
        Inverse penalty of the logistic regression.
    alpha : float
        Penalty of the ridge regression.
    """

    n_resamples: int
    n_test: int
    test_fraction: float
    stratify: bool
    c: float
    alpha: float


def align(representation: pd.DataFrame, task: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the representation's numbers for the task's scans.

    Parameters
    ----------
    representation : pandas.DataFrame
        scan_id, participant_id, then numeric columns.
    task : pandas.DataFrame
        Rows of one task.

    Returns
    -------
    x : numpy.ndarray, (n_scans, n_columns), float64
        Rows as in ``task``; of no meaning where ``known`` is False.
    known : numpy.ndarray of bool, (n_scans,)
        Whether the representation has the scan.

    Raises
    ------
    StudyError
        A scan stands twice, belongs to somebody else, or has a number missing.
    """
    table = representation.set_index("scan_id")
    if not table.index.is_unique:
        raise StudyError(f"representation: scan {table.index[table.index.duplicated()][0]} stands twice. Keep one row.")
    known = task["scan_id"].isin(table.index).to_numpy()
    found = table.reindex(task["scan_id"])
    strange = known & (found["participant_id"].to_numpy() != task["participant_id"].to_numpy())
    if strange.any():
        scan = task["scan_id"].to_numpy()[strange][0]
        raise StudyError(
            f"representation: scan {scan} belongs to participant {found['participant_id'][scan]} there and to "
            f"{task['participant_id'].to_numpy()[strange][0]} in the tasks. Correct one of them."
        )
    x = found.drop(columns="participant_id").to_numpy(dtype=np.float64)
    bad = known[:, None] & ~np.isfinite(x)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise StudyError(
            f"representation: scan {task['scan_id'].iloc[row]} has {x[row, column]} in column "
            f"'{found.columns.drop('participant_id')[column]}'. Fill it in, or leave the scan or the column out."
        )
    return x, known


def _draw(task: pd.DataFrame, options: ProbeOptions, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which scans train and which are scored in each resample, (n_resamples, n_scans) each."""
    ids = task["participant_id"].to_numpy(dtype=str)
    people = np.unique(ids)
    n_test = resample.test_count(len(people), options.n_test, options.test_fraction)
    positive = None
    if options.stratify and task["kind"].iloc[0] == "binary":
        positive = resample.ever_positive(people, ids, task["y"].to_numpy(dtype=float))
    name = str(task["task"].iloc[0])
    out = resample.held_out(people, n_test, range(options.n_resamples), seed, name, positive)
    test = out[:, np.searchsorted(people, ids)]
    return ~test, test


def run_task(representation: pd.DataFrame, task: pd.DataFrame, options: ProbeOptions, seed: int) -> pd.DataFrame:
    """Score the held-out scans of every resample of one task.

    The resamples are drawn from all of the task's people. Scans that the representation lacks are
    then left out, so that two representations always share their resamples. A resample that would
    train on one class only is left out and counted in the log.

    Parameters
    ----------
    representation : pandas.DataFrame
        scan_id, participant_id, then numeric columns.
    task : pandas.DataFrame
        Rows of one task (schema ``tasks``).
    options : ProbeOptions
    seed : int
        Seed of the study.

    Returns
    -------
    pandas.DataFrame
        task, resample, participant_id, scan_id, y, score (log odds, or a prediction in y's units).

    Raises
    ------
    StudyError
        See :func:`align` and :func:`workflow_scripts.lib.evaluate.resample.held_out`.
    """
    name, kind = str(task["task"].iloc[0]), task["kind"].iloc[0]
    task = task.sort_values(KEYS[::-1]).reset_index(drop=True)
    x, known = align(representation, task)
    train, test = (side[:, known] for side in _draw(task, options, seed))
    task, x = task[known], x[known]
    if not known.all():
        logger.warning("%s: %d of %d scans are not in the representation", name, (~known).sum(), len(known))
    y = task["y"].to_numpy(dtype=np.float64)
    resample.refuse_leakage(task["participant_id"].to_numpy(dtype=str), train, test)
    usable = train.sum(1) >= 2
    if kind == "binary":
        positive = train @ y
        usable &= (positive > 0) & (positive < train.sum(1))
    if not usable.all():
        logger.warning("%s: %d resamples would train on one class only: left out", name, (~usable).sum())
    numbers = np.flatnonzero(usable)
    scores = fit_in_chunks(x, y, train[usable], kind, options)
    row, scan = np.nonzero(test[usable])
    return pd.DataFrame(
        {
            "task": name,
            "resample": numbers[row],
            "participant_id": task["participant_id"].to_numpy()[scan],
            "scan_id": task["scan_id"].to_numpy()[scan],
            "y": y[scan],
            "score": scores[row, scan],
        }
    )


def fit_in_chunks(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, kind: str, options: ProbeOptions, size: int | None = None
) -> np.ndarray:
    """Fit all resamples, as many at once as memory allows; scores (n_resamples, n_scans).

    The numbers do not depend on the size of a chunk (beyond rounding in the last digits).
    """
    size = size or max(1, MEMORY // (len(x) + (x.shape[1] + 1) ** 2))
    out = np.empty(train.shape)
    for first in range(0, len(train), size):
        rows = slice(first, first + size)
        if kind == "binary":
            out[rows], error = fit_logistic(x, y, train[rows], options.c)
            logger.info("%d logistic fits, largest gradient %.1e", len(error), error.max())
        else:
            out[rows] = fit_ridge(x, y, train[rows], options.alpha)
    return out


def run_tasks(representation: pd.DataFrame, tasks: pd.DataFrame, options: ProbeOptions, seed: int) -> pd.DataFrame:
    """Run every task of a tasks table on one representation; see :func:`run_task`."""
    parts = []
    for name, task in tasks.groupby("task", sort=False):
        scores = run_task(representation, task, options, seed)
        logger.info("%s: %d scans, %d resamples", name, len(task), scores["resample"].nunique())
        parts.append(scores)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=SCORES)
