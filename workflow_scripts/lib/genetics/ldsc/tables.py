"""What ldsc.py wrote, as rows of the study's tables."""

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.evaluate.adjust import benjamini_hochberg

HERITABILITY = ["trait", "people", "variants", "h2", "se", "lower", "upper", "p", "lambda_gc", "mean_chi2"]
HERITABILITY += ["intercept", "intercept_se", "ratio", "ratio_se", "note"]
CORRELATION = ["trait_a", "trait_b", "rg", "se", "lower", "upper", "p", "gcov_intercept", "note"]
CELL_TYPES = ["trait", "cell_type", "coefficient", "se", "z", "p", "q", "significant", "note"]
PARTITIONED = ["trait", "category", "prop_snps", "prop_h2", "enrichment", "enrichment_se", "enrichment_p", "q", "note"]
NUMBER = r"(-?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"
FEW_VARIANTS = 200_000  # fewer are "almost always bad" in ldsc.py's own words
LEAST_CHI2 = 1.02  # LDSC's advice: with less polygenic signal, correlations are not worth estimating
HALF = stats.norm.isf(0.025)


def _number(pattern: str, text: str, group: int = 1) -> float:
    match = re.search(pattern, text, re.M | re.I)
    return float(match[group]) if match else np.nan


def _interval(value: float, se: float) -> dict[str, float]:
    """Give the 95% interval and the two-sided p-value of a normal estimate; missing where ``se`` is not above 0."""
    if not se > 0 or not np.isfinite(value):
        return {"lower": np.nan, "upper": np.nan, "p": np.nan}
    return {"lower": value - HALF * se, "upper": value + HALF * se, "p": 2 * stats.norm.sf(abs(value / se))}


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def weak(mean_chi2: float) -> str:
    """Say that a trait shows too little signal for LD score regression, if so."""
    return f"mean chi2 below {LEAST_CHI2:g}" if mean_chi2 < LEAST_CHI2 else ""


def heritability_row(trait: str, people: int, variants: int, text: str, failure: str = "") -> dict:
    """Read what ``ldsc.py --h2`` said.

    Parameters
    ----------
    people, variants : int
        Largest number of people of a variant; variants that have a LD score.
    text : str
        Its words.
    failure : str
        Why it has no answer.

    Returns
    -------
    dict
        Keys :data:`HERITABILITY`. ``lower`` and ``upper`` are h2 -+ 1.96 se and may leave 0 to 1; ``ratio`` is
        (intercept - 1) / (mean chi2 - 1), missing if mean chi2 is not above 1; ``note`` says what speaks against it.
    """
    estimate = [_number(rf"^Total Observed scale h2: *{NUMBER} *\({NUMBER}\)", text, group) for group in (1, 2)]
    intercept = [_number(rf"^Intercept: *{NUMBER} *\({NUMBER}\)", text, group) for group in (1, 2)]
    mean = _number(rf"^Mean Chi\^2: *{NUMBER}", text)
    excess = mean - 1 if mean > 1 else np.nan
    used = _number(r"^After merging with regression SNP LD, (\d+) SNPs remain", text)
    row = {"trait": trait, "people": people, "variants": int(used) if np.isfinite(used) else variants}
    row |= {"h2": estimate[0], "se": estimate[1]} | _interval(*estimate)
    row |= {"lambda_gc": _number(rf"^Lambda GC: *{NUMBER}", text), "mean_chi2": mean}
    row |= {"intercept": intercept[0], "intercept_se": intercept[1]}
    row |= {"ratio": (intercept[0] - 1) / excess, "ratio_se": intercept[1] / excess}
    note = _join(
        failure,
        "h2 below 0" if estimate[0] < 0 else "h2 above 1" if estimate[0] > 1 else "",
        weak(mean),
        f"fewer than {FEW_VARIANTS} variants" if row["variants"] < FEW_VARIANTS else "",
    )
    return row | {"note": note}


def correlation_row(trait_a: str, trait_b: str, text: str, failure: str = "") -> dict:
    """Read what ``ldsc.py --rg`` of two traits said.

    Returns
    -------
    dict
        Keys :data:`CORRELATION`; see :func:`heritability_row`.
    """
    _, _, summary = text.partition("Summary of Genetic Correlation Results\n")
    row = pd.Series(dtype=object)
    if summary:
        block = "\n".join(summary.splitlines()[:2])
        row = pd.read_csv(io.StringIO(block), sep=r"\s+").iloc[0]
    rg, se, intercept = (_float(row.get(name)) for name in ("rg", "se", "gcov_int"))
    out = "out of bounds" in text
    cause = re.search(r"\((h2|rg) +out of bounds\)", text)
    note = _join(
        failure,
        f"{cause[1]} out of bounds" if cause and out else "",
        "rg outside -1 to 1" if abs(rg) > 1 and not cause else "",
        "" if failure or np.isfinite(rg) or cause else "no answer",
    )
    limits = _interval(rg, se)
    values = [trait_a, trait_b, rg, se, limits["lower"], limits["upper"], limits["p"], intercept, note]
    return dict(zip(CORRELATION, values, strict=True))


def _float(value: object) -> float:
    number = pd.to_numeric(value, errors="coerce")
    return np.nan if number is None or pd.isna(number) else float(number)


def partitioned_rows(trait: str, out: Path, text: str, categories: tuple[str, ...], failure: str = "") -> pd.DataFrame:
    """Read ``out.results`` of ``ldsc.py --h2 --overlap-annot``.

    Parameters
    ----------
    categories : tuple of str
        Names of its rows, in order; LDSC's own without the file's number if empty.

    Returns
    -------
    pandas.DataFrame
        :data:`PARTITIONED` without ``q``.
    """
    columns = {
        "Prop._SNPs": "prop_snps",
        "Prop._h2": "prop_h2",
        "Enrichment": "enrichment",
        "Enrichment_std_error": "enrichment_se",
        "Enrichment_p": "enrichment_p",
    }
    h2 = _number(rf"^Total Observed scale h2: *{NUMBER}", text)
    note = _join(failure, "h2 not above 0: shares of it say nothing" if h2 <= 0 else "")
    path = Path(f"{out}.results")
    if failure or not path.exists():
        table = pd.DataFrame({"category": categories}).assign(**dict.fromkeys(columns.values(), np.nan))
    else:
        table = pd.read_csv(path, sep="\t").rename(columns=columns)
        named = [re.sub(r"(L2)?_\d+$", "", name) for name in table["Category"]]
        table = table.assign(category=list(categories) or named)[["category", *columns.values()]]
    return table.assign(trait=trait, note=note)


def cell_type_rows(trait: str, out: Path, names: list[str], note: str = "") -> pd.DataFrame:
    """Read ``out.cell_type_results.txt`` of ``ldsc.py --h2-cts``, in which cell type number k is called ``ck``.

    Parameters
    ----------
    note : str
        What speaks against the estimates, or why there are none.

    Returns
    -------
    pandas.DataFrame
        :data:`CELL_TYPES` without ``q`` and ``significant``; a row a name, missing where it was not tested.
    """
    path = Path(f"{out}.cell_type_results.txt")
    table = pd.DataFrame(columns=["Name", "Coefficient", "Coefficient_std_error", "Coefficient_P_value"])
    if path.exists():
        table = pd.read_csv(path, sep="\t")
    table = table.set_index("Name").reindex([f"c{number}" for number in range(len(names))]).astype(float)
    values = table.set_axis(["coefficient", "se", "p"], axis=1).reset_index(drop=True)
    z = values["coefficient"] / values["se"]
    return values.assign(trait=trait, cell_type=names, z=z, note=note)


def adjust(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Add ``q``: p-values of a column adjusted over all rows (Benjamini-Hochberg); missing ones are not counted."""
    return table.assign(q=benjamini_hochberg(table[column].to_numpy(float)))
