"""Which cell types express the genes that are associated: gene scores regressed on expression."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import linalg, stats

from workflow_scripts.lib.evaluate import adjust
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
COLUMNS = [
    *("trait", "data_set", "cell_type", "genes", "beta", "se", "t", "p"),
    *("p_bonferroni", "q", "tests", "significant"),
]
COUNTS = ["trait", "data_set", "scored", "expressed", "used", "cell_types", "note"]
LEAST_GENES = 30
LOW, HIGH = 3.0, 6.0  # standard deviations of scores below and above their mean that count in full
DELTA = 0.01  # least eigenvalue of the genes' correlation matrix
NO_GENES = "no table of genes (genetics: genes: table), whose scores would be compared with expression"
NO_TABLE = "no expression table (genetics: expression: table); the files of write_handoffs go to FUMA's cell type page"


def name_tables(table: str | dict[str, str] | None) -> dict[str, str]:
    """Name the data sets of config: none, one path (named after its file) or several by name."""
    if not table:
        return {}
    return dict(table) if isinstance(table, dict) else {Path(table).name.partition(".")[0]: table}


def read_expression(path: str | Path) -> pd.DataFrame:
    """Read mean expression of genes by cell type.

    Returns
    -------
    pandas.DataFrame
        Index ``gene``, one column a cell type: mean log expression.

    Raises
    ------
    StudyError
        If the table has no column ``gene``, no two cell types, a gene twice, or a cell that is no number.
    """
    path = Path(path)
    if not path.exists():
        raise StudyError(f"{path}: no such file (genetics: expression: table). Give a table, or null for none.")
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    if "gene" not in table or len(table.columns) < 3:
        raise StudyError(
            f"{path}: found columns {', '.join(map(str, table.columns[:6]))}; expected gene and one column a cell type "
            "(two or more), tab-separated, with the mean log expression."
        )
    twice = table["gene"].duplicated()
    if twice.any():
        row = int(twice.to_numpy().argmax())
        raise StudyError(f"{path}, line {row + 2}: gene '{table['gene'].iloc[row]}' stands there twice; keep one row.")
    table = table.set_index("gene")
    numbers = table.apply(pd.to_numeric, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(float))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise StudyError(
            f"{path}, line {row + 2}, column '{table.columns[column]}': found '{table.iloc[row, column]}', expected a "
            "number (mean log expression; 0 where the gene is not seen). Correct the value or leave out the gene."
        )
    return numbers.astype(float)


def enrich(
    scores: dict[str, pd.DataFrame], pairs: pd.DataFrame, data_sets: dict[str, pd.DataFrame], level: float = 0.05
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test every cell type of every data set for every trait.

    Parameters
    ----------
    scores : dict of pandas.DataFrame
        By trait: schema ``gene_scores``.
    pairs : pandas.DataFrame
        ``gene_a``, ``gene_b``, ``r``: correlations of the scores of neighbouring genes; others are 0.
    data_sets : dict of pandas.DataFrame
        By name: expression as :func:`read_expression` returns it.
    level : float
        Adjusted p-value below which a cell type is significant.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`. ``p_bonferroni`` is adjusted for the cell types
        of one data set and trait (``tests``), ``q`` by Benjamini and Hochberg over all rows.
    pandas.DataFrame
        Columns :data:`COUNTS`: how many genes entered.

    Raises
    ------
    StudyError
        If too few genes have both a score and an expression.
    """
    found, counts = [], []
    for trait, table in scores.items():
        for name, expression in data_sets.items():
            here = table[table["gene"].isin(expression.index)].reset_index(drop=True)
            _check_overlap(here, table, expression, name)
            rows = regress(here, pairs, expression)
            rows = rows.assign(trait=trait, data_set=name, tests=len(rows))
            found.append(rows.assign(p_bonferroni=np.minimum(rows["p"] * len(rows), 1)))
            counts.append((trait, name, len(table), len(expression), len(here), len(rows), None))
    joined = pd.concat(found, ignore_index=True)
    joined["q"] = adjust.benjamini_hochberg(joined["p"].to_numpy())
    joined["significant"] = joined["p_bonferroni"] < level
    return joined[COLUMNS], pd.DataFrame(counts, columns=COUNTS)


def nothing(traits: list[str], reason: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of :func:`enrich` for a study that has nothing to test; the second one says why."""
    rows = [(trait, None, 0, 0, 0, 0, reason) for trait in traits]
    return pd.DataFrame(columns=COLUMNS), pd.DataFrame(rows, columns=COUNTS)


def regress(scores: pd.DataFrame, pairs: pd.DataFrame, expression: pd.DataFrame) -> pd.DataFrame:
    """Regress gene scores on the expression of each cell type in turn, by generalised least squares.

    Beside the cell type's, the mean expression over all types enters (a gene that is expressed everywhere says nothing
    of one type), and what moves scores whatever the trait: the numbers of variants, their independence (effective
    over variants) and the inverse minor allele count, each also as a logarithm.

    Parameters
    ----------
    scores : pandas.DataFrame
        Schema ``gene_scores``; every gene has an expression. Scores more than 3 standard deviations below or 6 above
        their mean are drawn in to there, so that no single gene decides.
    pairs : pandas.DataFrame
        Of :func:`enrich`.
    expression : pandas.DataFrame
        Of :func:`read_expression`.

    Returns
    -------
    pandas.DataFrame
        ``cell_type``, ``genes``, ``beta`` (standard deviations of score a unit of expression), ``se``, ``t``, ``p``
        (one-sided: associated genes are expressed more).

    References
    ----------
    .. [1] Watanabe et al., Nat Commun 10:3222, 2019 (cell types: average expression as covariate, one-sided).
    .. [2] de Leeuw et al., PLoS Comput Biol 11:e1004219, 2015 (gene property analysis with correlated genes).
    """
    z = scores["z"].to_numpy(float)
    z = np.clip(z, z.mean() - LOW * z.std(), z.mean() + HIGH * z.std())
    values = expression.loc[scores["gene"]]
    given = _covariates(scores, values.mean(axis=1).to_numpy())
    whitened = _whiten(scores, pairs, np.column_stack([z, given, values.to_numpy()]))
    outcome, given, values_ = whitened[:, 0], whitened[:, 1 : 1 + given.shape[1]], whitened[:, 1 + given.shape[1] :]
    freedom = len(z) - given.shape[1] - 1
    rows = []
    for column, name in enumerate(values.columns):
        rows.append((name, len(z), *_last_coefficient(outcome, given, values_[:, column], freedom)))
    return pd.DataFrame(rows, columns=["cell_type", "genes", "beta", "se", "t", "p"])


def _check_overlap(here: pd.DataFrame, scores: pd.DataFrame, expression: pd.DataFrame, name: str) -> None:
    if len(here) < LEAST_GENES:
        raise StudyError(
            f"genetics: expression: {len(here)} genes of data set '{name}' have a score; at least {LEAST_GENES} are "
            f"needed. Names must be those of the gene table: it has e.g. {', '.join(scores['gene'][:3])}; the "
            f"expression table e.g. {', '.join(map(str, expression.index[:3]))}. Map them to one kind of name."
        )


def _covariates(scores: pd.DataFrame, average: np.ndarray) -> np.ndarray:
    """Return genes x covariates: constant, average expression and gene features, standardised, no two alike."""
    size = scores["variants"].to_numpy(float)
    density = scores["effective"].to_numpy(float) / size
    rarity = 1 / np.maximum(scores["mac"].to_numpy(float), 0.5)
    people = scores["people"].to_numpy(float)
    kept = [np.ones(len(size))]
    for column in (average, *(part for each in (size, density, rarity, people) for part in (each, np.log(each)))):
        spread = column.std()
        if spread <= 1e-12 * max(abs(column.mean()), 1e-300):
            continue
        column = (column - column.mean()) / spread
        basis = np.column_stack(kept)
        left = column - basis @ np.linalg.lstsq(basis, column, rcond=None)[0]
        if left.std() > 1e-4:  # a number and its logarithm may be the same within rounding
            kept.append(column)
    return np.column_stack(kept)


def _whiten(scores: pd.DataFrame, pairs: pd.DataFrame, columns: np.ndarray) -> np.ndarray:
    """Turn columns so that rows of correlated genes become independent, a chromosome at a time."""
    out = np.empty_like(columns)
    place = pd.Index(scores["gene"])
    first, second = (place.get_indexer(pairs[name]) for name in ("gene_a", "gene_b"))
    known = (first >= 0) & (second >= 0)
    first, second, r = first[known], second[known], pairs["r"].to_numpy(float)[known]
    for chrom, rows in scores.groupby("chrom").indices.items():
        within = np.isin(first, rows)
        at = np.full(len(scores), -1)
        at[rows] = np.arange(len(rows))
        correlation = np.eye(len(rows))
        i, j = at[first[within]], at[second[within]]
        correlation[i, j] = correlation[j, i] = r[within]
        correlation = _fit_together(correlation, str(chrom))
        factor = np.linalg.cholesky(correlation)
        out[rows] = linalg.solve_triangular(factor, columns[rows], lower=True)
    return out


def _fit_together(correlation: np.ndarray, chrom: str) -> np.ndarray:
    """Shrink correlations that no set of scores can have: pairs are estimated one by one, and far ones left out."""
    try:
        np.linalg.cholesky(correlation - DELTA * np.eye(len(correlation)))
    except np.linalg.LinAlgError:
        lowest = float(np.linalg.eigvalsh(correlation)[0])
        shrink = (1 - DELTA) / (1 - lowest)
        LOGGER.info("chromosome %s: correlations of genes shrunk by %.3f to fit together", chrom, shrink)
        return shrink * correlation + (1 - shrink) * np.eye(len(correlation))
    return correlation


def _last_coefficient(
    outcome: np.ndarray, given: np.ndarray, column: np.ndarray, freedom: int
) -> tuple[float, float, float, float]:
    """Return coefficient, standard error, t and one-sided p of a column beside given ones; missing if it is theirs."""
    basis, _ = np.linalg.qr(given)
    left = column - basis @ (basis.T @ column)
    if left @ left <= 1e-10 * (column @ column):
        return (float("nan"),) * 4
    rest = outcome - basis @ (basis.T @ outcome)
    beta = float(left @ rest / (left @ left))
    variance = float(((rest - beta * left) ** 2).sum() / freedom / (left @ left))
    t = beta / np.sqrt(variance)
    return beta, float(np.sqrt(variance)), float(t), float(stats.t.sf(t, freedom))
