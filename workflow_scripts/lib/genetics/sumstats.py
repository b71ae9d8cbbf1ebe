"""Summary statistics as LD score regression wants them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from workflow_scripts.lib.study.errors import StudyError

BASES = ["A", "C", "G", "T"]
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))
NEEDED = {"id": str, "ref": str, "alt": str, "a1": str, "a1_freq": float, "n": float, "beta": float, "p": float}
CHUNK = 500_000  # variants in memory at a time, before filters
ID_NAMES = ("SNP", "rsid", "id")  # headers of the column of ids in a list of variants, any case


def read_snps(path: str | Path) -> pd.DataFrame:
    """Read a list of variants to keep, such as HapMap3's.

    Returns
    -------
    pandas.DataFrame
        ``SNP`` and, if the file has them, ``A1`` and ``A2``.

    Raises
    ------
    StudyError
        If no column holds ids.
    """
    try:
        table = pd.read_csv(path, sep=r"\s+", dtype=str, header=None, comment="#")
    except (OSError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise StudyError(f"{path} (genetics: munge: snps): no list of variants ({error}). Correct the path.") from error
    first = [str(cell).lower() for cell in table.iloc[0]]
    named = [first.index(name.lower()) for name in ID_NAMES if name.lower() in first]
    if not named and table.shape[1] > 1:
        raise StudyError(
            f"{path} (genetics: munge: snps): found columns {', '.join(map(str, table.iloc[0]))}; expected a header "
            "with SNP and, if alleles are to be compared, A1 and A2; or one id a line and nothing else."
        )
    if not named:
        return table.set_axis(["SNP"], axis=1)
    columns = {named[0]: "SNP"} | {first.index(name): name.upper() for name in ("a1", "a2") if name in first}
    columns = columns if len(columns) == 3 else {named[0]: "SNP"}
    return table.iloc[1:][list(columns)].rename(columns=columns).reset_index(drop=True)


def _other_strand(alleles: pd.Series) -> pd.Series:
    return alleles.map(COMPLEMENT)


def _differ(table: pd.DataFrame, snps: pd.DataFrame) -> pd.Series:
    """Mark variants whose two alleles are not those of the list, on either strand and in either order."""
    listed = snps.drop_duplicates("SNP").set_index("SNP").reindex(table["id"]).set_index(table.index)
    same = pd.Series(False, table.index)
    for one, two in ((table["a1"], table["a2"]), (_other_strand(table["a1"]), _other_strand(table["a2"]))):
        same |= (one == listed["A1"]) & (two == listed["A2"])
        same |= (one == listed["A2"]) & (two == listed["A1"])
    return ~same


def _screen(
    table: pd.DataFrame, min_maf: float, literal: bool, snps: pd.DataFrame | None
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Apply the filters that look at one variant at a time; also count what each dropped, in their order."""
    table = table.assign(a2=np.where(table["a1"] == table["alt"], table["ref"], table["alt"]))
    counts = {}

    def drop(reason: str, bad: pd.Series) -> None:
        nonlocal table
        counts[reason] = int(bad.sum())
        table = table[~bad]

    drop("missing statistics", table[["p", "beta", "n", "a1_freq"]].isna().any(axis=1))
    if snps is not None:
        drop("not in the list of variants", ~table["id"].isin(snps["SNP"]))
    drop("p outside (0, 1]", (table["p"] <= 0) | (table["p"] > 1))
    drop(f"minor allele frequency below {min_maf:g}", np.minimum(table["a1_freq"], 1 - table["a1_freq"]) < min_maf)
    drop("not a single-base variant", ~(table["a1"].isin(BASES) & table["a2"].isin(BASES)))
    drop("strand-ambiguous alleles", _other_strand(table["a1"]) == table["a2"])
    if literal:
        frequency = table["a1_freq"].where(table["a1"] == table["alt"], 1 - table["a1_freq"])
        drop("reference allele named twice", frequency > 0.5)
    if snps is not None and "A1" in snps:
        drop("alleles differ from the list", _differ(table, snps))
    return table, counts


def _z(table: pd.DataFrame) -> pd.Series:
    """Turn p-values into z-scores with the sign of the effect; from their logarithms where these are known."""
    if "neg_log10_p" in table:
        logs = -np.log(10) * table["neg_log10_p"].to_numpy(float)
    else:
        logs = np.log(table["p"].to_numpy(float))
    # rounding may put p = 1 below 0
    return np.sign(table["beta"]) * np.maximum(-special.ndtri_exp(logs - np.log(2)), 0)


def munge(
    tables: pd.DataFrame | Iterable[pd.DataFrame],
    min_maf: float = 0.01,
    literal: bool = False,
    snps: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Filter results and turn p-values into z-scores, by the rules of LDSC's ``munge_sumstats.py``.

    The other allele is the true one of the variant, whichever of the two the effect is counted for. The published call
    (``--a1 A1 --a2 REF`` on results whose A1 is the rarer allele) makes both alleles equal where the rarer one is REF,
    a fifth of variants, and LDSC then drops these without a word.

    Parameters
    ----------
    tables : pandas.DataFrame or iterable of them
        Columns of schema ``gwas``; results of one trait, whole or in chunks.
    min_maf : float
        Least minor allele frequency.
    literal : bool
        Lose the variants that the published call loses.
    snps : pandas.DataFrame, optional
        Variants to keep, as :func:`read_snps` returns.

    Returns
    -------
    munged : pandas.DataFrame
        ``SNP``, ``A1`` (effect allele), ``A2``, ``Z``, ``N``.
    dropped : pandas.DataFrame
        ``reason``, ``variants``: how many left at each filter, in this order, and how many are left (``kept``).

    Raises
    ------
    StudyError
        If nothing is left.

    References
    ----------
    .. [1] Bulik-Sullivan et al., Nat Genet 47:291, 2015.
    """
    kept, counts = [], {}
    for chunk in [tables] if isinstance(tables, pd.DataFrame) else tables:
        table, dropped = _screen(chunk, min_maf, literal, snps)
        kept.append(table)
        counts = {reason: counts.get(reason, 0) + count for reason, count in dropped.items()}
    table = pd.concat(kept, ignore_index=True)
    repeated = table["id"].duplicated()
    table = table[~repeated]
    few = table["n"] < table["n"].quantile(0.9) / 1.5  # LDSC's rule
    table = table[~few].reset_index(drop=True)
    counts |= {"id repeated": int(repeated.sum()), "few people": int(few.sum()), "kept": len(table)}
    if table.empty:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in counts.items() if count)
        raise StudyError(
            f"munging left no variant ({reasons}). Check the alleles and p-values of the association, and that ids of "
            "genetics: munge: snps are those of the genotypes."
        )
    munged = pd.DataFrame({"SNP": table["id"], "A1": table["a1"], "A2": table["a2"], "Z": _z(table), "N": table["n"]})
    return munged, pd.DataFrame(list(counts.items()), columns=["reason", "variants"])


def read_results(path: str | Path) -> Iterable[pd.DataFrame]:
    """Read a .tsv.gz of schema ``gwas`` in chunks, with the columns that :func:`munge` looks at."""
    wanted = NEEDED | {"neg_log10_p": float}
    options = {"dtype": wanted, "chunksize": CHUNK, "keep_default_na": False, "na_values": ["n/a"]}
    with pd.read_csv(path, sep="\t", usecols=lambda name: name in wanted, **options) as reader:
        yield from reader
