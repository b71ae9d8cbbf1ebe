"""Quality control of genotypes, one filter a step, in the order of the published study: what all steps share.

Order matters: an allele frequency judged before or after people leave differs. People are filtered first
(:mod:`qc_people`), then the variants of every part (:mod:`qc_variants`), then people with missing calls over all parts.
No count depends on how the genotypes are split.
"""

import gzip
import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics import results, tools
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
COMMON = "0.05"  # least minor allele frequency for sex check and kinship; rare variants carry little and bias KING
STEP_COLUMNS = ["step", "filter", "people", "variants", "people_removed", "variants_removed"]
REMOVED_COLUMNS = ["kind", "id", "step", "reason"]
MISSING_COLUMNS = ["participant_id", "missing", "calls"]


class Record:
    """The table of steps and the list of what each removed, while filters run.

    Attributes
    ----------
    people, variants : int
        How many are left.
    """

    def __init__(self, people: int, variants: int) -> None:
        self.people, self.variants = people, variants
        self._steps: list[dict] = []
        self._removed: list[pd.DataFrame] = []

    def leave(
        self,
        step: str,
        text: str,
        people: dict[str, str] | None = None,
        variants: dict[str, str] | None = None,
        variants_removed: int | None = None,
    ) -> None:
        """Note whom and what a step removed, with reasons.

        Parameters
        ----------
        people, variants : dict of str
            Id -> reason.
        variants_removed : int, optional
            How many variants left, if ids repeat or are not listed.

        Raises
        ------
        StudyError
            If nobody or nothing is left.
        """
        people, variants = people or {}, variants or {}
        gone = len(variants) if variants_removed is None else variants_removed
        self.people, self.variants = self.people - len(people), self.variants - gone
        row = [step, text, self.people, self.variants, len(people), gone]
        self._steps.append(dict(zip(STEP_COLUMNS, row, strict=True)))
        for kind, removed in (("person", people), ("variant", variants)):
            cells = {"kind": kind, "id": list(removed), "step": step, "reason": list(removed.values())}
            self._removed.append(pd.DataFrame(cells, columns=REMOVED_COLUMNS, dtype=str))
        LOGGER.info("%s (%s): %d people and %d variants left", *row[:4])
        refuse_empty(step, text, self.people, self.variants)

    def add_steps(self, steps: pd.DataFrame) -> None:
        """Take over steps that were counted elsewhere."""
        self._steps += steps.to_dict("records")

    @property
    def steps(self) -> pd.DataFrame:
        """Give the table of steps (schema ``genotype_qc_steps``)."""
        return pd.DataFrame(self._steps, columns=STEP_COLUMNS)

    @property
    def removed(self) -> pd.DataFrame:
        """Give what left: ``kind`` (person, variant), ``id``, ``step``, ``reason``."""
        return pd.concat([pd.DataFrame(columns=REMOVED_COLUMNS, dtype=str), *self._removed], ignore_index=True)


def refuse_empty(step: str, text: str, people: int, variants: int) -> None:
    """Refuse a filter that leaves nobody or nothing."""
    if not people or not variants:
        raise StudyError(
            f"genetics: qc: after step '{step}' ({text}) {people} people and {variants} variants are left. Loosen this "
            "filter or check the genotypes."
        )


def percent(share: float) -> str:
    """Write a share as percent."""
    return f"{100 * share:g}%"


def sum_parts(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Add the variants of parts, step by step; people are the same in all parts.

    Parameters
    ----------
    tables : iterable of pandas.DataFrame
        Schema ``genotype_qc_steps``, the same steps in the same order.
    """
    tables = list(tables)
    total = tables[0].copy()
    for column in ("variants", "variants_removed"):
        total[column] = sum(table[column].to_numpy() for table in tables)
    return total


def people_missing(parts: Iterable[pd.DataFrame], most: float) -> dict[str, str]:
    """Find people with too many missing calls over all parts.

    Parameters
    ----------
    parts : iterable of pandas.DataFrame
        ``participant_id``, ``missing``, ``calls`` (counts) of each part.
    most : float
        Largest share of missing calls.

    Returns
    -------
    dict
        participant -> reason.
    """
    total = pd.concat(parts).groupby("participant_id", sort=False)[["missing", "calls"]].sum()
    # a share that is exactly the limit may stay, whatever the rounding of its product
    gone = total[total["missing"] > most * total["calls"] * (1 + 1e-12)]
    return {row.Index: f"{percent(round(row.missing / row.calls, 4))} of calls missing" for row in gone.itertuples()}


def join_control(
    people: pd.DataFrame,
    people_steps: pd.DataFrame,
    part_steps: list[pd.DataFrame],
    missing: list[pd.DataFrame],
    most_missing: float,
) -> tuple[pd.DataFrame, Record]:
    """Put the steps of people and of parts together and remove people with missing calls over all parts.

    Parameters
    ----------
    people : pandas.DataFrame
        Who passed the filters of people: ``fid``, ``participant_id``.
    people_steps, part_steps : pandas.DataFrame
        Schema ``genotype_qc_steps``.
    missing : list of pandas.DataFrame
        ``participant_id``, ``missing``, ``calls`` of each part.
    most_missing : float
        Largest share of missing calls of a person.

    Returns
    -------
    left : pandas.DataFrame
        Who is left: ``fid``, ``participant_id``.
    record : Record
        All steps; removed: those with missing calls alone.

    References
    ----------
    .. [1] Marees et al., Int J Methods Psychiatr Res 27:e1608, 2018.
    """
    variants = sum_parts(part_steps)
    record = Record(len(people), int(variants["variants"].iloc[-1]))
    record.add_steps(pd.concat([people_steps, variants], ignore_index=True))
    gone = people_missing(missing, most_missing)
    record.leave("person_missingness", f"more than {percent(most_missing)} of calls missing", gone)
    left = people[~people["participant_id"].isin(set(gone))].reset_index(drop=True)
    if len(left) < tools.LEAST_PEOPLE:
        LOGGER.warning("%d people are left; with fewer than %d plink2 gives no components", len(left), 50)
    return left, record


def join_removed(sources: list[Path], last: pd.DataFrame, out: str | Path) -> None:
    """Write packed tables of what was removed one after the other, and a last one, without holding them in memory."""
    with results.gzip_writer(out) as stream:
        stream.write("\t".join(REMOVED_COLUMNS) + "\n")
        for source in sources:
            with gzip.open(source, "rt") as rows:
                next(rows)
                stream.writelines(rows)
        last.to_csv(stream, sep="\t", index=False, header=False, lineterminator="\n")
