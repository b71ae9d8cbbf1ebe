"""The samples that networks are fitted to: who trains, who chooses, who is scored; checked before any compute."""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.study.errors import StudyError

SETS = ("train", "validation", "test")
COLUMNS = ("task", "n", "repeat", "set", "scan_id", "participant_id", "y")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One drawn sample of a task.

    Attributes
    ----------
    task : str
    n : int
        Size of the training set, as the config names it.
    repeat : int
    scans : dict of str to tuple of str
        Set -> scan ids, sorted: the order of rows in a table changes no number.
    people : dict of str to tuple of str
        Set -> participant id of each of these scans.
    labels : dict of str to numpy.ndarray
        Set -> labels of these scans, float32, 0 or 1.
    """

    task: str
    n: int
    repeat: int
    scans: dict[str, tuple[str, ...]]
    people: dict[str, tuple[str, ...]]
    labels: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        """For logs and messages."""
        return f"{self.task}, n {self.n}, repeat {self.repeat}"

    @property
    def lacks(self) -> str:
        """Why nothing can be fitted or chosen on it, empty if it can."""
        for name in ("train", "validation"):
            if len(set(self.labels[name].tolist())) < 2:
                return f"all {len(self.labels[name])} {name} scans have the same label"
        return ""


def take_samples(table: pd.DataFrame) -> list[Sample]:
    """Take a table of samples apart, and refuse what must not be fitted.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``curve_samples``: task, n, repeat, set, scan_id, participant_id, y.

    Returns
    -------
    list of Sample
        In the order of task, n and repeat.

    Raises
    ------
    StudyError
        If the table is empty, a sample lacks a set, names a scan twice, or a label is neither 0 nor 1.
    LeakageError
        If a participant stands in two sets of a sample.
    """
    if table.empty:
        raise StudyError("no sample to fit: the table of samples is empty. Draw samples for this task and size.")
    return [_take(*key, rows) for key, rows in table.groupby(["task", "n", "repeat"], sort=True)]


def _take(task: str, n: int, repeat: int, rows: pd.DataFrame) -> Sample:
    """Make one sample of its rows."""
    name = f"{task}, n {n}, repeat {repeat}"
    rows = rows.sort_values("scan_id")
    if rows["scan_id"].duplicated().any():
        scan = rows.loc[rows["scan_id"].duplicated(), "scan_id"].iloc[0]
        raise StudyError(f"{name}: scan '{scan}' stands there twice. Draw the samples again.")
    wrong = rows.loc[~rows["y"].isin([0, 1])]
    if len(wrong):
        raise StudyError(
            f"{name}: scan '{wrong['scan_id'].iloc[0]}' has label {wrong['y'].iloc[0]}, expected 0 or 1. Networks are "
            "finetuned on binary tasks; name only such in finetune.tasks."
        )
    sets = {one: rows[rows["set"] == one] for one in SETS}
    empty = [one for one, members in sets.items() if members.empty]
    if empty:
        raise StudyError(f"{name}: no scan in set '{empty[0]}'. Draw the samples again or raise evaluation_share.")
    for left, right in itertools.combinations(SETS, 2):
        refuse_overlap(*(sets[one]["participant_id"] for one in (left, right)), f"{left} ({name})", right)
    return Sample(
        str(task),
        int(n),
        int(repeat),
        {one: tuple(members["scan_id"]) for one, members in sets.items()},
        {one: tuple(members["participant_id"]) for one, members in sets.items()},
        {one: members["y"].to_numpy(np.float32) for one, members in sets.items()},
    )


def participants(samples: Sequence[Sample]) -> list[str]:
    """List everybody in any set, sorted."""
    return sorted({person for sample in samples for people in sample.people.values() for person in people})


def scan_ids(samples: Sequence[Sample]) -> list[str]:
    """List all scans, sorted: each is loaded once, however many fits use it."""
    return sorted({scan for sample in samples for scans in sample.scans.values() for scan in scans})
