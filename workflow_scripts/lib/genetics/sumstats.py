"""Summary statistics as LD score regression wants them."""

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.study.errors import StudyError

BASES = ["A", "C", "G", "T"]
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))


def munge(table: pd.DataFrame, min_maf: float = 0.01) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Filter results and turn p-values into z-scores, by the rules of LDSC's ``munge_sumstats.py``.

    The other allele is the true one of the variant, whichever of the two the effect is counted for; naming REF
    instead makes both alleles equal where REF is the effect allele, and LDSC then drops the variant silently.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of schema ``gwas``.
    min_maf : float
        Least minor allele frequency.

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
    other = np.where(table["a1"] == table["alt"], table["ref"], table["alt"])
    table = table.assign(a2=other)
    rows = []

    def drop(reason: str, bad: pd.Series) -> None:
        nonlocal table
        rows.append((reason, int(bad.sum())))
        table = table[~bad]

    drop("missing statistics", table[["p", "beta", "n", "a1_freq"]].isna().any(axis=1))
    drop("p outside (0, 1]", (table["p"] <= 0) | (table["p"] > 1))
    drop(f"minor allele frequency below {min_maf:g}", np.minimum(table["a1_freq"], 1 - table["a1_freq"]) < min_maf)
    drop("not a single-base variant", ~(table["a1"].isin(BASES) & table["a2"].isin(BASES)))
    drop("strand-ambiguous alleles", table["a1"].map(COMPLEMENT) == table["a2"])
    drop("id repeated", table["id"].duplicated())
    least = table["n"].quantile(0.9) / 1.5  # LDSC's rule
    drop("few people", table["n"] < least)
    rows.append(("kept", len(table)))
    dropped = pd.DataFrame(rows, columns=["reason", "variants"])
    if table.empty:
        counts = "; ".join(f"{reason}: {count}" for reason, count in rows[:-1] if count)
        raise StudyError(f"munging left no variant ({counts}). Check the alleles and p-values of the association.")
    z = np.sign(table["beta"]) * np.sqrt(stats.chi2.isf(table["p"], 1))
    munged = pd.DataFrame({"SNP": table["id"], "A1": table["a1"], "A2": table["a2"], "Z": z, "N": table["n"]})
    return munged.reset_index(drop=True), dropped
