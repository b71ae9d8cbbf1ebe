"""The people from whom LD scores are computed: their genotypes, a chromosome at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import bed, ld, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

ALL = "all"
BLOCK = 4096  # variants unpacked at a time
LEAST_PEOPLE = 30  # below, squared correlations are mostly noise


@dataclass(frozen=True)
class Chromosome:
    """Genotypes of one chromosome, by position.

    Attributes
    ----------
    chrom : str
    variants : pandas.DataFrame
        ``id``, ``cm``, ``pos`` (base pairs), ``ref``, ``alt``.
    calls : numpy.ndarray, (variants, people), int8
        Copies of ``alt``, -1 for missing.
    """

    chrom: str
    variants: pd.DataFrame
    calls: np.ndarray

    def take(self, chosen: np.ndarray) -> "Chromosome":
        """Keep some variants (bool or row numbers)."""
        return Chromosome(self.chrom, self.variants.iloc[chosen].reset_index(drop=True), self.calls[chosen])


def choose_people(prefix: Path, keep: Path | None, most: int, seed: int, path: Path) -> int:
    """Write the people to use as plink's list: those of ``keep``, or everybody, and of these at most ``most`` by lot.

    Returns
    -------
    int
        How many.

    Raises
    ------
    StudyError
        If there are fewer than 30.
    """
    samples = tools.read_samples(prefix)
    if keep is not None:
        samples = samples[samples["participant_id"].isin(tools.read_ids(keep)["participant_id"])]
    if len(samples) < LEAST_PEOPLE:
        raise StudyError(
            f"{prefix}: {len(samples)} people for LD scores, expected at least {LEAST_PEOPLE}. Name a larger panel "
            "under genetics: reference, or precomputed scores under genetics: ldsc: scores."
        )
    if len(samples) > most:
        drawn = seeds.generator(seed, "make_ld_scores").choice(len(samples), most, replace=False)
        samples = samples.iloc[np.sort(drawn)]
    tools.write_ids(samples, path)
    return len(samples)


def part_files(reference: str, part: str, chromosomes: list[str]) -> dict[str, Path]:
    """Name the filesets that make up one part of the study, by ``part`` or chromosome.

    Parameters
    ----------
    reference : str
        Prefix of a fileset; ``{chrom}`` in it stands for the chromosome.
    part : str
        A chromosome, or ``all``.
    chromosomes : list of str
        Those of the study.

    Raises
    ------
    StudyError
        If there is no fileset, or one of a chromosome is missing: LDSC counts the variants behind its scores.
    """
    wanted = chromosomes if part == ALL else [part]
    found = ld.reference_parts(reference, wanted)
    if ALL in found:
        return {part: found[ALL]}
    _refuse_absent([chrom for chrom in wanted if chrom not in found], reference)
    return found


def _refuse_absent(absent: list[str], source: str) -> None:
    if absent:
        raise StudyError(
            f"{source}: no variant on chromosome {', '.join(absent)}; LD scores need the chromosomes of the study. "
            "Complete genetics: reference, name the chromosomes that there are in genetics: chromosomes, or set "
            "reference to null for the study's own people."
        )


def export(prefix: Path, chromosomes: list[str], people: Path, out: Path, limits: Limits, whole: bool = True) -> None:
    """Write some chromosomes of a fileset as ``out.bed``, ``.bim`` and ``.fam``.

    Parameters
    ----------
    whole : bool
        Whether every one of the chromosomes must have a variant.

    Raises
    ------
    StudyError
        If one has none.
    """
    arguments = [*tools.genotype_arguments(prefix), "--chr", ",".join(chromosomes), "--keep", str(people)]
    arguments += ["--max-alleles", "2", "--output-chr", "26", "--make-bed"]
    try:
        tools.run(tools.find("plink2"), arguments, out, limits)
    except StudyError as error:
        if "No variants" not in str(error):
            raise
        _refuse_absent(chromosomes, str(prefix))
    if whole:
        held = set(pd.read_csv(f"{out}.bim", sep="\t", header=None, usecols=[0], dtype=str)[0])
        _refuse_absent([chrom for chrom in chromosomes if chrom not in held], str(prefix))


def read_chromosomes(prefix: Path) -> Iterator[Chromosome]:
    """Read a .bed fileset chromosome by chromosome, in the order of the genome."""
    kinds = {"chrom": str, "id": str, "cm": float, "pos": int, "alt": str, "ref": str}
    variants = pd.read_csv(f"{prefix}.bim", sep="\t", header=None, names=bed.BIM, dtype=kinds, keep_default_na=False)
    people = len(tools.read_samples(prefix))
    packed = np.memmap(f"{prefix}.bed", np.uint8, "r", offset=len(bed.MAGIC)).reshape(len(variants), -1)
    places = variants["pos"].to_numpy()
    for chrom, rows in sorted(variants.groupby("chrom").indices.items(), key=lambda item: int(item[0])):
        rows = rows[np.argsort(places[rows], kind="stable")]
        calls = np.empty((len(rows), people), np.int8)
        for start in range(0, len(rows), BLOCK):  # unpacking takes several times its result for a moment
            calls[start : start + BLOCK] = bed.unpack(np.asarray(packed[rows[start : start + BLOCK]]), people)
        yield Chromosome(str(chrom), variants.iloc[rows].drop(columns="chrom").reset_index(drop=True), calls)


def rename(chromosome: Chromosome, variants: pd.DataFrame, source: str) -> Chromosome:
    """Give the panel's variants the ids that the study has for them, by position and alleles or by id and position.

    Parameters
    ----------
    variants : pandas.DataFrame
        The study's: ``chrom``, ``pos``, ``id``, ``ref``, ``alt``.
    source : str
        The panel's name, for messages.

    Raises
    ------
    StudyError
        If the panel is on another build.
    """
    here = variants[variants["chrom"] == chromosome.chrom]
    matched = ld.match(chromosome.variants, here, source)
    # what the study does not have keeps its id, unless the study means another variant by it
    taken = matched["id"].isin(here["id"]) & matched["match"].isna()
    spare = matched["id"] + "_panel"
    ids = matched["match"].fillna(matched["id"].mask(taken, spare))
    return Chromosome(chromosome.chrom, chromosome.variants.assign(id=ids), chromosome.calls)
