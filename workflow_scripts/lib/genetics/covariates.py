"""Covariates of the association: the published ones and the user's own, as standardised numeric columns."""

import logging
import re

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
MAX_VIF = 50.0  # plink2's own limit
LEAST_PEOPLE = 10  # people of a level of a categorical covariate that get a column of their own
DERIVED = ("age", "age2", "sex", "age_x_sex", "age2_x_sex")


def standardise(frame: pd.DataFrame) -> pd.DataFrame:
    """Give every column mean 0 and standard deviation 1; a constant one becomes 0."""
    frame = frame - frame.mean()
    spread = frame.std(ddof=0)
    return frame / spread.where(spread > 1e-12, np.inf)


def published(age: np.ndarray, sex: np.ndarray, icv: np.ndarray | None, components: np.ndarray) -> pd.DataFrame:
    """Form the covariates of the published study.

    Parameters
    ----------
    age : numpy.ndarray, (people,)
        Years.
    sex : numpy.ndarray, (people,)
        Text, F or M.
    icv : numpy.ndarray, (people,), or None
        Intracranial volume in any unit; None if the study has none.
    components : numpy.ndarray, (people, components)
        Genetic principal components.

    Returns
    -------
    pandas.DataFrame
        ``age``, ``age2``, ``sex``, ``age_x_sex``, ``age2_x_sex``, ``icv``, ``PC1`` ..., each with mean 0 and standard
        deviation 1 (a constant one is all 0). Products are formed of centred factors: of raw ones plink2 refuses them
        as collinear (VIF_TOO_HIGH).
    """
    years = age - age.mean()
    years = years / (years.std() or 1.0)
    square = years**2 - (years**2).mean()
    half = np.where(sex == "M", 0.5, -0.5)
    half = half - half.mean()  # in a study of one sex the products then vanish too
    table = {"age": years, "age2": square, "sex": half, "age_x_sex": years * half, "age2_x_sex": square * half}
    if icv is not None:
        table["icv"] = icv.astype(float)
    table |= {f"PC{column + 1}": components[:, column] for column in range(components.shape[1])}
    return standardise(pd.DataFrame(table))


def _label(level: object) -> str:
    """Write a level as text; codes that a missing cell has turned into decimals are whole numbers again."""
    whole = isinstance(level, float) and level.is_integer()
    return str(int(level)) if whole else str(level)


def dummies(values: pd.Series, least: int = LEAST_PEOPLE) -> pd.DataFrame:
    """Turn a categorical covariate into columns of 0 and 1.

    Parameters
    ----------
    values : pandas.Series
        A level a person, none missing. Its name begins the names of the columns.
    least : int
        Levels with fewer people are joined into one, ``other``: a column of a handful of people would take them out of
        the study one by one. If that is still too few, they count to the commonest level.

    Returns
    -------
    pandas.DataFrame
        A column for each level but the commonest, which is the reference, in the order of their names.

    Raises
    ------
    StudyError
        If fewer than two levels are left.
    """
    levels = values.map(_label)
    counts = levels.value_counts()
    # equal counts: by name, so that the order of people says nothing
    reference = min(counts.index, key=lambda level: (-counts[level], level))
    rare = [level for level in sorted(counts.index) if counts[level] < least and level != reference]
    if rare:
        home = "other" if counts[rare].sum() >= least else reference
        levels = levels.where(~levels.isin(rare), home)
        LOGGER.info("covariate %s: levels of fewer than %d people (%s) -> %s", values.name, least, rare, home)
    others = sorted(set(levels) - {reference})
    if not others:
        raise StudyError(
            f"genetics: covariates: '{values.name}' has one level of at least {least} people ('{reference}') in these "
            f"{len(values)} people. Leave it out, or lower genetics: covariates: min_people."
        )
    LOGGER.info("covariate %s: reference %s, columns for %s", values.name, reference, others)
    names = [f"{values.name}_{re.sub('[^A-Za-z0-9.]+', '_', level)}" for level in others]
    if len(set(names)) < len(names):  # levels that differ in signs only
        names = [f"{name}_{number}" for number, name in enumerate(names, start=1)]
    return pd.DataFrame({name: (levels == level).astype(float) for name, level in zip(names, others, strict=True)})


def form(about: pd.DataFrame, components: pd.DataFrame, settings: dict, max_vif: float = MAX_VIF) -> pd.DataFrame:
    """Form all covariates of the people who enter.

    Parameters
    ----------
    about : pandas.DataFrame
        Index ``participant_id``; ``age``, ``sex``, perhaps ``icv``, and the columns that ``settings`` names, nothing
        missing.
    components : pandas.DataFrame
        Same index; ``PC1`` ...
    settings : dict
        ``numeric``, ``categorical`` (columns of ``about``), ``min_people`` (see :func:`dummies`).
    max_vif : float
        Largest variance inflation factor of a covariate given the others.

    Returns
    -------
    pandas.DataFrame
        Index as ``about``; standardised columns, none constant, none a sum of others.

    Raises
    ------
    StudyError
        If a named covariate has one value, or covariates are (nearly) collinear.
    """
    icv = about["icv"].to_numpy(float) if "icv" in about else None
    base = published(about["age"].to_numpy(float), about["sex"].to_numpy(), icv, components.to_numpy(float))
    base = base.set_index(about.index)
    constant = [name for name in base if not base[name].any()]
    if dropped := [name for name in constant if name in DERIVED]:
        LOGGER.info("covariates that do not vary in these people are left out: %s", ", ".join(dropped))
    own = [standardise(about[settings["numeric"]].astype(float))] if settings["numeric"] else []
    constant += [name for name in (own[0] if own else []) if not own[0][name].any()]
    for name in constant:
        if name not in DERIVED:
            raise StudyError(
                f"genetics: covariate '{name}' has the same value in all {len(about)} people. Leave it out."
            )
    own += [standardise(dummies(about[name], settings["min_people"])) for name in settings["categorical"]]
    scores = [name for name in base if name.startswith("PC")]
    front = base.drop(columns=[*scores, *[name for name in constant if name in DERIVED]])
    table = pd.concat([front, *own, base[scores]], axis=1)
    refuse_collinear(table, max_vif)
    return table


def refuse_collinear(table: pd.DataFrame, max_vif: float = MAX_VIF) -> None:
    """Refuse covariates of which one is, or nearly is, a sum of others.

    Raises
    ------
    StudyError
        It names the covariate. Beyond plink2's limit of the variance inflation factor every variant would be missing.
    """
    basis = np.ones((len(table), 1))
    for column in table.columns:
        wider = np.column_stack([basis, table[column]])
        if np.linalg.matrix_rank(wider, tol=1e-6 * np.sqrt(len(table))) < wider.shape[1]:
            others = ", ".join(["1", *table.columns][: basis.shape[1]])
            raise StudyError(
                f"genetics: covariate '{column}' is a combination of {others} in these {len(table)} people. "
                f"Leave it out, or lower genetics: pcs: count."
            )
        basis = wider
    if table.shape[1] < 2:
        return
    correlation = np.corrcoef(table.to_numpy().T)
    inflation = np.diag(np.linalg.inv(correlation))
    if inflation.max() > max_vif:
        worst = int(inflation.argmax())
        near = np.abs(correlation[worst] - np.eye(len(correlation))[worst])
        raise StudyError(
            f"genetics: covariate '{table.columns[worst]}' is nearly a combination of the others: variance inflation "
            f"factor {inflation[worst]:.0f}, limit {max_vif:g}; nearest is '{table.columns[int(near.argmax())]}' "
            f"(|r| = {near.max():.3f}). Leave one of them out, or raise genetics: gwas: max_vif."
        )
