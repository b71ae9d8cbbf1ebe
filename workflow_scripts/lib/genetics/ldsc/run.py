"""Commands of ldsc.py: heritability, genetic correlation, partitioned heritability, cell types."""

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.ldsc import tables
from workflow_scripts.lib.genetics.ldsc.staging import Scores
from workflow_scripts.lib.genetics.tools import Limits, Tool
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
LEAST_BLOCK = 10  # variants a block of the jackknife; smaller blocks are linked to each other
LEAST_BLOCKS = 5
MEANINGS = {
    "invalid value encountered in sqrt": "the heritability of a trait is not above 0 in every part of the genome",
    "divide by zero encountered in divide": "too little signal (division by 0)",
}
FAILURE = r"^\s*(?:\w+\.)*\w*(?:Error|Exception): *(.+)$"


@dataclass(frozen=True)
class Sumstats:
    """Munged results of a trait.

    Attributes
    ----------
    trait : str
    path : pathlib.Path
        Under a name that ldsc.py can read.
    people : int
        Largest number of people of a variant.
    ids : frozenset of str
        Variants that have LD scores.
    mean_chi2 : float
        Of these.
    """

    trait: str
    path: Path
    people: int
    ids: frozenset[str]
    mean_chi2: float


@dataclass(frozen=True)
class Analysis:
    """What all commands of one study share.

    Attributes
    ----------
    tool : Tool
    scores : Scores
    settings : dict
        Config section ``genetics: ldsc``: ``common`` (count common variants only), ``two_step``, ``max_chi2``,
        ``blocks``.
    traits : tuple of Sumstats
    threads : int
        Commands at a time.
    """

    tool: Tool
    scores: Scores
    settings: dict
    traits: tuple[Sumstats, ...]
    threads: int = 1


@dataclass(frozen=True)
class Answer:
    """What a command said, the prefix of its files, and why it failed (empty if it did not)."""

    text: str
    out: Path
    failure: str = ""


def read_sumstats(files: dict[str, Path], scores: Scores) -> tuple[Sumstats, ...]:
    """Link the sumstats of all traits into the working folder and see that their variants have LD scores.

    Raises
    ------
    StudyError
        If a trait has no variant in common with the LD scores.
    """
    found, known = [], score_ids(scores)
    for number, (trait, path) in enumerate(files.items()):
        link = scores.folder / f"t{number}.sumstats.gz"
        link.symlink_to(Path(path).resolve())
        table = pd.read_csv(path, sep="\t", usecols=["SNP", "Z", "N"], dtype={"SNP": str}, keep_default_na=False)
        ids = frozenset(table["SNP"]) & known
        if not ids:
            raise StudyError(
                f"{path}: none of its {len(table)} variants is among the {len(known)} of the LD scores: they are "
                f"called e.g. '{table['SNP'].iloc[0]}' and '{next(iter(sorted(known)), 'nothing')}'. LDSC joins by id: "
                "name variants alike in genetics: genotypes and genetics: ldsc: scores."
            )
        mean = float((table.loc[table["SNP"].isin(ids), "Z"] ** 2).mean())
        found.append(Sumstats(trait, Path(link.name), int(table["N"].max()), ids, mean))
    return tuple(found)


def score_ids(scores: Scores) -> frozenset[str]:
    """List the variants that have scores over every variant."""
    files = sorted(scores.folder.glob(f"{scores.base}*.l2.ldscore*"))
    parts = [pd.read_csv(file, sep=r"\s+", usecols=["SNP"], dtype=str, keep_default_na=False) for file in files]
    return frozenset().union(*(part["SNP"] for part in parts))


def blocks(wanted: int, variants: int) -> int:
    """Give the jackknife as many blocks as asked, but at least ten variants a block where that leaves five blocks."""
    return min(wanted, max(variants // LEAST_BLOCK, min(variants, LEAST_BLOCKS)))


def command(analysis: Analysis, arguments: list[str], name: str, variants: int) -> Answer:
    """Run ldsc.py; a failure is part of the answer, since a small study's regression may well have no solution."""
    settings, folder = analysis.settings, analysis.scores.folder
    given = [*arguments, "--w-ld-chr", analysis.scores.weights, "--out", name]
    given += ["--n-blocks", str(max(2, blocks(settings["blocks"], variants)))]
    given += [] if settings["common"] else ["--not-M-5-50"]
    given += ["--chisq-max", str(settings["max_chi2"])] if settings["max_chi2"] else []
    log = folder / f"{name}.said"
    try:
        text = tools.call(analysis.tool, given, log=log, limits=Limits(1), folder=folder)
    except StudyError as error:
        said = log.read_text() if log.exists() else str(error)
        causes = re.findall(FAILURE, said, re.M)
        # the first one: later ones come from ldsc's own handling of errors
        failure = causes[0].strip() if causes else str(error).splitlines()[0]
        failure = MEANINGS.get(failure, failure)
        LOGGER.warning("ldsc.py gave no answer for %s: %s", name, failure)
        return Answer(said, folder / name, f"ldsc.py: {failure}")
    return Answer(text, folder / name)


def _two_step(analysis: Analysis) -> list[str]:
    step = analysis.settings["two_step"]
    return [] if step is None else ["--two-step", str(step)]


def _all(analysis: Analysis, work: list) -> list:
    with ThreadPoolExecutor(analysis.threads) as pool:
        return list(pool.map(lambda job: job(), work))


def heritability(analysis: Analysis) -> pd.DataFrame:
    """Estimate the heritability of every trait; see :func:`tables.heritability_row` for the columns."""

    def one(index: int) -> dict:
        trait = analysis.traits[index]
        arguments = ["--h2", str(trait.path), "--ref-ld-chr", analysis.scores.base, *_two_step(analysis)]
        answer = command(analysis, arguments, f"h{index}", len(trait.ids))
        return tables.heritability_row(trait.trait, trait.people, len(trait.ids), answer.text, answer.failure)

    return pd.DataFrame(_all(analysis, [lambda i=i: one(i) for i in range(len(analysis.traits))]))


def correlation(analysis: Analysis) -> pd.DataFrame:
    """Estimate the genetic correlation of every two traits; see :func:`tables.correlation_row`.

    A command a pair: where one pair has no answer, ldsc.py 2.0.1 stops instead of going on with the next.
    """

    def one(first: int, second: int) -> dict:
        a, b = analysis.traits[first], analysis.traits[second]
        arguments = ["--rg", f"{a.path},{b.path}", "--ref-ld-chr", analysis.scores.base, *_two_step(analysis)]
        answer = command(analysis, arguments, f"r{first}_{second}", len(a.ids & b.ids))
        return tables.correlation_row(a.trait, b.trait, answer.text, answer.failure)

    pairs = combinations(range(len(analysis.traits)), 2)
    rows = _all(analysis, [lambda pair=pair: one(*pair) for pair in pairs])
    return pd.DataFrame(rows, columns=tables.CORRELATION)


def partitioned(analysis: Analysis) -> pd.DataFrame:
    """Estimate how much of each trait's heritability every category holds, all categories in one model."""
    scores = analysis.scores
    if not scores.partition:
        return pd.DataFrame(columns=tables.PARTITIONED)

    def one(index: int) -> pd.DataFrame:
        trait = analysis.traits[index]
        arguments = ["--h2", str(trait.path), "--ref-ld-chr", scores.partition, "--overlap-annot"]
        arguments += ["--print-coefficients"]
        arguments += ["--frqfile-chr", scores.frequencies] if analysis.settings["common"] else []
        answer = command(analysis, arguments, f"p{index}", len(trait.ids))
        return tables.partitioned_rows(trait.trait, answer.out, answer.text, scores.categories, answer.failure)

    rows = _all(analysis, [lambda i=i: one(i) for i in range(len(analysis.traits))])
    return tables.adjust(pd.concat(rows, ignore_index=True), "enrichment_p")[tables.PARTITIONED]


def cell_types(analysis: Analysis, level: float) -> pd.DataFrame:
    """Test whether each cell type's annotation adds heritability to the control model, trait by trait.

    Parameters
    ----------
    level : float
        False discovery rate over all traits and cell types.

    Returns
    -------
    pandas.DataFrame
        :data:`tables.CELL_TYPES`; p is one-sided, as LDSC's.
    """
    scores = analysis.scores
    if not scores.control:
        raise StudyError(
            "genetics: ldsc: scores: baseline is null, and no LD scores of the study's own were made, beside which "
            "cell types could be tested. Name a baseline model."
        )
    lines = "".join(f"c{number} {prefix}\n" for number, prefix in enumerate(scores.cells.values()))
    (scores.folder / "cells.ldcts").write_text(lines)
    names = [*scores.cells, *scores.empty]

    def one(index: int) -> pd.DataFrame:
        trait = analysis.traits[index]
        arguments = ["--h2-cts", str(trait.path), "--ref-ld-chr", scores.control, "--ref-ld-chr-cts", "cells.ldcts"]
        nothing = Answer("", scores.folder / f"c{index}")
        answer = command(analysis, arguments, f"s{index}", len(trait.ids)) if scores.cells else nothing
        return tables.cell_type_rows(trait.trait, answer.out, names, answer.failure or tables.weak(trait.mean_chi2))

    rows = pd.concat(_all(analysis, [lambda i=i: one(i) for i in range(len(analysis.traits))]), ignore_index=True)
    empty = rows["cell_type"].isin(scores.empty)
    rows.loc[empty, "note"] = "no common variant in its peaks"
    rows = tables.adjust(rows, "p")
    return rows.assign(significant=np.where(rows["q"].isna(), False, rows["q"] < level))[tables.CELL_TYPES]
