"""LD scores: how much of the variation around a variant it stands for."""

from collections.abc import Iterator

import numpy as np

ROWS = 4096  # variants looked at together
BLOCK = 256  # variants whose correlations with all within reach are in memory at a time


def standardise(calls: np.ndarray) -> np.ndarray:
    """Turn calls into mean 0 and variance 1 a variant; missing calls become the mean.

    Parameters
    ----------
    calls : numpy.ndarray, (variants, people), int8
        Copies of an allele, -1 for missing; every variant has two different calls at least.

    Returns
    -------
    numpy.ndarray, (variants, people), float64
    """
    values = calls.astype(np.float64)
    missing = calls < 0
    values[missing] = 0.0
    values -= values.sum(axis=1, keepdims=True) / (~missing).sum(axis=1, keepdims=True)
    values[missing] = 0.0
    return values / np.sqrt(np.einsum("ij,ij->i", values, values) / values.shape[1])[:, None]


def _blocks(calls: np.ndarray) -> Iterator[np.ndarray]:
    """Cut calls into blocks of variants, so that what is made of them stays small."""
    return (calls[start : start + ROWS] for start in range(0, len(calls), ROWS))


def varies(calls: np.ndarray) -> np.ndarray:
    """Mark variants, (variants, people) int8, with two different calls at least; bool, (variants,)."""
    found = [
        np.where(part < 0, 0, part).max(axis=1) > np.where(part < 0, 2, part).min(axis=1) for part in _blocks(calls)
    ]
    return np.concatenate(found) if found else np.zeros(0, bool)


def minor_frequency(calls: np.ndarray) -> np.ndarray:
    """Return the minor allele frequency, (variants,) float64, of calls, (variants, people) int8; NaN without calls."""
    found = [np.zeros(0)]
    for part in _blocks(calls):
        known = part >= 0
        with np.errstate(invalid="ignore"):
            found.append(np.where(known, part, 0).sum(axis=1, dtype=np.int64) / (2.0 * known.sum(axis=1)))
    frequency = np.concatenate(found)
    return np.minimum(frequency, 1 - frequency)


def ld_scores(
    calls: np.ndarray, place: np.ndarray, reach: float, annotations: np.ndarray, block: int = BLOCK
) -> np.ndarray:
    """Sum a variant's squared correlations with every variant within reach, itself included, by annotation.

    The score of variant j for annotation C is ``sum over k of a_C(k) (r_jk^2 - (1 - r_jk^2) / (N - 2))``: what stands
    in brackets has no bias from the finite number of people N.

    Parameters
    ----------
    calls : numpy.ndarray, (variants, people), int8
        Of one chromosome, by position; see :func:`standardise`.
    place : numpy.ndarray, (variants,)
        Centimorgan or base pairs, never falling.
    reach : float
        Farthest partner, in the unit of ``place``, inclusive.
    annotations : numpy.ndarray, (variants, annotations)
        Values of every variant, mostly 0 and 1.
    block : int
        Variants at a time; changes memory and speed only.

    Returns
    -------
    numpy.ndarray, (variants, annotations), float64

    References
    ----------
    .. [1] Bulik-Sullivan et al., Nat Genet 47:291, 2015; Finucane et al., Nat Genet 47:1228, 2015.
    """
    place, weights = np.asarray(place, np.float64), np.asarray(annotations, np.float64)
    variants, people = calls.shape
    freedom = people - 2 if people > 2 else people
    # after the last partner; a little farther, since sums and differences round otherwise: differences decide below
    last = np.searchsorted(place, place + reach + 1e-12 * np.abs(place).max(initial=1.0), side="right")
    scores = np.zeros((variants, weights.shape[1]))
    values, known = standardise(calls[:0]), 0  # rows start to known of the chromosome
    for start in range(0, variants, block):
        stop = min(start + block, variants)
        end = max(last[stop - 1], stop)
        values = np.concatenate([values, standardise(calls[known:end])])
        known = max(known, end)
        # each pair once: variants of the block with themselves and with all to the right
        squared = (values[: stop - start] @ values[: end - start].T / people) ** 2
        squared -= (1 - squared) / freedom
        squared[place[None, start:end] - place[start:stop, None] > reach] = 0.0
        inner = stop - start
        squared[:, :inner][place[start:stop, None] - place[None, start:stop] > reach] = 0.0
        scores[start:stop] += squared @ weights[start:end]
        scores[stop:end] += squared[:, inner:].T @ weights[start:stop]
        values = values[inner:]
    return scores
