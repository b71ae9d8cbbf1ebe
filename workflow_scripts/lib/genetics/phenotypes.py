"""Phenotypes and covariates of the association: brain age gaps, one column a representation."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.errors import StudyError

LEAST_FREEDOM = 10  # residual degrees of freedom below which a p-value says nothing


@dataclass(frozen=True)
class Design:
    """What enters the association; all tables have the same rows.

    Attributes
    ----------
    phenotypes : pandas.DataFrame
        Index ``participant_id``, one column a representation (years).
    covariates : pandas.DataFrame
        Index ``participant_id``, standardised, no two collinear.
    losses : pandas.DataFrame
        ``reason``, ``people``: how many are left after each condition.
    """

    phenotypes: pd.DataFrame
    covariates: pd.DataFrame
    losses: pd.DataFrame


def covariates(age: np.ndarray, sex: np.ndarray, icv: np.ndarray, components: np.ndarray) -> pd.DataFrame:
    """Form the covariates of the published study.

    Parameters
    ----------
    age : numpy.ndarray
        Years.
    sex : numpy.ndarray
        Text, F or M.
    icv : numpy.ndarray
        Intracranial volume in any unit.
    components : numpy.ndarray
        people x components; genetic principal components.

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
    table["icv"] = icv.astype(float)
    table |= {f"PC{column + 1}": components[:, column] for column in range(components.shape[1])}
    frame = pd.DataFrame(table)
    frame -= frame.mean()
    spread = frame.std(ddof=0)
    return frame / spread.where(spread > 1e-12, np.inf)


def refuse_collinear(table: pd.DataFrame) -> None:
    """Refuse covariates of which one is a sum of others; :class:`StudyError` names it."""
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


def wide_gaps(gaps: pd.DataFrame, phenotype: str, role: str) -> pd.DataFrame:
    """Turn gaps into one row a person: ``scan_id``, ``age`` and one column a representation.

    Parameters
    ----------
    gaps : pandas.DataFrame
        ``scan_id``, ``participant_id``, ``representation``, ``role``, ``age`` and the phenotype.
    phenotype : str
        Column to take: ``gap_debiased`` or ``gap``.
    role : {"test", "all"}
        Rows to take: people whom the brain age model has not seen, or its training people too, whose gaps are
        out of fold.
    """
    rows = gaps if role == "all" else gaps[gaps["role"] == role]
    wide = rows.pivot(index="participant_id", columns="representation", values=phenotype)
    about = rows.drop_duplicates("participant_id").set_index("participant_id")[["scan_id", "age"]]
    return about.join(wide[list(dict.fromkeys(rows["representation"]))])


def _complete(
    table: pd.DataFrame, sex: pd.Series, icv: pd.Series, genotyped: set[str], participants: set[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep people whom no table lacks; also give how many are left after each condition."""
    names = [column for column in table.columns if column not in ("scan_id", "age")]
    ids = table.index.to_series()
    conditions = {
        "role gwas": ids.isin(participants),
        "genotypes that passed quality control": ids.isin(genotyped),
        "gap of every representation": table[names].notna().all(axis=1),
        "age, sex and intracranial volume": table["age"].notna()
        & ids.map(sex).notna()
        & table["scan_id"].map(icv).notna(),
    }
    passed = pd.Series(True, index=table.index)
    losses = [("brain age gap", len(table))]
    for reason, passes in conditions.items():
        passed &= passes
        losses.append((reason, int(passed.sum())))
    return table[passed], pd.DataFrame(losses, columns=["reason", "people"])


def build(
    gaps: pd.DataFrame,
    sex: pd.Series,
    icv: pd.Series,
    components: pd.DataFrame,
    participants: set[str],
    phenotype: str = "gap_debiased",
    role: str = "test",
) -> Design:
    """Put phenotypes and covariates of the same people side by side.

    All representations get the same people, which makes them comparable and plink2 several times faster.

    Parameters
    ----------
    gaps : pandas.DataFrame
        See :func:`wide_gaps`.
    sex : pandas.Series
        By participant.
    icv : pandas.Series
        Intracranial volume (mm^3) by scan.
    components : pandas.DataFrame
        ``participant_id``, ``PC1`` ... of people whose genotypes passed quality control.
    participants : set of str
        People with the role gwas.

    Raises
    ------
    StudyError
        If too few people are left, a phenotype does not vary or covariates are collinear.
    """
    scores = components.set_index("participant_id")
    table, losses = _complete(wide_gaps(gaps, phenotype, role), sex, icv, set(scores.index), participants)
    names = [column for column in table.columns if column not in ("scan_id", "age")]
    need = LEAST_FREEDOM + 8 + scores.shape[1]  # six covariates, intercept, variant
    if len(table) < need:
        counts = "; ".join(f"{row.reason}: {row.people}" for row in losses.itertuples())
        raise StudyError(
            f"genetics: {len(table)} people are left for the association, which needs {need} ({counts}). Give more "
            "people the role gwas, lower genetics: pcs: count, or leave genetics out."
        )
    _refuse_constant(table[names])
    ids = table.index
    given = covariates(
        table["age"].to_numpy(float),
        ids.to_series().map(sex).to_numpy(),
        table["scan_id"].map(icv).to_numpy(float),
        scores.loc[ids].to_numpy(float),
    ).set_index(ids)
    given = given.loc[:, given.any()]  # one sex only: sex and its products are constant
    refuse_collinear(given)
    return Design(table[names], given, losses)


def _refuse_constant(phenotypes: pd.DataFrame) -> None:
    for name, values in phenotypes.items():
        if values.std() <= 1e-9 * (1 + values.abs().max()):
            raise StudyError(
                f"genetics: the phenotype '{name}' does not vary (all {len(values)} people have {values.iloc[0]:g}). "
                "Check its brain age gaps or drop this representation."
            )
