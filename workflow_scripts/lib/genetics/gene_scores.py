"""A score for every gene from the association of its variants, and how far neighbouring genes' scores go together.

The statistic of a gene is the sum of the chi-squares of its variants. Without association the z-scores of the variants
are correlated as their genotypes are, so that the sum is a weighted sum of squares of independent normal numbers, the
weights being the eigenvalues of the genotypes' correlation matrix. Two genes' sums covary with the squared correlations
of their variants.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import linalg, stats

from workflow_scripts.lib.genetics import bed, ld, loci, quadratic, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
COLUMNS = ["gene", "chrom", "start", "end", "variants", "effective", "mac", "people", "statistic", "z", "p"]
PAIRS = ["gene_a", "gene_b", "r"]
KEPT = 0.999  # of a gene's sum of squared correlations, by the components that stand for it in pairs of genes
LEAST_R = 0.01  # pairs of genes below count as independent
LOWEST_Z = -8.0  # where the p-value is 1 to all digits
NEEDED = ["chrom", "pos", "id", "ref", "alt", "a1_freq", "n", "t", "p"]


@dataclass(frozen=True)
class _Gene:
    """What one gene's genotypes say: its variants (ids), eigenvalues, and components x people for pairs."""

    name: str
    middle: float
    ids: list[str]
    eigenvalues: np.ndarray
    squares: float
    components: np.ndarray


def read_chi_squares(paths: dict[str, Path]) -> pd.DataFrame:
    """Read the association of all traits side by side.

    Parameters
    ----------
    paths : dict of pathlib.Path
        By trait: tables of schema ``gwas``.

    Returns
    -------
    pandas.DataFrame
        Variants that every trait has: ``id``, ``chrom``, ``pos``, ``ref``, ``alt``, ``mac`` (minor allele count), ``n``
        and one column of chi-squares a trait.

    Raises
    ------
    StudyError
        If no variant was tested in every trait.
    """
    tables = []
    for trait, path in paths.items():
        table = loci.read_tested(path, NEEDED).drop_duplicates("id").set_index("id")
        # t of few people has wider tails than a normal number: take it by its p-value, unless that underflows
        table[trait] = np.where(table["p"] > 1e-290, stats.chi2.isf(table["p"], 1), table["t"] ** 2)
        tables.append(table)
    first = tables[0]
    mac = 2 * first["n"] * np.minimum(first["a1_freq"], 1 - first["a1_freq"])
    columns = [table[[trait]] for trait, table in zip(paths, tables, strict=True)]
    about = first[["chrom", "pos", "ref", "alt", "n"]].assign(mac=mac)
    joined = pd.concat([about, *columns], axis=1, join="inner")
    if joined.empty:
        raise StudyError("genetics: no variant was tested in every trait; score_genes needs the same variants in all.")
    return joined.reset_index(names="id")


def one_row_a_gene(genes: pd.DataFrame) -> pd.DataFrame:
    """Keep autosomal genes, and the longest record of a name that stands at several places."""
    genes = genes[genes["chrom"].isin([str(number) for number in range(1, 23)])]
    length = (genes["end"] - genes["start"]).rename("length")
    kept = genes.assign(length=length).sort_values("length", ascending=False, kind="stable").drop_duplicates("gene")
    if len(kept) < len(genes):
        LOGGER.info("%d gene names stand at several places; the longest record of each counts", len(genes) - len(kept))
    return kept.drop(columns="length").sort_values(["chrom", "start", "end", "gene"]).reset_index(drop=True)


def some(people: pd.DataFrame, most: int, random: np.random.Generator) -> pd.DataFrame:
    """Draw at most so many people, in their order: correlations of variants need no more."""
    if len(people) <= most:
        return people
    return people.iloc[np.sort(random.choice(len(people), most, replace=False))].reset_index(drop=True)


def score(
    parts: dict[str, Path],
    people: pd.DataFrame,
    genes: pd.DataFrame,
    variants: pd.DataFrame,
    settings: dict,
    folder: Path,
    limits: Limits,
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Score the genes of all parts for every trait.

    Parameters
    ----------
    parts : dict of pathlib.Path
        Genotypes for the correlations of variants, by chromosome or ``all``: the study's or a reference panel's.
    people : pandas.DataFrame
        ``fid``, ``participant_id`` of the people to use; some thousands suffice.
    genes : pandas.DataFrame
        ``gene``, ``chrom``, ``start``, ``end`` (base pairs, from 1, both inside).
    variants : pandas.DataFrame
        Of :func:`read_chi_squares`.
    settings : dict
        ``window_kb`` (variants so far outside a gene count) and ``correlation_mb`` (genes farther apart count as
        independent).
    folder : pathlib.Path
        An empty folder for working files.

    Returns
    -------
    dict of pandas.DataFrame
        By trait, columns :data:`COLUMNS`: ``effective`` is the number of independent variants that would vary as much,
        ``mac`` the mean minor allele count, ``people`` the most that a variant was tested in, ``z`` the normal quantile
        of ``p`` (high: associated).
    pandas.DataFrame
        Columns :data:`PAIRS`: correlation of the scores of neighbouring genes without association, from 0.01 on.

    Raises
    ------
    StudyError
        If no gene has a variant.

    References
    ----------
    .. [1] de Leeuw et al., PLoS Comput Biol 11:e1004219, 2015 (MAGMA: gene analysis, SNP-wise mean model).
    """
    traits = list(variants.columns[variants.columns.get_loc("mac") + 1 :])
    rows, pairs = {trait: [] for trait in traits}, []
    by_id = variants.set_index("id")
    for chrom, here in genes.groupby("chrom", sort=False):
        source = parts.get(str(chrom), parts.get("all"))
        tested = variants[variants["chrom"] == chrom]
        if source is None or tested.empty:
            continue
        prefix = _extract(source, str(chrom), here, people, settings["window_kb"], folder, limits)
        if prefix is None:
            continue
        near: list[_Gene] = []
        for row, gene in _read_genes(prefix, here, tested, settings["window_kb"]):
            found = by_id.loc[gene.ids]
            for trait in traits:
                rows[trait].append(_row(row, gene, found, trait))
            near = [other for other in near if gene.middle - other.middle <= settings["correlation_mb"] * 1e6]
            pairs += _pairs(gene, near)
            near.append(gene)
    if not rows[traits[0]]:
        raise StudyError(
            f"genetics: none of {len(genes)} genes has a tested variant inside (window_kb {settings['window_kb']}). "
            "Check that the gene table and the genotypes are on one build (genetics: build, genes: build)."
        )
    scored = {trait: pd.DataFrame(found, columns=COLUMNS) for trait, found in rows.items()}
    LOGGER.info(
        "%d of %d genes have a tested variant; %d correlated pairs", len(rows[traits[0]]), len(genes), len(pairs)
    )
    return scored, pd.DataFrame(pairs, columns=PAIRS)


def log_p(statistic: float, eigenvalues: np.ndarray) -> float:
    """Return the natural logarithm of the p-value of a sum of chi-squares, given its correlation's eigenvalues."""
    return quadratic.log_tail(statistic, eigenvalues)


def _row(row: object, gene: _Gene, found: pd.DataFrame, trait: str) -> tuple:
    statistic = float(found[trait].sum())
    tail = log_p(statistic, gene.eigenvalues)
    effective = gene.eigenvalues.sum() ** 2 / (gene.eigenvalues**2).sum()
    about = (row.gene, row.chrom, row.start, row.end, len(gene.ids), effective, found["mac"].mean(), found["n"].max())
    return (*about, statistic, max(quadratic.z_of(tail), LOWEST_Z), float(np.exp(tail)))


def _extract(
    source: Path, chrom: str, genes: pd.DataFrame, people: pd.DataFrame, window_kb: float, folder: Path, limits: Limits
) -> Path | None:
    """Write what lies in the genes of a chromosome as a .bed fileset; None if there is nothing."""
    out = folder / f"genes_{chrom}"
    reach = round(1000 * window_kb)
    spans = pd.DataFrame({"chrom": chrom, "start": (genes["start"] - reach).clip(lower=1), "end": genes["end"] + reach})
    spans.to_csv(f"{out}.spans", sep="\t", header=False, index=False)
    tools.write_ids(people, f"{out}.keep")
    arguments = [*tools.genotype_arguments(source), "--chr", chrom, "--keep", f"{out}.keep", "--max-alleles", "2"]
    try:
        tools.run(tools.find("plink2"), [*arguments, "--extract", "bed1", f"{out}.spans", "--make-bed"], out, limits)
    except StudyError as error:
        if "No variants remaining" in str(error):
            return None
        raise
    return out


def _read_genes(
    prefix: Path, genes: pd.DataFrame, tested: pd.DataFrame, window_kb: float
) -> Iterator[tuple[object, _Gene]]:
    """Read one gene's genotypes after the other, along the chromosome."""
    panel = pd.read_csv(f"{prefix}.bim", sep=r"\s+", header=None, names=bed.BIM, dtype={"chrom": str, "id": str})
    panel = ld.match(panel, tested, str(prefix))
    people = len(tools.read_samples(prefix))
    stored = np.memmap(f"{prefix}.bed", np.uint8, "r", offset=len(bed.MAGIC)).reshape(len(panel), -1)
    known = np.flatnonzero(panel["match"].notna())
    known = known[np.argsort(panel["pos"].to_numpy()[known], kind="stable")]
    positions = panel["pos"].to_numpy()[known]
    reach = 1000 * window_kb
    for row in genes.sort_values(["start", "end"]).itertuples(index=False):
        first = np.searchsorted(positions, row.start - reach, "left")
        last = np.searchsorted(positions, row.end + reach, "right")
        if first == last:
            continue
        rows = known[first:last]
        values, varies = standardise(bed.unpack(np.asarray(stored[rows]), people))
        if len(values):
            middle = (row.start + row.end) / 2
            yield row, _decompose(row.gene, middle, panel["match"].to_numpy()[rows[varies]].tolist(), values)


def standardise(calls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give variants mean 0 and variance 1 over people, missing calls the mean.

    Parameters
    ----------
    calls : numpy.ndarray
        variants x people, int8, -1 for missing.

    Returns
    -------
    numpy.ndarray
        Variants that vary x people, float32.
    numpy.ndarray
        bool: which of the variants vary.
    """
    values = calls.astype(np.float32)
    values[calls < 0] = np.nan
    with np.errstate(invalid="ignore"):
        known = (calls >= 0).sum(axis=1, keepdims=True)
        values -= np.nansum(values, axis=1, keepdims=True) / np.maximum(known, 1)
    np.nan_to_num(values, copy=False)
    spread = np.sqrt((values**2).mean(axis=1, keepdims=True))
    varies = spread[:, 0] > 1e-4
    return values[varies] / spread[varies], varies


def _decompose(name: str, middle: float, ids: list[str], values: np.ndarray) -> _Gene:
    """Decompose a gene's genotypes: eigenvalues of its variants' correlation, and components over people."""
    count, people = values.shape
    wide = count > people
    gram = (values.T @ values if wide else values @ values.T).astype(float) / people
    eigenvalues, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
    order = np.argsort(eigenvalues)[::-1]
    eigenvalues = np.maximum(eigenvalues[order], 0)
    power = np.cumsum(eigenvalues**2)
    kept = order[: 1 + int(np.searchsorted(power, KEPT * power[-1]))]
    if wide:  # rows: sqrt(eigenvalue) times unit vectors over people
        components = vectors[:, kept].T * np.sqrt(eigenvalues[: len(kept), None])
    else:
        components = vectors[:, kept].T @ values / np.sqrt(people)
    squares = _unbiased(power[-1], count * count, people)
    return _Gene(name, middle, ids, eigenvalues, squares, components.astype(np.float32))


def _unbiased(squares: float, pairs: int, people: int) -> float:
    """Take out of a sum of squared correlations what chance gives in so few people (1 / people a pair)."""
    return max(float(squares - (pairs - squares) / max(people - 2, 1)), 0.0)


def _pairs(gene: _Gene, near: list[_Gene]) -> list[tuple[str, str, float]]:
    found = []
    for other in near:
        people = gene.components.shape[1]
        cross = float(((gene.components @ other.components.T).astype(float) ** 2).sum())
        cross = _unbiased(cross, len(gene.ids) * len(other.ids), people)
        r = cross / np.sqrt(gene.squares * other.squares) if gene.squares > 0 and other.squares > 0 else 0.0
        if r >= LEAST_R:
            found.append((other.name, gene.name, min(r, 1.0)))
    return found
