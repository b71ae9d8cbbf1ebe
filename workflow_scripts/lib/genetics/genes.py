"""Gene tables in the usual formats, and which genes variants and loci lie in or near."""

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.genetics.build import check_build
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = ["gene", "chrom", "start", "end", "strand"]
MAPPED = {
    "locus": int,
    "gene": str,
    "chrom": str,
    "start": int,
    "end": int,
    "strand": str,
    "distance": int,
    "variants": int,
    "min_p": float,
}
# what files call the builds, in their headers and names
BUILDS = {"hg19": r"GRCh37|hg19|\bb37\b", "hg38": r"GRCh38|hg38|\bb38\b"}
FORMATS = "a table with the header gene, chrom, start, end, strand; GTF; GFF3; BED; or plink's glist"
CODING = "protein_coding"


def read_genes(path: str | Path, declared: str, build: str) -> pd.DataFrame:
    """Read a gene table of any of the usual formats.

    Parameters
    ----------
    path : path
        TSV with a header (``gene``, ``chrom``, ``start``, ``end``, ``strand``), .gtf, .gff3 (GENCODE or Ensembl; gene
        records, protein-coding ones where the file says), .bed (0-based, half-open) or plink's glist (chromosome,
        start, end, name without a header); each also as .gz.
    declared, build : str
        Build of the file as config says, and of the genotypes.

    Returns
    -------
    pandas.DataFrame
        ``gene``, ``chrom`` (without chr), ``start``, ``end`` (base pairs, from 1, both inside), ``strand`` (+, -, or
        . if unknown), along the genome.

    Raises
    ------
    StudyError
        If the builds differ, the file itself names another build, no format fits, or a gene ends before it starts.
    """
    path = Path(path)
    check_build(declared, build, "genes")
    if not path.exists():
        raise StudyError(f"{path}: no such file (genetics: genes: table). Give {FORMATS}; or null for no genes.")
    head = _head(path)
    _check_named_build(path, head, declared)
    table = _reader(path, head)(path)
    return _tidy(table, path)


def _open(path: Path):
    return gzip.open(path, "rt") if path.suffix == ".gz" else path.open()


def _head(path: Path, lines: int = 50) -> list[str]:
    with _open(path) as stream:
        return [line.rstrip("\n") for _, line in zip(range(lines), stream, strict=False)]


def _check_named_build(path: Path, head: list[str], declared: str) -> None:
    words = " ".join([path.name, *(line for line in head if line.startswith("#"))])
    for build, pattern in BUILDS.items():
        if build != declared and re.search(pattern, words, re.IGNORECASE):
            if re.search(BUILDS[declared], words, re.IGNORECASE):
                continue  # lifted files name both
            raise StudyError(
                f"{path}: its name or header says {build}, but genetics: genes: build is {declared}. Correct the key "
                "or give the other file."
            )


def _reader(path: Path, head: list[str]):
    name = path.name.removesuffix(".gz").lower()
    if name.endswith((".gtf", ".gff3", ".gff")):
        return _read_gff
    if name.endswith(".bed"):
        return _read_bed
    first = next((line.split() for line in head if line and not line.startswith("##")), [])
    if {"gene", "chrom", "start", "end"} <= set(first):
        return _read_tsv
    if len(first) == 4 and first[1].isdigit() and first[2].isdigit():
        return _read_glist
    raise StudyError(f"{path}: found a first line '{' '.join(first)[:80]}', expected {FORMATS}.")


def _read_tsv(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, comment="#")
    return table if "strand" in table else table.assign(strand=".")


def _read_glist(path: Path) -> pd.DataFrame:
    names = ["chrom", "start", "end", "gene"]
    return pd.read_csv(path, sep=r"\s+", header=None, names=names, dtype=str, keep_default_na=False).assign(strand=".")


def _read_bed(path: Path) -> pd.DataFrame:
    with _open(path) as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream if not line.startswith(("#", "track", "browser"))]
    rows = [row for row in rows if len(row) >= 4]
    table = pd.DataFrame([(row[3], *row[:3], row[5] if len(row) > 5 else ".") for row in rows], columns=COLUMNS)
    return table.assign(start=pd.to_numeric(table["start"], errors="coerce") + 1)


def _attribute(values: pd.Series, name: str) -> pd.Series:
    """Read one attribute of GTF (name "value") or GFF3 (name=value) records."""
    return values.str.extract(rf'(?:^|;)\s*{name}(?:=|\s+)"?([^";]+)"?', expand=False)


def _read_gff(path: Path) -> pd.DataFrame:
    with _open(path) as stream:
        rows = [fields for line in stream if (fields := line.split("\t"))[2:3] in (["gene"], ["ncRNA_gene"])]
    names = ["chrom", "source", "type", "start", "end", "score", "strand", "phase", "more"]
    table = pd.DataFrame([row[:9] for row in rows], columns=names, dtype=str)
    more = table["more"].str.strip()
    kind = _attribute(more, "gene_type").fillna(_attribute(more, "gene_biotype")).fillna(_attribute(more, "biotype"))
    name = _attribute(more, "gene_name").fillna(_attribute(more, "Name")).fillna(_attribute(more, "gene_id"))
    table = table.assign(gene=name)
    return table[kind == CODING] if kind.notna().any() else table


def _tidy(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    places = table[["start", "end"]].apply(pd.to_numeric, errors="coerce")
    bad = places.isna().any(axis=1) | (places["end"] < places["start"]) | (places["start"] < 1)
    if bad.any():
        row = table[bad].iloc[0]
        raise StudyError(
            f"{path}: gene '{row['gene']}' runs from {row['start']} to {row['end']}; expected whole base pairs from 1, "
            "the end not before the start. Correct or leave out the gene."
        )
    if table.empty:
        raise StudyError(f"{path}: found no gene, expected {FORMATS}.")
    table = table.assign(chrom=table["chrom"].str.removeprefix("chr"), **places.astype(int))
    table = table[COLUMNS].drop_duplicates()
    return table.sort_values(["chrom", "start", "end", "gene"]).reset_index(drop=True)


def distance(position: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return base pairs between positions and genes, 0 inside; all from 1, ends inside; shapes broadcast."""
    return np.maximum(np.maximum(start - position, position - end), 0)


def nearest(variants: pd.DataFrame, genes: pd.DataFrame) -> pd.Series:
    """Name the gene nearest to each variant; several at one distance are joined by ; and none is missing.

    Parameters
    ----------
    variants : pandas.DataFrame
        ``chrom``, ``pos``.
    genes : pandas.DataFrame
        As :func:`read_genes` returns.

    Returns
    -------
    pandas.Series
        Names, with the index of ``variants``.
    """
    groups, names = dict(iter(genes.groupby("chrom"))), []
    for chrom, position in zip(variants["chrom"], variants["pos"], strict=True):
        here = groups.get(chrom)
        if here is None:
            names.append(None)
            continue
        far = distance(position, here["start"].to_numpy(), here["end"].to_numpy())
        names.append(";".join(dict.fromkeys(here["gene"][far == far.min()])))
    return pd.Series(names, variants.index, dtype=object)


def map_genes(candidates: pd.DataFrame, genes: pd.DataFrame, window_kb: float) -> pd.DataFrame:
    """Map the candidates of loci to genes by position.

    Parameters
    ----------
    candidates : pandas.DataFrame
        ``locus``, ``chrom``, ``pos``, ``p``.
    genes : pandas.DataFrame
        As :func:`read_genes` returns.
    window_kb : float
        Reach on both sides of a gene, kilobases (10 in the published study).

    Returns
    -------
    pandas.DataFrame
        One row a locus and gene, along the genome: columns of :data:`MAPPED`; ``distance`` of the nearest candidate
        (base pairs, 0 inside), ``variants`` within reach, and the lowest p of these.
    """
    rows = []
    for (locus, chrom), found in candidates.groupby(["locus", "chrom"]):
        here = genes[genes["chrom"] == chrom]
        reach = window_kb * 1000
        here = here[(here["start"] - reach <= found["pos"].max()) & (here["end"] + reach >= found["pos"].min())]
        for gene in here.itertuples(index=False):
            far = distance(found["pos"].to_numpy(), gene.start, gene.end)
            if (near := far <= reach).any():
                values = (int(far.min()), int(near.sum()), float(found["p"].to_numpy()[near].min()))
                rows.append((locus, *gene, *values))
    table = pd.DataFrame(rows, columns=list(MAPPED))
    return table if rows else pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in MAPPED.items()})


def names_of_loci(mapped: pd.DataFrame, loci: pd.Series) -> pd.Series:
    """Join the names of the genes of each locus by ; (missing where there is none), with the index of ``loci``."""
    joined = mapped.groupby("locus")["gene"].agg(lambda names: ";".join(dict.fromkeys(names)))
    return loci.map(joined)
