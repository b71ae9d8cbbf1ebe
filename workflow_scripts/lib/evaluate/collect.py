"""Gather the held-out scores of all representations, of the scans that they share."""

import dataclasses
import logging
from collections.abc import Callable, Sequence

import pandas as pd

from workflow_scripts.lib.evaluate.heldout import mean_scores
from workflow_scripts.lib.evaluate.summarise import metrics_by_resample
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)
SMALLEST = 10
SCALES = {"binary": "rank", "continuous": "raw"}
HELDOUT = ["task", "representation", "scan_id", "participant_id", "y", "score", "n_resamples"]
COVERAGE = ["task", "representation", "scans", "participants", "shared_scans", "shared_participants"]
COVERAGE += ["gained_without", "costs_most", "n_train"]


@dataclasses.dataclass(frozen=True)
class Collected:
    """What every comparison needs, small enough to hold for all representations at once.

    Attributes
    ----------
    values : pandas.DataFrame
        Metrics by resample, see :func:`workflow_scripts.lib.evaluate.summarise.metrics_by_resample`.
    heldout : dict of int to pandas.DataFrame
        Number of resamples, from the first on -> task, representation, scan_id, participant_id, y, score (each
        scan's mean over those of them that left it out), n_resamples (how many those are). All resamples come last.
    coverage : pandas.DataFrame
        See :func:`cover`.
    """

    values: pd.DataFrame
    heldout: dict[int, pd.DataFrame]
    coverage: pd.DataFrame

    @property
    def final(self) -> pd.DataFrame:
        """Mean held-out scores of all resamples."""
        return self.heldout[max(self.heldout)]


def resample_counts(n_resamples: int) -> list[int]:
    """Return the numbers of resamples to look at: 10, 20, 40 and so on, and all."""
    counts = []
    count = SMALLEST
    while count < n_resamples:
        counts.append(count)
        count *= 2
    return [*counts, n_resamples]


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
    shared = rows.loc[count == wanted, ["task", "scan_id"]].drop_duplicates(ignore_index=True)
    for task, part in rows.groupby("task", sort=False):
        kept = (shared["task"] == task).sum()
        if kept < part["scan_id"].nunique():
            logger.warning("%s: %d of %d scans in all representations", task, kept, part["scan_id"].nunique())
    return shared


def _cover_task(task: str, scans: dict[str, pd.DataFrame], shared: pd.Series) -> list[dict]:
    """Count one task's scans in each representation, and what each costs the others."""
    have = {name: set(rows["scan_id"]) for name, rows in scans.items()}
    asked = {name: own for name, own in have.items() if own}
    people = pd.concat(scans.values()).drop_duplicates("scan_id").set_index("scan_id")["participant_id"]
    rows = []
    for name, own in have.items():
        others = [other for key, other in asked.items() if key != name]
        gained = len(set.intersection(*others) - set(shared)) if own and others else 0
        row = {"task": task, "representation": name, "scans": len(own), "participants": people[list(own)].nunique()}
        row |= {"shared_scans": len(shared), "shared_participants": people[shared].nunique(), "gained_without": gained}
        rows.append(row)
    most = max(row["gained_without"] for row in rows)
    return [row | {"costs_most": most > 0 and row["gained_without"] == most} for row in rows]


def cover(scans: dict[str, pd.DataFrame], shared: pd.DataFrame) -> pd.DataFrame:
    """Say how many scans and people each representation has of each task, and how many are compared.

    Parameters
    ----------
    scans : dict
        Representation -> task, scan_id, participant_id, without repeats.
    shared : pandas.DataFrame
        What :func:`shared_scans` gave.

    Returns
    -------
    pandas.DataFrame
        task, representation, scans, participants, shared_scans, shared_participants (in every representation that has
        the task), gained_without (scans that would be compared if this representation were not), costs_most (whether
        it is the one that costs the others most; several at a tie, none where all scans are shared).
    """
    tasks = pd.concat(scans.values())["task"].unique()
    rows = []
    for task in tasks:
        mine = {name: table[table["task"] == task] for name, table in scans.items()}
        rows += _cover_task(task, mine, shared.loc[shared["task"] == task, "scan_id"])
    return pd.DataFrame(rows)


def _mean_by_task(scores: pd.DataFrame, kinds: dict[str, str], representation: str) -> pd.DataFrame:
    """Average each scan's held-out scores, on the scale of its task: ranks if binary, else as they are."""
    parts = [pd.DataFrame(columns=HELDOUT)]
    for task, part in scores.groupby("task", sort=False):
        means = mean_scores(part, SCALES[kinds[task]])
        means["n_resamples"] = means["scan_id"].map(part.groupby("scan_id").size())
        parts.append(means.assign(task=task, representation=representation)[HELDOUT])
    return pd.concat(parts[1:] or parts, ignore_index=True)


def _trained(scores: pd.DataFrame) -> pd.Series:
    """Return, by task, how many participants train on average: those ever scored, less those left out."""
    everyone = scores.groupby("task")["participant_id"].nunique()
    left = scores.groupby(["task", "resample"])["participant_id"].nunique().groupby("task").mean()
    return everyone - left


def collect(
    read: Callable[[str], pd.DataFrame], names: Sequence[str], kinds: dict[str, str], early: bool = False
) -> Collected:
    """Compute metrics by resample and mean held-out scores of shared scans, one representation's scores at a time.

    Parameters
    ----------
    read : callable
        Gives the scores of a representation by its name.
    names : sequence of str
        The representations.
    kinds : dict
        Task -> binary or continuous.
    early : bool
        Also average over the first 10, 20, 40 and so on of the resamples.

    Returns
    -------
    Collected

    Raises
    ------
    StudyError
        No task was scored.
    """
    scans, trained, last = {}, {}, -1
    for name in names:
        scores = read(name)
        scans[name] = scores[["task", "scan_id", "participant_id"]].drop_duplicates()
        trained[name] = _trained(scores)
        last = max(last, scores["resample"].max()) if len(scores) else last
    shared = shared_scans(scans)
    if not len(shared):
        raise StudyError("no task was scored by any representation; results/cohort/task_counts.tsv says why.")
    counts = resample_counts(int(last) + 1) if early else [int(last) + 1]
    values, heldout = [], {count: [] for count in counts}
    for name in names:
        scores = read(name).merge(shared, on=["task", "scan_id"])
        values.append(metrics_by_resample(scores, kinds, name))
        for count in counts:
            heldout[count].append(_mean_by_task(scores[scores["resample"] < count], kinds, name))
    coverage = cover(scans, shared)
    pairs = coverage[["task", "representation"]].itertuples(index=False, name=None)
    coverage["n_train"] = [trained[name].get(task) for task, name in pairs]
    tables = {count: pd.concat(parts, ignore_index=True) for count, parts in heldout.items()}
    return Collected(pd.concat(values, ignore_index=True), tables, coverage[COVERAGE])
