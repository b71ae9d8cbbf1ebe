"""Reference builds: lengths of chromosomes, and which build a list of variants belongs to."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError

ASSETS = Path(__file__).parent / "assets"
BUILDS = ("hg19", "hg38")
# base pairs of chromosomes 1 to 22 and X (Genome Reference Consortium, GRCh37 and GRCh38)
LENGTHS = {
    "hg19": """249250621 243199373 198022430 191154276 180915260 171115067 159138663 146364022 141213431 135534747
        135006516 133851895 115169878 107349540 102531392 90354753 81195210 78077248 59128983 63025520 48129895
        51304566 155270560""",
    "hg38": """248956422 242193529 198295559 190214555 181538259 170805979 159345973 145138636 138394717 133797422
        135086622 133275309 114364328 107043718 101991189 90338345 83257441 80373285 58617616 64444167 46709983
        50818468 156040895""",
}
CHROMOSOMES = (*(str(number) for number in range(1, 23)), "X")
# words that headers use for a build
WORDS = {"hg19": ("hg19", "grch37", "b37", "hs37", "human_g1k_v37"), "hg38": ("hg38", "grch38", "b38", "hs38")}
LEAST_KNOWN = 3  # variants with a known position from which a verdict is given; one may be a wrong id


def check_build(declared: str, build: str, key: str) -> None:
    """Refuse a file whose declared build is not that of the genotypes.

    Parameters
    ----------
    declared : str
        Build of the file, as config says.
    build : str
        ``genetics: build``.
    key : str
        Section of config that names the file, for the message.
    """
    if declared != build:
        raise StudyError(
            f"genetics: {key}: build is {declared}, expected {build} (genetics: build): positions of two builds "
            f"differ by up to megabases. Give the file on {build} (UCSC liftOver converts it), or correct the key."
        )


@dataclass(frozen=True)
class Verdict:
    """How many variants of known place stand where each build has them: ``hg19``, ``hg38``, ``neither``."""

    hg19: int
    hg38: int
    neither: int
    example: str

    @property
    def build(self) -> str | None:
        """Name the build, none if too few variants are known or they disagree."""
        most, least = max(self.hg19, self.hg38), min(self.hg19, self.hg38)
        if most < LEAST_KNOWN or least * 10 > most:
            return None
        return "hg19" if self.hg19 > self.hg38 else "hg38"


@cache
def lengths(build: str) -> dict[str, int]:
    """Map chromosomes (1 to 22, X) to their lengths in base pairs."""
    return dict(zip(CHROMOSOMES, map(int, LENGTHS[build].split()), strict=True))


def share_of_genome(chrom: str, build: str) -> float:
    """Return the share of the autosomes' length that an autosome has."""
    sizes = lengths(build)
    return sizes[chrom] / sum(sizes[name] for name in CHROMOSOMES[:-1])


@cache
def known_variants() -> dict[str, tuple[str, int, int]]:
    """Map ids of some hundred common variants of all autosomes to chromosome and positions in hg19 and hg38."""
    with (ASSETS / "known_variants.tsv").open(newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return {row["id"]: (row["chrom"], int(row["hg19"]), int(row["hg38"])) for row in rows}


def judge(variants: Iterable[tuple[str, int, str]]) -> Verdict:
    """Say where variants of known place stand.

    Parameters
    ----------
    variants : iterable of (chromosome, position, id)
    """
    counts, example, known = {"hg19": 0, "hg38": 0, "neither": 0}, "", known_variants()
    for chrom, position, name in variants:
        if name not in known or known[name][0] != chrom:
            continue
        place = dict(zip(known[name][1:], BUILDS, strict=True)).get(position, "neither")
        counts[place] += 1
        example = example or f"{name} at {chrom}:{position} (hg19 {known[name][1]}, hg38 {known[name][2]})"
    return Verdict(**counts, example=example)


def beyond_end(chrom: str, position: int, build: str) -> bool:
    """Say whether a position lies beyond the end of its chromosome."""
    return position > lengths(build).get(chrom, position)


def build_of_words(words: Iterable[str]) -> str | None:
    """Name the build that words of a header mean, none if they mean none or both."""
    text = " ".join(words).lower()
    found = [build for build, names in WORDS.items() if any(name in text for name in names)]
    return found[0] if len(found) == 1 else None


def build_of_lengths(contigs: dict[str, int]) -> str | None:
    """Name the build whose chromosomes have these lengths, none if neither or both do."""
    found = [build for build in BUILDS if any(lengths(build).get(chrom) == length for chrom, length in contigs.items())]
    return found[0] if len(found) == 1 else None
