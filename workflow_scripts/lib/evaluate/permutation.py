"""Permutation tests between two models: on resamples, as published, and on participants.

Both tests on resamples are conditional on the pool of people: their null hypothesis is that two models have the same
mean over resamples *of this pool*. As evidence about the population they are anti-conservative, the more so the more
resamples there are. The swap test permutes participants, who are independent.

All are fast for one reason: with values in blocks of eight, the sum of any subset of a block is one of 256 numbers, so
that the sum of a random subset of n values is n / 8 look-ups by random bytes.
"""

import numpy as np

from workflow_scripts.lib.evaluate.delong import share_below
from workflow_scripts.lib.study.errors import StudyError

CHUNK = 2048  # permutations drawn at once
TIE = 1e-12  # of the sum of absolute values: sums that are equal but for rounding count as equal
CANDIDATES = 32  # looked at at once where a subset has too many or too few members
BITS = (1 << np.arange(8)).astype(np.uint8)
SUBSETS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(np.float64)


def _p(extreme: int, n_permutations: int, add_one: bool) -> float:
    """Return the p-value; by the add-one rule it can never be 0 (Phipson & Smyth 2010)."""
    return (extreme + 1) / (n_permutations + 1) if add_one else extreme / n_permutations


def _subset_sums(values: np.ndarray) -> np.ndarray:
    """Return the sums of all 256 subsets of each block of eight values, (n,) -> (blocks, 256)."""
    blocks = np.pad(values, (0, -len(values) % 8)).reshape(-1, 8)
    return blocks @ SUBSETS.T


def _look_up(sums: np.ndarray, subsets: np.ndarray) -> np.ndarray:
    """Add up the subset of each permutation, (blocks, 256), bytes (blocks, rows) -> (rows,)."""
    out = np.zeros(subsets.shape[1])
    for choices, chosen in zip(sums, subsets, strict=True):  # block by block: 2 kB of sums stay in the fastest cache
        out += choices.take(chosen)
    return out


def _random_bytes(blocks: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    return np.frombuffer(rng.bytes(blocks * rows), dtype=np.uint8).reshape(blocks, rows)


def count_flips(values: np.ndarray, n_permutations: int, rng: np.random.Generator) -> int:
    """Count the random choices of signs whose sum of values is as far from 0 as the observed sum, or further.

    Parameters
    ----------
    values : numpy.ndarray, (n,)
    n_permutations : int
    rng : numpy.random.Generator
    """
    values = np.asarray(values, dtype=np.float64)
    sums, total = 2 * _subset_sums(values), values.sum()
    observed = abs(total) - TIE * np.abs(values).sum()
    extreme = 0
    for first in range(0, n_permutations, CHUNK):
        flipped = _random_bytes(len(sums), min(CHUNK, n_permutations - first), rng)
        extreme += int((np.abs(_look_up(sums, flipped) - total) >= observed).sum())
    return extreme


def sign_flip_test(
    a: np.ndarray, b: np.ndarray, n_permutations: int, rng: np.random.Generator, add_one: bool = True
) -> float:
    """Swap the two values of random resamples: the paired reading of the published test.

    Two-sided, on the mean difference; conditional on this pool of people.

    Parameters
    ----------
    a, b : numpy.ndarray, (n_resamples,)
        A metric of two representations on the same resamples.
    n_permutations : int
        Published: 10,000.
    rng : numpy.random.Generator
    add_one : bool
        Count the observed order as one of the permutations. Published: no, so that p can be 0.

    Returns
    -------
    float
        p.

    References
    ----------
    The published description: "randomly permuting AUROC or R2 scores between models". Phipson & Smyth (2010), Stat
    Appl Genet Mol Biol 9:39.
    """
    return _p(count_flips(np.asarray(a) - np.asarray(b), n_permutations, rng), n_permutations, add_one)


def _fill(subsets: np.ndarray, size: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Add or take out random members until each random subset of n has ``size`` of them.

    A fair subset of n is, given its size, any subset of that size with equal chances; adding a random outsider or
    taking out a random member keeps that so.
    """
    subsets = subsets.copy()
    subsets[-1] &= 255 >> (-n % 8)
    rows, flat = subsets.shape[1], subsets.reshape(-1)
    missing = size - np.bitwise_count(subsets).sum(0, dtype=np.int64)
    todo = np.flatnonzero(missing)
    while len(todo):
        candidate = rng.integers(0, n, (len(todo), CANDIDATES))
        place, bit = (candidate >> 3) * rows + todo[:, None], BITS[candidate & 7]
        adding = missing[todo, None] > 0
        useful = ((flat[place] & bit) == 0) == adding
        useful &= np.cumsum(useful, axis=1) <= np.abs(missing[todo, None])
        for method, which in ((np.bitwise_or, useful & adding), (np.bitwise_and, useful & ~adding)):
            chosen = bit[which]
            method.at(flat, place[which], chosen if method is np.bitwise_or else ~chosen)
        # one that came twice changed nothing the second time: such subsets need more
        missing[todo] = size - np.bitwise_count(subsets[:, todo]).sum(0, dtype=np.int64)
        todo = todo[missing[todo] != 0]
    return subsets


def unpaired_test(
    a: np.ndarray, b: np.ndarray, n_permutations: int, rng: np.random.Generator, add_one: bool = True
) -> float:
    """Deal the pooled values of both out at random: the literal reading of the published test.

    As :func:`sign_flip_test`, but ignores that values come in pairs; as conditional on the pool.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    pooled = np.concatenate([a, b])
    values = pooled - pooled.mean()
    sums, total, share = _subset_sums(values), values.sum() / len(b), 1 / len(a) + 1 / len(b)
    observed = abs(a.mean() - b.mean()) - TIE * np.abs(values).sum() * share
    extreme = 0
    for first in range(0, n_permutations, CHUNK):
        subsets = _random_bytes(len(sums), min(CHUNK, n_permutations - first), rng)
        chosen = _look_up(sums, _fill(subsets, len(a), len(values), rng))
        extreme += int((np.abs(chosen * share - total) >= observed).sum())
    return _p(extreme, n_permutations, add_one)


def _auc_parts(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Share the difference of two AUCs out over units so that swapping a unit's scores flips the sign of its part.

    A pair of a positive i and a negative j is won or not under one of four choices of scores. Swapping everybody's
    scores negates the difference of the AUCs, so only the part of each pair that is odd in the swaps remains, and that
    is a term of i plus a term of j: no permutation needs an AUC of its own.
    """
    positive = y > 0.5
    if not 0 < positive.sum() < len(y):
        raise StudyError(f"an AUC needs both classes; found {int(positive.sum())} positives of {len(y)}.")
    a, b = (np.unique(score, return_inverse=True)[1] for score in (a, b))
    a, b = (np.bincount(rank).cumsum()[rank] - (np.bincount(rank)[rank] - 1) / 2 for rank in (a, b))  # midranks
    out = np.empty(len(y))
    for side, sign in ((positive, 1.0), (~positive, -1.0)):
        won = [share_below(own[side], other[~side]) for own in (a, b) for other in (a, b)]
        out[side] = sign * (won[0] + won[1] - won[2] - won[3]) / (2 * side.sum())
    return out


def swap_test(
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    metric: str,
    n_permutations: int,
    rng: np.random.Generator,
    clusters: np.ndarray | None = None,
) -> float:
    """Swap the two models' scores within random participants; two-sided, by the add-one rule.

    Exact where a participant's two scores can be exchanged under the null hypothesis. For AUCs both models' scores are
    first replaced by their ranks over all units, so that scales do not matter.

    Parameters
    ----------
    y : numpy.ndarray, (n,)
        0 or 1, or a continuous label.
    a, b : numpy.ndarray, (n,)
        One score a unit and model: the mean over the resamples that held the unit out
        (:func:`~workflow_scripts.lib.evaluate.heldout.mean_scores`).
    metric : {'auc', 'r2'}
        What the models are compared by.
    n_permutations : int
    rng : numpy.random.Generator
    clusters : numpy.ndarray, (n,), optional
        Whose unit it is: all units of a participant are swapped together.

    Returns
    -------
    float
        p.

    References
    ----------
    Bandos, Rockette & Gur (2005), Stat Med 24:2873.
    """
    y, a, b = (np.asarray(values, dtype=np.float64) for values in (y, a, b))
    if metric not in ("auc", "r2"):
        raise ValueError(f"metric is '{metric}'; expected auc or r2")
    parts = _auc_parts(y, a, b) if metric == "auc" else (y - b) ** 2 - (y - a) ** 2
    if clusters is not None:
        parts = np.bincount(np.unique(np.asarray(clusters), return_inverse=True)[1], weights=parts)
    return _p(count_flips(parts, n_permutations, rng), n_permutations, add_one=True)
