"""Results of associations: what programs write, streamed into one schema, joined over parts and summed up."""

import gzip
import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

LOGGER = logging.getLogger(__name__)
COLUMNS = ["chrom", "pos", "id", "ref", "alt", "a1", "a1_freq", "n", "beta", "se", "t", "p", "neg_log10_p"]
LEAST_P = 1e-307  # a double holds 2.2e-308 in full; lower p-values are written as this, -log10 p as it is
CHUNK = 200_000  # variants in memory at a time
LEVEL = 6  # of compression: 9 takes three times as long for 2% less
ORDER = {str(number): number for number in range(1, 23)} | {"X": 23, "Y": 24, "XY": 25, "MT": 26}


@contextmanager
def gzip_writer(path: str | Path, level: int = LEVEL) -> Iterator[io.TextIOWrapper]:
    """Give a text stream into a .gz file without name and time in its header, made atomically."""
    with (
        atomic(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=level, fileobj=raw, mtime=0) as packed,
        io.TextIOWrapper(packed, "utf-8", newline="\n") as stream,
    ):
        yield stream


def p_columns(neg_log10: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Write -log10 p as the two columns of the schema.

    Returns
    -------
    p, neg_log10_p : numpy.ndarray of str
        ``p`` is never 0: what is below :data:`LEAST_P` stands as it. Missing ones are ``n/a``.
    """
    p = np.maximum(10.0**-neg_log10, LEAST_P)
    missing = np.isnan(neg_log10)
    written = (np.char.mod("%.6g", p), np.char.mod("%.8g", neg_log10))
    return np.where(missing, "n/a", written[0]), np.where(missing, "n/a", written[1])


def neg_log10(text: pd.Series, t: pd.Series | None = None) -> np.ndarray:
    """Take -log10 of p-values that are written out, also of those too low for a float (``3.1e-412``).

    Parameters
    ----------
    text : pandas.Series of str
        p-values; missing ones stay missing.
    t : pandas.Series of str, optional
        Statistics, from which a p-value that is written as 0 is taken (normal approximation).
    """
    p = pd.to_numeric(text).to_numpy(float)
    with np.errstate(divide="ignore"):
        found = -np.log10(p)
    for row in np.flatnonzero(p < LEAST_P):
        mantissa, _, exponent = str(text.iloc[row]).lower().partition("e")
        if float(mantissa) > 0:
            found[row] = -np.log10(float(mantissa)) - float(exponent or 0)
        elif t is not None:
            found[row] = -(np.log(2) + stats.norm.logsf(abs(float(t.iloc[row])))) / np.log(10)
    return np.abs(found)  # -0.0 of p = 1


def write_stream(frames: Iterator[pd.DataFrame], path: str | Path) -> int:
    """Write chunks of results, each checked against schema ``gwas``, as one .tsv.gz.

    Returns
    -------
    int
        Variants with a p-value.
    """
    tested = 0
    with gzip_writer(path) as stream:
        for number, frame in enumerate(frames):
            frame = frame[COLUMNS]
            checked = frame.assign(**{name: frame[name].replace("n/a", None) for name in ("p", "neg_log10_p")})
            tables.check_table(checked, "gwas", str(path))
            frame.to_csv(stream, sep="\t", index=False, header=number == 0, na_rep="n/a", lineterminator="\n")
            tested += int(checked["p"].notna().sum())
    return tested


def read_chunks(
    path: str | Path, separator: str, take: Callable[[pd.DataFrame], pd.DataFrame]
) -> Iterator[pd.DataFrame]:
    """Read a program's table as text, chunk by chunk, each turned into columns of schema ``gwas`` by ``take``."""
    given = {"sep": separator, "dtype": str, "keep_default_na": False, "na_values": ["NA"], "chunksize": CHUNK}
    with pd.read_csv(path, **given) as reader:
        for chunk in reader:
            yield take(chunk)


def read_light(path: str | Path) -> pd.DataFrame:
    """Read of one file of schema ``gwas`` what summary and figure need: 50 bytes a variant instead of 200.

    Returns
    -------
    pandas.DataFrame
        ``chrom`` (category), ``pos`` (int32), ``id``, ``n`` (int32), ``beta``, ``p``, ``neg_log10_p`` (float64).
    """
    kinds = {"chrom": "category", "pos": "int32", "id": "str", "n": "int32"}
    columns = [*kinds, "beta", "p", "neg_log10_p"]
    return pd.read_csv(path, sep="\t", usecols=columns, dtype=kinds, keep_default_na=False, na_values=["n/a"])[columns]


def chromosome_order(chrom: pd.Series) -> pd.Series:
    """Number chromosomes: 1 to 22, then X, Y, XY, MT; unknown names last."""
    return chrom.astype(str).map(ORDER).fillna(99).astype("int8")


def merge(paths: list[Path], target: str | Path) -> pd.DataFrame:
    """Join the results of all parts of a trait, by chromosome and position.

    Parameters
    ----------
    paths : list of pathlib.Path
        A file a part, schema ``gwas``. However the genome is cut, the same bytes are written.
    target : path

    Returns
    -------
    pandas.DataFrame
        See :func:`read_light`.
    """
    light = pd.concat([read_light(path) for path in paths], ignore_index=True)
    light["chrom"] = light["chrom"].astype("category")
    key = chromosome_order(light["chrom"]).to_numpy().astype(np.int64) * 2**32 + light["pos"].to_numpy()
    if (np.diff(key) >= 0).all():
        with gzip_writer(target) as stream:
            for number, path in enumerate(paths):
                with gzip.open(path, "rt", encoding="utf-8") as source:
                    header = source.readline()
                    stream.write(header if number == 0 else "")
                    while block := source.read(2**20):
                        stream.write(block)
        return light
    order = np.argsort(key, kind="stable")
    whole = pd.concat([pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False) for path in paths])
    with gzip_writer(target) as stream:
        whole.iloc[order].to_csv(stream, sep="\t", index=False, lineterminator="\n")
    return light.iloc[order].reset_index(drop=True)


def merge_entered(entered: list[pd.DataFrame]) -> pd.DataFrame:
    """Join the covariates that entered in each part.

    Raises
    ------
    StudyError
        If parts differ.
    """
    first = entered[0]
    for number, table in enumerate(entered[1:], start=2):
        if not table.equals(first):
            raise StudyError(
                f"genetics: covariates or people of part 1 and part {number} differ (gwas/PART/entered.tsv). Remove "
                "the results of rule gwas and run it again with one version of the program."
            )
    return first


def lambda_gc(p: np.ndarray) -> float:
    """Return the genomic inflation factor of p-values: median chi-square over its expectation.

    References
    ----------
    Devlin & Roeder (1999), Biometrics 55:997.
    """
    p = np.asarray(p, float)
    return float(stats.chi2.isf(np.median(p[np.isfinite(p)]), 1) / stats.chi2.ppf(0.5, 1))


def summarise(trait: str, table: pd.DataFrame, threshold: float) -> dict:
    """Sum up the results of a trait: a row of schema ``gwas_summary``.

    Parameters
    ----------
    table : pandas.DataFrame
        See :func:`read_light`.
    threshold : float
        p-value of genome-wide significance.
    """
    tested = table[table["p"].notna()]
    top = tested.loc[tested["neg_log10_p"].idxmax()]
    return {
        "trait": trait,
        "people": int(tested["n"].max()),
        "variants": len(tested),
        "untested": len(table) - len(tested),
        "lambda_gc": lambda_gc(tested["p"].to_numpy()),
        "significant": int((tested["p"] < threshold).sum()),
        "top_id": top["id"],
        "top_chrom": str(top["chrom"]),
        "top_pos": int(top["pos"]),
        "top_beta": float(top["beta"]),
        "top_p": float(top["p"]),
        "top_neg_log10_p": float(top["neg_log10_p"]),
    }


def leads(table: pd.DataFrame, threshold: float, distance: int = 1_000_000) -> pd.DataFrame:
    """Find the strongest variant of each neighbourhood: the lowest p, then the next one that is farther away, ...

    Position only, without linkage: for labels of a figure and a first look; loci proper are clumped by linkage.

    Parameters
    ----------
    table : pandas.DataFrame
        ``chrom``, ``pos``, ``p`` and, if there, ``neg_log10_p``, which tells p-values below the range of floats apart.
    distance : int
        Least distance of two leads on a chromosome, base pairs.
    """
    left = table[table["p"] < threshold]
    strength = left["neg_log10_p"] if "neg_log10_p" in left else -np.log10(left["p"])
    left = left.loc[strength.sort_values(ascending=False, kind="stable").index]
    found = []
    while len(left):
        first = left.iloc[0]
        found.append(first.name)
        left = left[(left["chrom"] != first["chrom"]) | ((left["pos"] - first["pos"]).abs() >= distance)]
    return table.loc[found]
