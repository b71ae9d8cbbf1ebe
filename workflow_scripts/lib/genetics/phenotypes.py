"""Traits and covariates of the association: brain age gaps, or the columns of a table of the user's."""

import logging
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.genetics import covariates
from workflow_scripts.lib.genetics.trait_names import trait_columns
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
LEAST_FREEDOM = 10  # residual degrees of freedom below which a p-value says nothing
COSTLY = 0.05  # share of people that a single trait or covariate may cost before a warning says so
SETTINGS = {"numeric": [], "categorical": [], "min_people": covariates.LEAST_PEOPLE}


@dataclass(frozen=True)
class People:
    """Who may enter the association.

    Attributes
    ----------
    traits : pandas.DataFrame
        Index ``participant_id``, a column a trait; may hold missing values.
    about : pandas.DataFrame
        Same index; ``sex`` (F, M), ``age`` (years), perhaps ``icv``, and columns that may become covariates.
    source : str
        What a row is, for the table of losses.
    """

    traits: pd.DataFrame
    about: pd.DataFrame
    source: str


@dataclass(frozen=True)
class Design:
    """What enters the association; phenotypes and covariates have the same rows.

    Attributes
    ----------
    phenotypes : pandas.DataFrame
        Index ``participant_id``, one column a trait (years of brain age gap, or the unit of the user's table).
    covariates : pandas.DataFrame
        Index ``participant_id``, standardised, no two collinear.
    losses : pandas.DataFrame
        Schema ``losses``: how many people are left after each condition, and what each trait costs.
    """

    phenotypes: pd.DataFrame
    covariates: pd.DataFrame
    losses: pd.DataFrame


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


def from_gaps(
    gaps: pd.DataFrame, scans: pd.DataFrame, icv: pd.Series, phenotype: str = "gap_debiased", role: str = "test"
) -> People:
    """Take brain age gaps as traits.

    Parameters
    ----------
    gaps, phenotype, role
        See :func:`wide_gaps`.
    scans : pandas.DataFrame
        ``scan_id``, ``sex`` and columns that may become covariates (``site``, labels).
    icv : pandas.Series
        Intracranial volume (mm^3) by scan.
    """
    table = wide_gaps(gaps, phenotype, role)
    traits = [name for name in table if name not in ("scan_id", "age")]
    rest = scans.set_index("scan_id").drop(columns=["age", "icv", "participant_id"], errors="ignore")
    about = table[["scan_id", "age"]].join(rest, on="scan_id")
    return People(table[traits], about.assign(icv=table["scan_id"].map(icv)), "brain age gap")


def from_table(table: pd.DataFrame, traits: list[str], source: str) -> People:
    """Take columns of the user's own table as traits.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``traits``: ``participant_id``, ``sex``, ``age``, perhaps ``icv``, traits and covariates.
    traits : list of str
        See :func:`trait_names.trait_columns`.
    source : str
        The table's name, for messages.

    Raises
    ------
    StudyError
        If a trait is not there or is no number.
    """
    trait_columns(table.columns, traits, [], source)
    table = table.set_index("participant_id")
    remedy = "A column that is no trait: name the traits (genetics: traits), or make it a covariate."
    values = {name: _numbers(table[name], f"{source}, column '{name}'", remedy) for name in traits}
    if "icv" not in table:
        LOGGER.warning("%s: no column icv: the association is not adjusted for intracranial volume", source)
    return People(pd.DataFrame(values, dtype=float), table.drop(columns=traits), "row in the table of traits")


def _numbers(values: pd.Series, where: str, remedy: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values.notna() & ~np.isfinite(numbers)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise StudyError(
            f"{where}: found {values.iloc[row]!r} (participant {values.index[row]}), expected a number. {remedy}"
        )
    return numbers


def add_columns(people: People, table: pd.DataFrame, source: str) -> People:
    """Put the columns of the user's table of covariates beside what is known of people.

    Raises
    ------
    StudyError
        If a column is known already, or no person of the table is in the study.
    """
    table = table.set_index("participant_id")
    twice = [name for name in table if name in people.about]
    if twice:
        raise StudyError(f"{source}: column '{twice[0]}' stands in another table of the study too. Rename or drop it.")
    if not table.index.isin(people.about.index).any():
        raise StudyError(
            f"{source}: none of its {len(table)} people is in the study (e.g. '{table.index[0]}' there, "
            f"'{people.about.index[0]}' here). participant_id must be the same."
        )
    return People(people.traits, people.about.join(table), people.source)


def _known(about: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """Take the columns that become covariates, in the order of the model; refuse unknown ones and words for numbers."""
    own = [*settings["numeric"], *settings["categorical"]]
    base = ["age", "sex", *(["icv"] if "icv" in about else [])]
    for name in own:
        if name not in about or name in base or name == "scan_id":
            free = [column for column in about if column not in (*base, "scan_id")]
            found = "is in the model already" if name in base else "is in no table of the study"
            raise StudyError(
                f"genetics: covariates: '{name}' {found}. Columns that can be covariates: {', '.join(free) or 'none'}. "
                "Correct the name, or give a table with this column (genetics: covariates: table)."
            )
    table = about[[*base, *own]].copy()
    for name in ("age", *settings["numeric"]):
        table[name] = _numbers(
            table[name], f"genetics: covariate '{name}'", "Words: genetics: covariates: categorical."
        )
    return table


def _conditions(
    people: People, known: pd.DataFrame, genotyped: Collection[str], scores: pd.DataFrame, roles: Collection[str] | None
) -> list[tuple[str, str | None, pd.Series]]:
    """List what a person must fulfil: reason, column, and who does."""
    ids = people.traits.index.to_series()
    found = [("role gwas", None, ids.isin(set(roles)))] if roles is not None else []
    found.append(("genotypes passed quality control", None, ids.isin(set(genotyped))))
    if scores.shape[1]:
        found.append(("genetic components", None, ids.isin(set(scores.index[scores.notna().all(axis=1)]))))
    found += [("covariate", str(name), known[name].notna()) for name in known]
    return found + [("trait", str(name), people.traits[name].notna()) for name in people.traits]


def _losses(source: str, conditions: list[tuple[str, str | None, pd.Series]]) -> tuple[pd.Series, pd.DataFrame]:
    """Say who fulfils all conditions, and what each costs in its turn and alone."""
    fulfilled = np.column_stack([passes.to_numpy(bool) for *_, passes in conditions])
    failures = (~fulfilled).sum(axis=1)
    left = np.ones(len(fulfilled), bool)
    rows: list[tuple] = [(source, None, len(left), 0, 0)]
    for (reason, column, _), passes in zip(conditions, fulfilled.T, strict=True):
        before, left = left.sum(), left & passes
        rows.append((reason, column, int(left.sum()), int(before - left.sum()), int((~passes & (failures == 1)).sum())))
    table = pd.DataFrame(rows, columns=["reason", "column", "people", "lost", "alone"])
    for row in table[table["column"].notna() & (table["alone"] > COSTLY * left.sum())].itertuples():
        LOGGER.warning(
            "%s '%s' alone costs %d people, who are in all tests if it is left out (%d are in them now): all traits "
            "are tested in the same people",
            *(row.reason, row.column, row.alone, left.sum()),
        )
    return pd.Series(left, index=conditions[0][2].index), table


def rank_normal(values: pd.Series) -> pd.Series:
    """Replace values by normal quantiles of their ranks, (rank - 3/8) / (n + 1/4); ties share their mean rank.

    References
    ----------
    Blom (1958), Statistical estimates and transformed beta-variables; Beasley et al. (2009), Behav Genet 39:580.
    """
    ranks = values.rank(method="average")
    return pd.Series(stats.norm.ppf((ranks - 0.375) / (values.notna().sum() + 0.25)), values.index, name=values.name)


def build(
    people: People,
    components: pd.DataFrame,
    genotyped: Collection[str],
    settings: dict | None = None,
    roles: Collection[str] | None = None,
    transform: str = "none",
    max_vif: float = covariates.MAX_VIF,
) -> Design:
    """Put phenotypes and covariates of the same people side by side.

    All traits get the same people, which makes them comparable and plink2 several times faster; ``losses`` says how
    many people each trait costs the others.

    Parameters
    ----------
    people : People
    components : pandas.DataFrame
        ``participant_id``, ``PC1`` ...
    genotyped : collection of str
        People whose genotypes passed quality control.
    settings : dict, optional
        ``numeric``, ``categorical``, ``min_people``: see :func:`covariates.form`.
    roles : collection of str, optional
        People with the role gwas; None if the study has no roles (a table of the user's).
    transform : {"none", "rint"}
        ``rint``: see :func:`rank_normal`, over the people who enter.
    max_vif : float
        See :func:`covariates.form`.

    Raises
    ------
    StudyError
        If a covariate is unknown, too few people are left, a trait does not vary or covariates are collinear.
    """
    settings = SETTINGS | (settings or {})
    scores = components.set_index("participant_id")
    known = _known(people.about, settings)
    passed, losses = _losses(people.source, _conditions(people, known, genotyped, scores, roles))
    traits, known = people.traits[passed], known[passed]
    need = LEAST_FREEDOM + 8 + scores.shape[1] + len(settings["numeric"]) + len(settings["categorical"])
    if len(traits) < need:
        counts = "; ".join(
            f"{row.reason}{'' if pd.isna(row.column) else f' {row.column}'}: {row.people}"
            for row in losses.itertuples()
        )
        raise StudyError(
            f"genetics: {len(traits)} people are left for the association, which needs {need} ({counts}). Give more "
            "people, fewer traits or covariates, a lower genetics: pcs: count, or leave genetics out."
        )
    _refuse_constant(traits)
    given = covariates.form(known, scores.reindex(traits.index), settings, max_vif)
    _refuse_explained(traits, given)
    if transform == "rint":
        traits = traits.apply(rank_normal)
    return Design(traits, given, losses)


def _refuse_constant(traits: pd.DataFrame) -> None:
    for name, values in traits.items():
        if values.std() <= 1e-9 * (1 + values.abs().max()):
            raise StudyError(
                f"genetics: the trait '{name}' does not vary (all {len(values)} people have {values.iloc[0]:g}). "
                "Check the column, or leave it out (genetics: traits, or brainage: representations)."
            )
        if values.nunique() == 2:
            LOGGER.warning(
                "trait %s has two values only: its effects are differences of a share, by linear regression", name
            )


def _refuse_explained(traits: pd.DataFrame, given: pd.DataFrame) -> None:
    """Refuse a trait that covariates explain wholly: its residuals are rounding errors."""
    basis, _ = np.linalg.qr(np.column_stack([np.ones(len(given)), given]))
    centred = (traits - traits.mean()) / traits.std()
    left = centred - basis @ (basis.T @ centred.to_numpy())
    for name, values in left.items():
        if values.std() < 1e-6:
            raise StudyError(
                f"genetics: the trait '{name}' is a combination of the covariates ({', '.join(given)}); nothing of it "
                "is left to test. Leave out the trait, or the covariate."
            )
