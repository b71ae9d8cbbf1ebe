r"""The two published designs on simulated people, of whom the truth is known.

Two sets of columns are drawn for the same people. Given the class both have normal noise, part of
it in common, and one direction in which the classes lie apart, so that the best linear score of a
set has the population AUC :math:`\Phi(\delta / \sqrt 2)`. With equal distances the two sets can
change places without changing the distribution of anything: the null hypothesis "both are equally
good in the population" then holds exactly, for every sample size, head and number of resamples.

* ``leave_out``: resamples of a pool leave people out and train on all the others (the published
  probes of representations).
* ``small_samples``: every resample draws training and test people anew, a small part of the pool
  (the published learning curves).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from workflow_scripts.lib.evaluate import resample
from workflow_scripts.lib.evaluate.logistic import fit_logistic
from workflow_scripts.lib.evaluate.metrics import auc_rows
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import generator

KINDS = ("leave_out", "small_samples")
BATCH = 100_000  # fits times people of one batch: what stays in a processor's cache


@dataclasses.dataclass(frozen=True)
class Planted:
    """What is true of the simulated people.

    Attributes
    ----------
    auc : float
        Population AUC of the best linear score of the first set.
    columns : int
        Columns of each set.
    shared : float
        Share of the noise variance that the two sets have in common.
    c : float
        Inverse L2 penalty of the heads, on standardised columns.
    """

    auc: float = 0.75
    columns: int = 8
    shared: float = 0.5
    c: float = 1.0

    def distance(self, effect: float) -> float:
        """Return how far the classes lie apart, in standard deviations, in a set of AUC ``auc + effect``."""
        if not 0.5 <= self.auc + effect < 1:
            raise StudyError(
                f"calibration: auc {self.auc} plus effect {effect} must lie in 0.5 ... 1. Lower an effect."
            )
        return float(np.sqrt(2) * stats.norm.ppf(self.auc + effect))


@dataclasses.dataclass(frozen=True)
class Design:
    """How many people there are and how resamples take from them.

    Attributes
    ----------
    kind : str
        ``leave_out`` or ``small_samples``.
    participants : int
        People in the pool, M.
    n_train, n_test : int
        People who train and who are left out or tested in each resample.
    resamples : tuple of int
        Numbers of resamples after which every test is made, rising. Each takes the first ones.
    """

    kind: str
    participants: int
    n_train: int
    n_test: int
    resamples: tuple[int, ...]

    def __post_init__(self):
        if self.kind not in KINDS:
            raise StudyError(f"calibration: designs: found kind '{self.kind}', expected one of {', '.join(KINDS)}.")
        if min(self.n_train, self.n_test) < 2 or self.resamples[0] < 2:
            raise StudyError(
                f"calibration: designs: {self.name} has {self.n_train} people who train, {self.n_test} who are tested "
                f"and {self.resamples[0]} resamples at least; expected 2 or more of each. Raise size or resamples."
            )
        if self.n_train + self.n_test > self.participants:
            raise StudyError(
                f"calibration: {self.n_train} training and {self.n_test} test people are more than the pool's "
                f"{self.participants}. Raise calibration: designs: participants of {self.name}, or lower its size."
            )

    @property
    def name(self) -> str:
        """Name of the design, as in names of files and of random draws."""
        return f"{self.kind}_{self.participants}_{self.n_test if self.kind == 'leave_out' else self.n_train}"

    @classmethod
    def of(cls, kind: str, participants: int, size: int, resamples: Sequence[int]) -> "Design":
        """Make a design from an entry of config ``calibration: designs``.

        Parameters
        ----------
        kind : str
        participants : int
        size : int
            People left out of each resample (``leave_out``: all others train) or training in it
            (``small_samples``: a fifth of them more are tested, as published).
        resamples : sequence of int
        """
        n_train, n_test = (participants - size, size) if kind == "leave_out" else (size, size // 5)
        return cls(kind, participants, n_train, n_test, tuple(sorted(resamples)))

    @classmethod
    def named(cls, name: str, designs: Sequence[Mapping]) -> "Design":
        """Make the design of a name such as ``leave_out_500_100`` from config ``calibration: designs``."""
        found = {design.name: design for design in (cls.of(**entry) for entry in designs)}
        if name not in found:
            raise StudyError(f"calibration: no design is called '{name}'; known: {', '.join(found)}.")
        return found[name]


class Scored(NamedTuple):
    """What the tests need of one simulated study.

    Attributes
    ----------
    y : (participants,) 0 or 1
    auc_a, auc_b : (resamples,)
        Of the two sets on the same resamples; NaN where one class only was tested.
    mean_a, mean_b : (counts, participants)
        Mean held-out score of each participant after each of the design's counts of resamples, on
        the rank scale; NaN for those whom none of these resamples tested.
    """

    y: np.ndarray
    auc_a: np.ndarray
    auc_b: np.ndarray
    mean_a: np.ndarray
    mean_b: np.ndarray


def draw_people(
    participants: int, planted: Planted, effect: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw classes and both sets of columns.

    Parameters
    ----------
    participants : int
        Half of them are of class 1.
    planted : Planted
    effect : float
        By how much the second set's population AUC is higher. Equal generators give equal noise
        whatever the effect.
    rng : numpy.random.Generator

    Returns
    -------
    y : numpy.ndarray, (participants,), float64
    a, b : numpy.ndarray, (participants, columns), float64
    """
    y = np.arange(participants) % 2.0
    common, own_a, own_b = rng.standard_normal((3, participants, planted.columns))
    direction = (y - 0.5)[:, None] / np.sqrt(planted.columns)
    a, b = (
        planted.distance(gain) * direction + np.sqrt(planted.shared) * common + np.sqrt(1 - planted.shared) * own
        for gain, own in ((0.0, own_a), (effect, own_b))
    )
    return y, a, b


def draw_splits(design: Design, seed: int, simulation: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw who trains and who is tested in each resample.

    Returns
    -------
    train : numpy.ndarray of bool, (resamples, participants)
    people : numpy.ndarray of int, (resamples, n_test)
        Who is tested, in rising order.
    """
    count, task = design.resamples[-1], f"calibration {design.name} {simulation}"
    if design.kind == "leave_out":
        ids = np.arange(design.participants).astype(str)
        out = resample.held_out(ids, design.n_test, range(count), seed, task)
        return ~out, np.nonzero(out)[1].reshape(count, design.n_test)
    rng = generator(seed, "samples", task)
    drawn = rng.random((count, design.participants)).argsort(1)
    train = np.zeros((count, design.participants), dtype=bool)
    np.put_along_axis(train, drawn[:, : design.n_train], True, 1)
    return train, np.sort(drawn[:, design.n_train : design.n_train + design.n_test], 1)


def held_out_scores(x: np.ndarray, y: np.ndarray, train: np.ndarray, people: np.ndarray, c: float) -> np.ndarray:
    """Fit every resample and return the log odds of those it tests, (resamples, n_test)."""
    size = max(1, BATCH // len(y))
    # one Hessian serves all fits only where each keeps most of the people
    shared = train[0].mean() > 0.5
    out = np.empty(people.shape)
    for first in range(0, len(train), size):
        rows = slice(first, first + size)
        scores, _ = fit_logistic(x, y, train[rows], c, shared)
        out[rows] = np.take_along_axis(scores, people[rows], 1)
    return out


def running_means(values: np.ndarray, people: np.ndarray, participants: int, counts: tuple[int, ...]) -> np.ndarray:
    """Return each participant's mean over the first resamples in which they were tested.

    Parameters
    ----------
    values : numpy.ndarray, (resamples, n_test)
    people : numpy.ndarray of int, (resamples, n_test)
        Whose value it is.
    participants : int
    counts : tuple of int
        Rising numbers of resamples.

    Returns
    -------
    numpy.ndarray, (counts, participants)
        NaN for those whom none of these resamples tested.
    """
    total, times = np.zeros(participants), np.zeros(participants)
    means, first = np.empty((len(counts), participants)), 0
    for row, count in enumerate(counts):
        some = people[first:count].ravel()
        total += np.bincount(some, weights=values[first:count].ravel(), minlength=participants)
        times += np.bincount(some, minlength=participants)
        with np.errstate(invalid="ignore"):
            means[row] = total / times
        first = count
    return means


def run_design(design: Design, planted: Planted, effect: float, seed: int, simulation: int) -> Scored:
    """Simulate one study: draw people, draw resamples, fit and score both sets on the same resamples.

    Parameters
    ----------
    design : Design
    planted : Planted
    effect : float
        Planted difference in population AUC; 0 is the null hypothesis.
    seed : int
        Seed of the study.
    simulation : int
        Number of the simulated study. Every draw is named by it, so that no number depends on
        which simulations share a job.

    Returns
    -------
    Scored
    """
    rng = generator(seed, "calibration people", design.name, simulation)
    y, *columns = draw_people(design.participants, planted, effect, rng)
    train, people = draw_splits(design, seed, simulation)
    scores = [held_out_scores(x, y, train, people, planted.c) for x in columns]
    everyone = np.ones(people.shape, dtype=bool)
    aucs = [auc_rows(some, y[people], everyone) for some in scores]
    # whole and half ranks sum without rounding, so that equal means stay equal
    ranks = [stats.rankdata(some, axis=1) - 0.5 for some in scores]
    means = [running_means(some, people, design.participants, design.resamples) / design.n_test for some in ranks]
    return Scored(y, *aucs, *means)
