"""Traits, covariates and lists of people as REGENIE, GCTA and BOLT-LMM read them; all of it data of individuals."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.genetics.handoff import files
from workflow_scripts.lib.study.errors import StudyError

IDS = ["FID", "IID"]
MISSING_CODE = -9.0  # GCTA and BOLT-LMM read this number as a missing value


@dataclass(frozen=True)
class People:
    """The same people in the same order in all three tables.

    Attributes
    ----------
    ids : pandas.DataFrame
        ``FID`` and ``IID``, as the genotypes have them.
    traits : pandas.DataFrame
        A column a trait.
    covariates : pandas.DataFrame
        A column a covariate that varies.
    """

    ids: pd.DataFrame
    traits: pd.DataFrame
    covariates: pd.DataFrame


def gather(phenotypes: pd.DataFrame, covariates: pd.DataFrame, samples: pd.DataFrame, source: str) -> People:
    """Put the people of the association side by side with their family ids, in the order of the genotypes.

    Parameters
    ----------
    phenotypes, covariates : pandas.DataFrame
        ``participant_id`` (text) and columns of numbers.
    samples : pandas.DataFrame
        ``fid`` and ``participant_id`` of people whose genotypes passed quality control.
    source : str
        Where ``samples`` come from, for messages.

    Raises
    ------
    StudyError
        If somebody has a trait and no genotypes or no covariates.
    """
    traits, beside = phenotypes.set_index("participant_id"), covariates.set_index("participant_id")
    for known, what in ((set(samples["participant_id"]), source), (set(beside.index), "the covariates")):
        lost = [person for person in traits.index if person not in known]
        if lost:
            raise StudyError(
                f"handoffs: {len(lost)} of {len(traits)} people with a trait are not in {what}, e.g. '{lost[0]}'. "
                "Both come from the same run: make genetics again from its quality control."
            )
    here = samples[samples["participant_id"].isin(set(traits.index))].reset_index(drop=True)
    order = here["participant_id"]
    beside = beside.loc[order].reset_index(drop=True)
    varying = [name for name in beside if beside[name].nunique(dropna=True) > 1]
    return People(
        here[["fid", "participant_id"]].set_axis(IDS, axis=1),
        traits.loc[order].reset_index(drop=True).rename(columns=files.word),
        beside[varying].rename(columns=files.word),
    )


def _safe(values: pd.DataFrame) -> pd.DataFrame:
    """Move values that would be read as missing by less than anybody can measure."""
    return values.mask(values == MISSING_CODE, MISSING_CODE - 1e-9)


def split_covariates(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tell covariates of two values, written 0 and 1, from quantitative ones."""
    two = [name for name in table if table[name].nunique(dropna=True) == 2]
    codes = table[two].apply(lambda column: column.eq(column.max()).astype(int).where(column.notna()).astype("Int64"))
    return codes, table.drop(columns=two)


def write_regenie(people: People, folder: Path) -> list[Path]:
    """Write REGENIE's files: headers ``FID IID NAME ...``, missing values ``NA``, a list of people without a header."""
    paths = [folder / name for name in ("phenotypes.txt", "covariates.txt", "keep.txt")]
    files.write_columns(pd.concat([people.ids, people.traits], axis=1), paths[0])
    files.write_columns(pd.concat([people.ids, people.covariates], axis=1), paths[1])
    files.write_columns(people.ids, paths[2], header=False)
    return paths


def write_bolt(people: People, folder: Path) -> list[Path]:
    """Write BOLT-LMM's files: headers ``FID IID NAME ...``, missing values ``NA``."""
    paths = [folder / name for name in ("phenotypes.txt", "covariates.txt")]
    files.write_columns(pd.concat([people.ids, _safe(people.traits)], axis=1), paths[0])
    files.write_columns(pd.concat([people.ids, _safe(people.covariates)], axis=1), paths[1])
    return paths


def write_gcta(people: People, folder: Path) -> list[Path]:
    """Write GCTA's files, none with a header: a trait each, covariates of categories and of numbers, people."""
    discrete, quantitative = split_covariates(people.covariates)
    paths = []
    for trait in people.traits:
        values = pd.concat([people.ids, _safe(people.traits[[trait]])], axis=1)
        paths.append(folder / f"{trait}.phen")
        files.write_columns(values, paths[-1], header=False)
    for name, table in (("covar.txt", discrete), ("qcovar.txt", _safe(quantitative))):
        if table.shape[1]:
            paths.append(folder / name)
            files.write_columns(pd.concat([people.ids, table], axis=1), paths[-1], header=False)
    paths.append(folder / "keep.txt")
    files.write_columns(people.ids, paths[-1], header=False)
    return paths
