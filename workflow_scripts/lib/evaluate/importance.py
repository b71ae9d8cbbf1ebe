"""What a probe's score loses when a location is left out of the representation.

Two readings, both on the resamples on which the representation was scored, so that the same people are left out:

* *fitted*: the probe is fitted on the whole representation and then given representations without the location. It
  says what the fitted model relies on. A location whose message others repeat can still matter, if the probe listens
  to it.
* *refitted*: the probe is fitted on representations without the location too. It says what no other location can
  stand in for.

The drop is paired by resample. Its interval is that of :func:`workflow_scripts.lib.evaluate.compare.corrected_t`: it
speaks of the population, as far as that correction is right, and of one location at a time.
"""

import dataclasses
import logging
from collections.abc import Callable

import numpy as np
import pandas as pd

from workflow_scripts.lib.evaluate.compare import corrected_t
from workflow_scripts.lib.evaluate.metrics import METRICS
from workflow_scripts.lib.evaluate.probe import ProbeOptions, fit_in_chunks
from workflow_scripts.lib.evaluate.resample import refuse_leakage
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["task", "metric", "reading", "location", "score_full", "score_without", "drop", "low", "high"]
COLUMNS += ["n_resamples", "n_people", "n_test"]
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ImportanceOptions:
    """How locations are ranked.

    Attributes
    ----------
    probe : ProbeOptions
        Penalties are those of the probes; of the resamples the first ``n_resamples`` are used.
    reading : {'fitted', 'refitted'}
    continuous_metric : str
        Of continuous tasks: ``r2`` or ``r2_pool``; binary tasks have ``auc``.
    level : float
        Coverage of the intervals.
    """

    probe: ProbeOptions
    reading: str
    continuous_metric: str
    level: float


def held_out_scans(task: pd.DataFrame, scores: pd.DataFrame, n_resamples: int) -> np.ndarray:
    """Read from a probe's scores which scans each resample left out.

    Parameters
    ----------
    task : pandas.DataFrame
        Rows of one task: scan_id, participant_id.
    scores : pandas.DataFrame
        Of the same task: resample, scan_id (schema ``probe_scores``).
    n_resamples : int
        Of the resamples take those with a number below this.

    Returns
    -------
    numpy.ndarray of bool, (resamples, n_scans)
        Scans as in ``task``.

    Raises
    ------
    LeakageError
        Somebody would both train and be scored.
    StudyError
        The scores have a scan that the task lacks.
    """
    scores = scores[scores["resample"] < n_resamples]
    column = pd.Index(task["scan_id"]).get_indexer(scores["scan_id"])
    if (column < 0).any():
        scan = scores["scan_id"].to_numpy()[column < 0][0]
        raise StudyError(f"scan {scan} was scored by the probe and has no tokens or label now. Rerun the probe.")
    row, numbers = pd.factorize(scores["resample"], sort=True)
    test = np.zeros((len(numbers), len(task)), dtype=bool)
    test[row, column] = True
    refuse_leakage(task["participant_id"].to_numpy(dtype=str), ~test, test)
    return test


def linear_maps(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, kind: str, options: ProbeOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the probe of each resample and return it as numbers that apply to any representation.

    Fits give scores, not coefficients. A linear score is known everywhere from its values at d + 1 points, so d + 1
    rows that train no fit are put below the others: the mean, and one step from it along each column.

    Parameters
    ----------
    x : numpy.ndarray, (n, d), float64
    y : numpy.ndarray, (n,)
    train : numpy.ndarray of bool, (resamples, n)
    kind : {'binary', 'continuous'}
    options : ProbeOptions

    Returns
    -------
    slope : numpy.ndarray, (resamples, d)
    intercept : numpy.ndarray, (resamples,)
        Score of a row z is z @ slope + intercept.
    """
    n, d = x.shape
    centre, step = x.mean(0), x.std(0)
    points = np.vstack([centre, centre + np.diag(step)])
    never = np.zeros((len(train), d + 1), dtype=bool)
    labels = np.concatenate([y, np.full(d + 1, y[0])])
    scores = fit_in_chunks(np.vstack([x, points]), labels, np.hstack([train, never]), kind, options)[:, n:]
    varies = step > 1e-12 * np.maximum(np.abs(x).max(0), 1)
    slope = np.where(varies, (scores[:, 1:] - scores[:, :1]) / np.where(varies, step, 1), 0)
    return slope, scores[:, 0] - slope @ centre


def make_scorer(
    full: np.ndarray, y: np.ndarray, train: np.ndarray, kind: str, options: ImportanceOptions
) -> Callable[[np.ndarray], np.ndarray]:
    """Return what scores every scan in every resample, (n, d) -> (resamples, n), by the reading of the options.

    Parameters
    ----------
    full : numpy.ndarray, (n, d)
        Representations of all locations, on which the reading ``fitted`` fits.
    y, train, kind
        As :func:`linear_maps`.
    options : ImportanceOptions
    """
    if options.reading == "refitted":
        return lambda x: fit_in_chunks(x, y, train, kind, options.probe)
    slope, intercept = linear_maps(full, y, train, kind, options.probe)
    return lambda x: slope @ x.T + intercept[:, None]


def rank_locations(
    full: np.ndarray,
    without: dict[str, np.ndarray],
    task: pd.DataFrame,
    scores: pd.DataFrame,
    options: ImportanceOptions,
) -> pd.DataFrame:
    """Say what the score of one task loses without each location.

    Parameters
    ----------
    full : numpy.ndarray, (n, d)
        Representations of the task's scans, in the order of ``task``.
    without : dict
        Location -> the same, with the location left out.
    task : pandas.DataFrame
        Rows of one task that have a representation (schema ``tasks``).
    scores : pandas.DataFrame
        The probe's scores of this task and representation (schema ``probe_scores``), for their resamples.
    options : ImportanceOptions

    Returns
    -------
    pandas.DataFrame
        One row a location, in the given order: task, metric, reading, location, score_full and score_without (means
        over resamples), drop (their difference), low, high (pool-corrected), n_resamples, n_people, n_test (mean
        number of people left out). Empty if fewer than two resamples can be scored.

    Raises
    ------
    StudyError
        See :func:`held_out_scans`.
    """
    name, kind = str(task["task"].iloc[0]), str(task["kind"].iloc[0])
    metric = "auc" if kind == "binary" else options.continuous_metric
    test = held_out_scans(task, scores, options.probe.n_resamples)
    y, full = task["y"].to_numpy(dtype=np.float64), np.asarray(full, dtype=np.float64)
    score, judge = make_scorer(full, y, ~test, kind, options), METRICS[kind][metric]
    before = judge(score(full), y, test)
    known = np.isfinite(before)
    if known.sum() < 2:
        logger.warning("%s: %d resamples with a %s: left out", name, known.sum(), metric)
        return pd.DataFrame(columns=COLUMNS)
    people, person = np.unique(task["participant_id"].to_numpy(dtype=str), return_inverse=True)
    n_test = float(np.mean([len(np.unique(person[row])) for row in test[known]]))
    shared = {"task": name, "metric": metric, "reading": options.reading, "score_full": before[known].mean()}
    shared |= {"n_resamples": int(known.sum()), "n_people": len(people), "n_test": n_test}
    rows = []
    for location, x in without.items():
        after = judge(score(np.asarray(x, dtype=np.float64)), y, test)[known]
        found = corrected_t(before[known] - after, n_test, len(people), options.level)
        bounds = {"drop": found["mean"], "low": found["lower"], "high": found["upper"]}
        rows.append({**shared, "location": location, "score_without": after.mean(), **bounds})
    return pd.DataFrame(rows, columns=COLUMNS)


def rank_tasks(
    full: pd.DataFrame,
    without: dict[str, pd.DataFrame],
    tasks: pd.DataFrame,
    scores: pd.DataFrame,
    options: ImportanceOptions,
) -> pd.DataFrame:
    """Rank the locations of one representation for several tasks; see :func:`rank_locations`.

    Parameters
    ----------
    full : pandas.DataFrame
        Index scan_id, columns the representation's numbers.
    without : dict
        Location -> the same, with the location left out.
    tasks : pandas.DataFrame
        Rows of the tasks to rank (schema ``tasks``); tasks that the probe did not score are passed over.
    scores : pandas.DataFrame
        The probe's scores of this representation (schema ``probe_scores``).
    options : ImportanceOptions

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    StudyError
        No task was scored.
    """
    parts = []
    for name, task in tasks[tasks["scan_id"].isin(full.index)].groupby("task", sort=False):
        known = scores[scores["task"] == name]
        if not len(known):
            logger.warning("%s: not scored by the probe: passed over", name)
            continue
        task = task.sort_values(["participant_id", "scan_id"])
        less = {location: table.loc[task["scan_id"]].to_numpy() for location, table in without.items()}
        parts.append(rank_locations(full.loc[task["scan_id"]].to_numpy(), less, task, known, options))
    if not sum(map(len, parts)):
        raise StudyError(
            f"none of the tasks {', '.join(tasks['task'].unique())} was scored by the probe; "
            "task_counts.tsv of the cohort says why. Name others in interpret: tasks."
        )
    return pd.concat([part for part in parts if len(part)], ignore_index=True)
