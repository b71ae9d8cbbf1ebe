"""Genetic relatedness matrices: made by plink2 a part at a time, joined when they are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

BLOCK = 4_000_000  # pairs of people in memory at a time, beside the matrix


@dataclass(frozen=True)
class Grm:
    """How alike people are over many variants.

    Attributes
    ----------
    samples : pandas.DataFrame
        ``fid``, ``participant_id``, in the order of the matrix.
    matrix : numpy.ndarray
        people x people, float64, symmetric: mean over variants of the product of two people's standardised genotypes.
        8 bytes a pair: 5.3 GB for 25,800 people.
    variants : int
        The most variants behind a pair: all of them, but for missing calls.
    """

    samples: pd.DataFrame
    matrix: np.ndarray
    variants: int


def make_part(prefix: str | Path, people: Path, out: Path, extract: str | Path | None, limits: Limits) -> None:
    """Let plink2 write the matrix of one part as ``out.grm.bin``, ``.grm.N.bin`` and ``.grm.id``, GCTA's format.

    Parameters
    ----------
    prefix : path
        Genotypes of the part.
    people : pathlib.Path
        List of the people to keep.
    extract : path, optional
        Ids of the variants to use, one a line (HapMap3's, say); else all.
    """
    chosen = ["--extract", str(extract)] if extract else []
    arguments = [*tools.genotype_arguments(prefix), "--keep", str(people), *chosen, "--autosome", "--make-grm-bin"]
    tools.run(tools.find("plink2"), arguments, out, limits)


def read(parts: Sequence[str | Path], keep: set[str] | None = None) -> Grm:
    """Read the matrices of all parts as the one over all their variants.

    Each pair's values are weighted with the variants behind them, which is what one run over all parts gives. No
    part is held in memory: beside the result, a few blocks of pairs are.

    Parameters
    ----------
    parts : sequence of path
        Of each part, the path without ``.grm.bin``.
    keep : set of str, optional
        People wanted; others' rows are left out.

    Returns
    -------
    Grm
        People in the order of the files.

    Raises
    ------
    StudyError
        If files are cut short, parts have other people, or two people share no variant.
    """
    samples = _read_samples(parts[0])
    for part in parts[1:]:
        if not _read_samples(part).equals(samples):
            raise StudyError(
                f"{part}.grm.id: people differ from those of {parts[0]}.grm.id. Parts of one matrix need the same "
                "people in the same order: make them again from filesets with one list of people (rule make_grm)."
            )
    chosen = np.arange(len(samples))
    if keep is not None:
        chosen = np.flatnonzero(samples["participant_id"].isin(keep).to_numpy())
    matrix, variants = np.empty((len(chosen), len(chosen))), 0.0
    values = [(_triangle(part, "bin", len(samples)), _triangle(part, "N.bin", len(samples))) for part in parts]
    for rows in _blocks(chosen):
        variants = max(variants, _fill(matrix, values, chosen, rows, samples))
    for start in range(0, len(chosen), 1024):  # the upper triangle, without a second matrix
        stop = min(start + 1024, len(chosen))
        block = matrix[start:stop, start:stop]
        block[...] = np.tril(block) + np.tril(block, -1).T
        matrix[start:stop, stop:] = matrix[stop:, start:stop].T
    return Grm(samples.iloc[chosen].reset_index(drop=True), matrix, round(variants))


def write(grm: Grm, prefix: str | Path) -> None:
    """Write a matrix as ``prefix.grm.bin``, ``.grm.N.bin`` and ``.grm.id``, as GCTA and :func:`read` take it."""
    with atomic(f"{prefix}.grm.id") as temporary:
        grm.samples.to_csv(temporary, sep="\t", header=False, index=False)
    with atomic(f"{prefix}.grm.bin") as temporary, temporary.open("wb") as stream:
        for row in range(len(grm.samples)):
            stream.write(grm.matrix[row, : row + 1].astype("<f4").tobytes())
    with atomic(f"{prefix}.grm.N.bin") as temporary, temporary.open("wb") as stream:
        for row in range(len(grm.samples)):
            stream.write(np.full(row + 1, grm.variants, "<f4").tobytes())


def unrelated(grm: Grm, most: float) -> set[str]:
    """Choose people of whom no two are more alike than ``most``.

    Who has the most relatives leaves first; among equals, who stands last.

    Returns
    -------
    set of str
        Ids of those who stay.
    """
    first, second = (np.concatenate(found) for found in zip(*_close_pairs(grm.matrix, most), strict=True))
    left = np.ones(len(first), bool)
    stays = np.ones(len(grm.samples), bool)
    while left.any():
        relatives = np.bincount(np.concatenate([first[left], second[left]]), minlength=len(stays))
        leaving = len(stays) - 1 - int(np.argmax(relatives[::-1]))
        stays[leaving] = False
        left &= (first != leaving) & (second != leaving)
    return set(grm.samples["participant_id"][stays])


def _close_pairs(matrix: np.ndarray, most: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    yield np.empty(0, int), np.empty(0, int)
    for row in range(1, len(matrix)):
        close = np.flatnonzero(matrix[row, :row] > most)
        yield np.full(len(close), row), close


def subset(grm: Grm, keep: set[str]) -> Grm:
    """Take some people's rows and columns; everybody's without a copy."""
    chosen = grm.samples["participant_id"].isin(keep).to_numpy()
    if chosen.all():
        return grm
    return Grm(grm.samples[chosen].reset_index(drop=True), grm.matrix[np.ix_(chosen, chosen)], grm.variants)


def _read_samples(part: str | Path) -> pd.DataFrame:
    path = Path(f"{part}.grm.id")
    if not path.exists():
        raise StudyError(f"{path}: no such file. A matrix has three files: .grm.bin, .grm.N.bin and .grm.id.")
    with path.open() as stream:
        first = stream.readline()
    if first.startswith("#"):
        return tools.read_ids(path)
    table = pd.read_csv(path, sep=r"\s+", header=None, dtype=str, keep_default_na=False)
    return table.iloc[:, :2].set_axis(["fid", "participant_id"], axis=1)


def _triangle(part: str | Path, ending: str, people: int) -> np.ndarray:
    """Map a file of the lower triangle, row after row with the diagonal, without reading it."""
    path = Path(f"{part}.grm.{ending}")
    expected = people * (people + 1) // 2 * 4
    found = path.stat().st_size if path.exists() else 0
    if found != expected:
        raise StudyError(
            f"{path}: found {found} bytes, expected {expected} for the {people} people of {part}.grm.id (4 bytes a "
            "pair). The file was cut short or is of other people: make the matrix again."
        )
    return np.memmap(path, "<f4", "r")


def _blocks(chosen: np.ndarray) -> Iterator[range]:
    """Cut the chosen rows into blocks of about :data:`BLOCK` pairs."""
    start, size = 0, 0
    for place, row in enumerate(chosen):
        size += int(row) + 1
        if size >= BLOCK or place == len(chosen) - 1:
            yield range(start, place + 1)
            start, size = place + 1, 0


def _fill(matrix: np.ndarray, values: list, chosen: np.ndarray, rows: range, samples: pd.DataFrame) -> float:
    """Fill the lower triangle in some rows; give the largest number of variants seen."""
    first, last = int(chosen[rows.start]), int(chosen[rows.stop - 1])
    begin, end = first * (first + 1) // 2, (last + 1) * (last + 2) // 2
    total, weights = np.zeros(end - begin), np.zeros(end - begin)
    for similarity, count in values:
        weight = count[begin:end].astype(np.float64)
        total += weight * similarity[begin:end]
        weights += weight
    with np.errstate(invalid="ignore"):
        total /= weights
    for place in rows:
        row = int(chosen[place])
        offset = row * (row + 1) // 2 - begin
        matrix[place, : place + 1] = total[offset + chosen[: place + 1]]
        if not np.isfinite(matrix[place, : place + 1]).all():
            other = int(chosen[np.flatnonzero(~np.isfinite(matrix[place, : place + 1]))[0]])
            names = samples["participant_id"]
            raise StudyError(
                f"genetics: '{names[row]}' and '{names[other]}' have no call at any variant in common, so that their "
                "relatedness is unknown. Lower genetics: qc: max_person_missing, or exclude one of them."
            )
    return float(weights.max())
