"""The PLINK 1 binary genotype format: .bed, .bim and .fam."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

MAGIC = bytes([0x6C, 0x1B, 0x01])  # a .bed file, one variant after the other
CODES = np.array([3, 2, 0, 1], np.uint8)  # by copies of alt: 0, 1, 2; the last one (index -1) is missing
CALLS = np.array([2, -1, 1, 0], np.int8)  # the way back
BIM = ["chrom", "id", "cm", "pos", "alt", "ref"]


@dataclass(frozen=True)
class Genotypes:
    """Hard calls of people at variants.

    Attributes
    ----------
    samples : pandas.DataFrame
        One row a person: ``participant_id``, ``sex`` (F, M or missing).
    variants : pandas.DataFrame
        One row a variant: ``chrom`` (text), ``id``, ``cm`` (centimorgan), ``pos`` (base pairs, from 1), ``alt``,
        ``ref``.
    calls : numpy.ndarray
        variants x people, int8: copies of ``alt`` (0, 1, 2), -1 for missing.
    """

    samples: pd.DataFrame
    variants: pd.DataFrame
    calls: np.ndarray


def pack(calls: np.ndarray) -> np.ndarray:
    """Pack calls, variants x people int8 in {-1, 0, 1, 2}, into bytes of four people, variants x ceil(people / 4)."""
    variants, people = calls.shape
    codes = np.zeros((variants, -(-people // 4) * 4), np.uint8)
    codes[:, :people] = CODES[calls]
    codes = codes.reshape(variants, -1, 4)
    return codes[..., 0] | codes[..., 1] << 2 | codes[..., 2] << 4 | codes[..., 3] << 6


def unpack(packed: np.ndarray, people: int) -> np.ndarray:
    """Undo :func:`pack`: variants x people int8."""
    codes = packed[..., None] >> np.array([0, 2, 4, 6], np.uint8) & 3
    return CALLS[codes.reshape(len(packed), -1)[:, :people]]


def write_bed(genotypes: Genotypes, prefix: str | Path) -> None:
    """Write ``prefix.bed``, ``.bim`` and ``.fam``; families and parents are unknown (0)."""
    prefix = Path(prefix)
    sex = genotypes.samples["sex"].map({"M": 1, "F": 2}).fillna(0).astype(int)
    fam = pd.DataFrame({"fid": 0, "iid": genotypes.samples["participant_id"], "pat": 0, "mat": 0, "sex": sex, "y": -9})
    for suffix, table in ((".bim", genotypes.variants[BIM]), (".fam", fam)):
        with atomic(f"{prefix}{suffix}") as temporary:
            table.to_csv(temporary, sep="\t", header=False, index=False, float_format="%.6g")
    with atomic(f"{prefix}.bed") as temporary, temporary.open("wb") as stream:
        stream.write(MAGIC)
        stream.write(np.ascontiguousarray(pack(genotypes.calls)).tobytes())


def read_bed(prefix: str | Path) -> Genotypes:
    """Read ``prefix.bed``, ``.bim`` and ``.fam``.

    Raises
    ------
    StudyError
        If the .bed file is no variant-major .bed file or its size does not fit the other two.
    """
    variants = pd.read_csv(f"{prefix}.bim", sep=r"\s+", header=None, names=BIM, dtype={"chrom": str, "id": str})
    fam = pd.read_csv(
        f"{prefix}.fam", sep=r"\s+", header=None, usecols=[1, 4], names=["participant_id", "sex"], dtype=str
    )
    content = Path(f"{prefix}.bed").read_bytes()
    expected = len(variants) * -(-len(fam) // 4)
    if content[:3] != MAGIC or len(content) - 3 != expected:
        raise StudyError(
            f"{prefix}.bed: found {max(len(content) - 3, 0)} bytes of genotypes, expected {expected} for the "
            f"{len(fam)} people of the .fam and the {len(variants)} variants of the .bim file. Write the three "
            "files together again (plink2 --make-bed)."
        )
    packed = np.frombuffer(content, np.uint8, offset=3).reshape(len(variants), -1)
    samples = fam.assign(sex=fam["sex"].map({"1": "M", "2": "F"}))
    return Genotypes(samples, variants, unpack(packed, len(fam)))


def concatenate_beds(prefixes: list[Path], out: str | Path) -> None:
    """Write filesets of the same people in the same order, one after the other, to ``out.bed``, ``.bim``, ``.fam``.

    Raises
    ------
    StudyError
        If their people differ or a .bed file is none.
    """
    people = Path(f"{prefixes[0]}.fam").read_bytes()
    for prefix in prefixes:
        if Path(f"{prefix}.fam").read_bytes() != people:
            raise StudyError(f"{prefix}.fam: the people differ from those of {prefixes[0]}.fam, or their order does.")
    with atomic(f"{out}.fam") as temporary:
        temporary.write_bytes(people)
    for suffix in (".bim", ".bed"):
        with atomic(f"{out}{suffix}") as temporary, temporary.open("wb") as stream:
            stream.write(MAGIC if suffix == ".bed" else b"")
            for prefix in prefixes:
                with Path(f"{prefix}{suffix}").open("rb") as part:
                    if suffix == ".bed" and part.read(len(MAGIC)) != MAGIC:
                        raise StudyError(f"{prefix}.bed: not a .bed file with one variant after the other.")
                    shutil.copyfileobj(part, stream)
