"""Write text tables in the dialects of other programs."""

import contextlib
import gzip
import hashlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.files import atomic

BLOCK = 1 << 20
RS = r"rs\d+"
DNA = r"[ACGT]+"
# programs whose numbers are C doubles read anything smaller as 0 and refuse it
LEAST_P = 1e-300
STATISTICS = ["beta", "se", "a1_freq", "p", "n"]
CHROMOSOMES = {"X": "23", "Y": "24", "XY": "25", "MT": "26", "M": "26"}


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a file for text, compressed if its name ends in .gz; bytes depend on content only, and it appears whole."""
    with atomic(path) as temporary, temporary.open("wb") as raw, contextlib.ExitStack() as stack:
        binary = raw
        if path.suffix == ".gz":
            # level 6 is a third of the time of Python's 9 and a few percent larger
            binary = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6))
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8", newline="\n", write_through=True))


def write_columns(table: pd.DataFrame, path: Path, missing: str = "NA", header: bool = True) -> None:
    """Write a table with tabs.

    Parameters
    ----------
    table : pandas.DataFrame
    path : pathlib.Path
        With .gz it is compressed.
    missing : str
        What stands for a missing value.
    header : bool
        Whether the first line names the columns.
    """
    with open_text(path) as stream:
        table.to_csv(stream, sep="\t", index=False, header=header, na_rep=missing, float_format="%.10g")


def md5(path: Path) -> str:
    """Return the MD5 sum of a file as text."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def word(name: str) -> str:
    """Return a name without white space, which would split a column's name."""
    return re.sub(r"\s+", "_", str(name).strip())


def prepare(table: pd.DataFrame, chromosomes: range = range(1, 24)) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep what every reader of summary statistics understands, sorted by place.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns of schema ``gwas``.
    chromosomes : range
        Numbers of those to keep; X is 23.

    Returns
    -------
    prepared : pandas.DataFrame
        The columns of ``table`` with ``chrom`` as a number, alleles in capitals, ``a2`` (the allele that is not
        ``a1``).
    dropped : dict of int
        Reason -> variants.
    """
    bare = table["chrom"].astype(str).str.removeprefix("chr").str.upper()
    number = pd.to_numeric(bare.replace(CHROMOSOMES), errors="coerce")
    capitals = {name: table[name].str.upper() for name in ("ref", "alt", "a1")}
    other = pd.Series(np.where(capitals["a1"] == capitals["alt"], capitals["ref"], capitals["alt"]), table.index)
    kept = table.assign(chrom=number, a2=other, **capitals)
    dropped: dict[str, int] = {}
    faults = {
        "other chromosomes": ~kept["chrom"].isin(chromosomes),
        "statistics missing": kept[STATISTICS].isna().any(axis=1),
        "alleles not written in A, C, G, T": ~(kept["a1"].str.fullmatch(DNA) & kept["a2"].str.fullmatch(DNA)),
    }
    left = pd.Series(True, table.index)
    for reason, fault in faults.items():
        if count := int((fault & left).sum()):
            dropped[reason] = count
        left &= ~fault
    kept = kept[left]
    kept = kept.assign(chrom=kept["chrom"].astype(int), n=kept["n"].astype(int))
    return kept.sort_values(["chrom", "pos", "ref", "alt"], kind="stable", ignore_index=True), dropped
