"""Heritability of every trait and genetic correlation of every pair, from relatedness over the genome (GREML)."""

import itertools
import logging

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.genetics import bivariate, grm, reml
from workflow_scripts.lib.genetics.grm import Grm
from workflow_scripts.lib.genetics.tools import LEAST_PEOPLE
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
HERITABILITY = [
    *("trait", "method", "people", "variants", "h2", "se", "lower", "upper", "lrt", "p"),
    *("genetic_variance", "residual_variance", "note"),
]
CORRELATION = [
    *("trait_a", "trait_b", "method", "people", "rg", "se", "lower", "upper", "p_zero", "p_one"),
    *("re", "re_se", "note"),
]


def choose_people(
    relatedness: Grm, phenotypes: pd.DataFrame, covariates: pd.DataFrame, most_alike: float | None = None
) -> tuple[Grm, pd.DataFrame, pd.DataFrame]:
    """Keep people who have every trait, every covariate and genotypes, in the order of the matrix.

    Parameters
    ----------
    relatedness : Grm
    phenotypes, covariates : pandas.DataFrame
        Index ``participant_id``; one column a trait, or a covariate.
    most_alike : float, optional
        Of people who are more alike than that in the matrix, one leaves (0.05 is common: about second cousins).

    Returns
    -------
    Grm, pandas.DataFrame, pandas.DataFrame
        All of the same people, so that one decomposition serves all traits and pairs compare like with like.

    Raises
    ------
    StudyError
        If too few are left; it says which condition cost them.
    """
    whole = phenotypes.notna().all(axis=1)
    known = covariates.notna().all(axis=1).reindex(phenotypes.index, fill_value=False)
    here = phenotypes.index.isin(set(relatedness.samples["participant_id"]))
    keep = set(phenotypes.index[whole & known & here])
    left = [("a row of traits", len(phenotypes)), ("every trait", int(whole.sum()))]
    left += [("every covariate", int((whole & known).sum())), ("genotypes", len(keep))]
    if most_alike is not None:
        keep &= grm.unrelated(grm.subset(relatedness, keep), most_alike)
        left.append((f"no relative above {most_alike:g}", len(keep)))
    counts = "; ".join(f"{reason}: {count}" for reason, count in left)
    LOGGER.info("people left with %s", counts)
    if len(keep) < LEAST_PEOPLE:
        raise StudyError(
            f"genetics: {len(keep)} people can enter GREML ({counts}); at least {LEAST_PEOPLE} are needed, and "
            "thousands for a useful standard error. Check that ids of traits, covariates and genotypes are the same."
        )
    chosen = grm.subset(relatedness, keep)
    ids = chosen.samples["participant_id"]
    return chosen, phenotypes.loc[ids], covariates.loc[ids]


def estimate(
    relatedness: Grm, phenotypes: pd.DataFrame, covariates: pd.DataFrame, level: float = 0.95
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate every heritability and genetic correlation with one eigendecomposition.

    Parameters
    ----------
    relatedness : Grm
        **Its matrix is used as working space and holds something else afterwards** (twice its size is needed in all:
        11 GB for 25,800 people).
    phenotypes, covariates : pandas.DataFrame
        Of the same people in the same order, complete (:func:`choose_people`).
    level : float
        Coverage of intervals.

    Returns
    -------
    heritability, correlation : pandas.DataFrame
        Columns :data:`HERITABILITY` and :data:`CORRELATION`. Variances are those that covariates leave: h2 is the
        share of the residual variance of a trait, not of its raw one.

    Raises
    ------
    StudyError
        If a trait does not vary after covariates.
    """
    people, variants, names = len(phenotypes), relatedness.variants, list(phenotypes)
    for name in names:
        if not phenotypes[name].std() > 0:
            raise StudyError(f"genetics: trait '{name}' has the same value in all {people} people; leave it out.")
    rotated = reml.rotate(relatedness.matrix, phenotypes.to_numpy(float), covariates.to_numpy(float))
    shares, pairs = [], []
    for column, name in enumerate(names):
        found = reml.univariate(rotated.values, rotated.traits[:, column], level)
        numbers = found.h2, found.se, found.lower, found.upper, found.lrt, found.p, found.genetic, found.residual
        shares.append((name, "greml", people, variants, *numbers, found.note))
    for first, second in itertools.combinations(range(len(names)), 2):
        both = bivariate.bivariate(rotated.values, rotated.traits[:, [first, second]], level)
        numbers = both.rg, both.se, both.lower, both.upper, both.p_zero, both.p_one, both.re, both.re_se
        pairs.append((names[first], names[second], "greml", people, *numbers, both.note))
    for row in [*shares, *pairs]:
        if row[-1]:
            LOGGER.warning("%s: %s", row[0] if len(row) == len(HERITABILITY) else f"{row[0]} and {row[1]}", row[-1])
    return pd.DataFrame(shares, columns=HERITABILITY), pd.DataFrame(pairs, columns=CORRELATION)


def add_wald(table: pd.DataFrame, value: str, lowest: float, level: float) -> pd.DataFrame:
    """Add ``lower`` and ``upper``, the estimate and its standard error's normal interval within [lowest, 1].

    For programs that print no interval; near a bound it is worse than the profile likelihood's.
    """
    reach = stats.norm.ppf(0.5 + level / 2) * table["se"]
    return table.assign(
        lower=np.clip(table[value] - reach, lowest, 1.0), upper=np.clip(table[value] + reach, lowest, 1.0)
    )
