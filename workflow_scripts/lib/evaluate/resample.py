"""Leave participants out, many times over.

The published study calls this a bootstrap. It is subsampling without replacement: each resample
leaves out ``n_test`` participants and trains on all the others. Resamples of one pool overlap, so
their scores are correlated; :mod:`workflow_scripts.lib.evaluate.compare` has tests that know this.
"""

import numpy as np

from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.seeds import generator


def test_count(n_participants: int, n_test: int, test_fraction: float) -> int:
    """Return how many participants to leave out: ``n_test``, but at most a fraction of all.

    Raises
    ------
    StudyError
        Fewer than 2 would be left out or fewer than 2 would train.
    """
    count = min(n_test, int(test_fraction * n_participants + 1e-9))
    if count < 2 or n_participants - count < 2:
        raise StudyError(
            f"leaving {count} of {n_participants} participants out cannot be scored: at least 2 must be left out and "
            "2 must train. Raise probe: n_test or test_fraction, or drop the task."
        )
    return count


test_count.__test__ = False  # not a test, whatever its name


def ever_positive(participants: np.ndarray, ids: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Say which participants have a scan of class 1; the others have class 0 only.

    Parameters
    ----------
    participants : numpy.ndarray of str, (n_participants,)
        Sorted, unique.
    ids : numpy.ndarray of str, (n_scans,)
        Participant of each scan.
    y : numpy.ndarray of float, (n_scans,)
        0 or 1.

    Returns
    -------
    numpy.ndarray of bool, (n_participants,)
    """
    return np.bincount(np.searchsorted(participants, ids), weights=y, minlength=len(participants)) > 0


def share_out(n_negative: int, n_positive: int, n_test: int) -> tuple[int, int]:
    """Share ``n_test`` between never and ever positive people in proportion, 1 at least on each side.

    Raises
    ------
    StudyError
        There are fewer than 2 of either.
    """
    if min(n_negative, n_positive) < 2 or n_test < 2:
        raise StudyError(
            f"cannot leave {n_test} participants out and keep both classes on both sides: {n_positive} have a scan of "
            f"class 1, {n_negative} have none. Raise probe: n_test or min_participants, or turn stratify off."
        )
    positive = round(n_test * n_positive / (n_negative + n_positive))
    low, high = max(1, n_test - (n_negative - 1)), min(n_positive - 1, n_test - 1)
    positive = min(max(positive, low), high)
    return n_test - positive, positive


def held_out(
    participants: np.ndarray,
    n_test: int,
    resamples: range,
    seed: int,
    task: str,
    positive: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the participants that each resample leaves out.

    Each resample has its own generator, named by task and number: the draw depends neither on the
    representation (so that representations are compared on the same people) nor on how resamples
    are cut into chunks.

    Parameters
    ----------
    participants : numpy.ndarray of str, (n_participants,)
        Sorted, unique; all of the task's people.
    n_test : int
        Participants to leave out.
    resamples : range
        Numbers of the resamples to draw.
    seed : int
        Seed of the study.
    task : str
    positive : numpy.ndarray of bool, (n_participants,), optional
        What :func:`ever_positive` says, to leave both kinds out in proportion: with few people this
        keeps both classes on both sides. The published study does not stratify.

    Returns
    -------
    numpy.ndarray of bool, (n_resamples, n_participants)
        True where left out.
    """
    if positive is None:
        groups = [(np.arange(len(participants)), n_test)]
    else:
        sides = np.flatnonzero(~positive), np.flatnonzero(positive)
        groups = list(zip(sides, share_out(len(sides[0]), len(sides[1]), n_test), strict=True))
    out = np.zeros((len(resamples), len(participants)), dtype=bool)
    for row, resample in enumerate(resamples):
        rng = generator(seed, "probe", task, resample)
        for members, count in groups:
            out[row, rng.choice(members, size=count, replace=False)] = True
    return out


def refuse_leakage(ids: np.ndarray, train: np.ndarray, test: np.ndarray) -> None:
    """Refuse resamples in which somebody both trains and is scored.

    Parameters
    ----------
    ids : numpy.ndarray of str, (n_scans,)
        Participant of each scan.
    train, test : numpy.ndarray of bool, (n_resamples, n_scans)

    Raises
    ------
    LeakageError
        Names the first such resample and participant.
    """
    people, row = np.unique(ids, return_inverse=True)
    member = np.zeros((len(ids), len(people)), dtype=np.float32)
    member[np.arange(len(ids)), row] = 1
    both = (train.astype(np.float32) @ member > 0) & (test.astype(np.float32) @ member > 0)
    if both.any():
        resample, person = np.argwhere(both)[0]
        counts = [int(side[resample][row == person].sum()) for side in (train, test)]
        raise LeakageError(
            f"resample {resample}: participant {people[person]} is in training and in test "
            f"({counts[0]} and {counts[1]} of its scans). "
            "All scans of a participant must stay on one side."
        )
