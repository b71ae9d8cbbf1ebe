"""Variants in open chromatin of cell types: intersection with BED files of peaks."""

import logging
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd
from scipy import stats

from workflow_scripts.lib.genetics.build import check_build
from workflow_scripts.lib.study.errors import StudyError

LOGGER = logging.getLogger(__name__)
ENDINGS = (".bed", ".bed.gz", ".narrowPeak", ".narrowPeak.gz", ".broadPeak", ".broadPeak.gz")
SKIPPED = ("#", "track", "browser")
OVERLAPS = ["id", "chrom", "pos", "p", "cell_type", "peak_start", "peak_end", "locus"]
NO_EVIDENCE = (
    "naive_p is no evidence of enrichment: linked variants are not independent draws, so that it is far too small; "
    "partitioned heritability (partition_heritability) is the test"
)


def read_peaks(folder: str | Path, declared: str, build: str) -> pd.DataFrame:
    """Read the peaks of every cell type, one BED (or narrowPeak, broadPeak) file each; the file's name names it.

    Parameters
    ----------
    folder : path
    declared, build : str
        Build of the peaks as config says, and of the genotypes.

    Returns
    -------
    pandas.DataFrame
        ``cell_type``, ``chrom`` (without chr), ``start``, ``end``: base pairs as in BED, from 0, the end outside.

    Raises
    ------
    StudyError
        If the builds differ, there is no file, or a line is no interval.
    """
    check_build(declared, build, "peaks")
    files = {path: ending for path in sorted(Path(folder).glob("*")) if (ending := _ending(path))}
    if not files:
        raise StudyError(f"{folder}: no BED file (genetics: peaks: folder). Put one a cell type there ({ENDINGS[0]}).")
    parts = [_read_file(path).assign(cell_type=path.name.removesuffix(end)) for path, end in files.items()]
    return pd.concat(parts, ignore_index=True)[["cell_type", "chrom", "start", "end"]]


def _ending(path: Path) -> str | None:
    return next((end for end in ENDINGS if path.name.endswith(end)), None)


def _read_file(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, names=range(20))
    table = table[~table[0].str.startswith(SKIPPED)]
    places = table[[1, 2]].apply(pd.to_numeric, errors="coerce").set_axis(["start", "end"], axis=1)
    bad = places.isna().any(axis=1) | (places["start"] < 0) | (places["end"] <= places["start"])
    if bad.any():
        row = table[bad].iloc[0]
        raise StudyError(
            f"{path}, line {row.name + 1}: found '{row[0]} {row[1]} {row[2]}', expected chromosome, start and end, "
            "separated by tabs, the start from 0 and below the end. Correct or leave out the line."
        )
    if table.empty:
        raise StudyError(f"{path}: holds no peak. Leave the file out or give the peaks of the cell type.")
    return places.astype(int).assign(chrom=table[0].str.removeprefix("chr"))


def inside(variants: pd.DataFrame, peaks: pd.DataFrame) -> np.ndarray:
    """Mark variants that lie in any of some peaks; bool, one a variant.

    Parameters
    ----------
    variants : pandas.DataFrame
        ``chrom``, ``pos``: base pairs from 1. Base ``pos`` is BED's interval [pos - 1, pos).
    peaks : pandas.DataFrame
        ``chrom``, ``start``, ``end``, as in BED.
    """
    marks = np.zeros(len(variants), bool)
    merged = dict(iter(bioframe.merge(peaks[["chrom", "start", "end"]], min_dist=0).groupby("chrom")))
    for chrom, rows in variants.groupby("chrom").indices.items():
        if chrom in merged:
            places = variants["pos"].to_numpy()[rows]
            starts, ends = (merged[chrom][name].to_numpy() for name in ("start", "end"))
            # of disjoint peaks, only the last one that starts before a base can hold it
            last = np.searchsorted(starts, places - 1, side="right") - 1
            marks[rows] = (last >= 0) & (places <= ends[last])
    return marks


def overlaps(variants: pd.DataFrame, peaks: pd.DataFrame, loci: pd.DataFrame) -> pd.DataFrame:
    """List every pair of a variant and a peak that holds it.

    Parameters
    ----------
    variants : pandas.DataFrame
        ``id``, ``chrom``, ``pos`` (base pairs from 1), ``p``. A variant is where its first base is.
    peaks : pandas.DataFrame
        As :func:`read_peaks` returns.
    loci : pandas.DataFrame
        ``locus``, ``chrom``, ``start``, ``end``, of the same trait.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`OVERLAPS`, the lowest p first; ``peak_start`` and ``peak_end`` as in the BED file (from 0, the
        end outside), ``locus`` missing outside of loci.

    References
    ----------
    .. [1] The published study intersects with ``%over%`` of R's GenomicRanges, whose ranges count from 1.
    """
    places = variants.assign(start=variants["pos"] - 1, end=variants["pos"])
    found = bioframe.overlap(places, peaks, how="inner", suffixes=("", "_peak"))
    found = found.rename(columns={"start_peak": "peak_start", "end_peak": "peak_end", "cell_type_peak": "cell_type"})
    found = found.astype({"peak_start": int, "peak_end": int})
    found["locus"] = locus_of(found, loci)
    order = ["p", "chrom", "pos", "id", "cell_type", "peak_start", "peak_end"]
    return found.sort_values(order)[OVERLAPS].reset_index(drop=True)


def locus_of(variants: pd.DataFrame, loci: pd.DataFrame) -> pd.Series:
    """Say in which locus each variant lies (nullable integers, missing outside)."""
    locus = pd.Series(pd.NA, variants.index, dtype="Int64")
    for row in loci.itertuples():
        held = (variants["chrom"] == row.chrom) & variants["pos"].between(row.start, row.end)
        locus[held] = row.locus
    return locus


def summarise(tested: pd.DataFrame, peaks: pd.DataFrame, nominal: float, threshold: float) -> pd.DataFrame:
    """Count variants in the peaks of each cell type beside what the peaks' share of tested variants lets expect.

    Parameters
    ----------
    tested : pandas.DataFrame
        Every tested variant: ``chrom``, ``pos``, ``p``.
    nominal, threshold : float
        p-values below which a variant counts, and is genome-wide significant.

    Returns
    -------
    pandas.DataFrame
        One row a cell type: ``cell_type``, ``peaks``, ``tested``, ``tested_inside``, ``expected_share`` (inside / all
        tested), ``nominal``, ``variants`` (p below ``nominal`` and inside), ``share``, ``fold`` (share over expected),
        ``significant`` (p below ``threshold`` and inside), ``naive_p`` (hypergeometric, one-sided).

    Notes
    -----
    ``naive_p`` takes variants for independent draws, which linkage makes them not: it is no evidence of enrichment.
    Partitioned heritability is the test.
    """
    low, very_low = (tested["p"] < nominal).to_numpy(), (tested["p"] < threshold).to_numpy()
    rows = []
    for cell_type, mine in peaks.groupby("cell_type"):
        held = inside(tested, mine)
        count, drawn, hits = int(held.sum()), int(low.sum()), int((held & low).sum())
        expected = count / len(tested) if len(tested) else np.nan
        share = hits / drawn if drawn else np.nan
        rows.append(
            {
                "cell_type": cell_type,
                "peaks": len(mine),
                "tested": len(tested),
                "tested_inside": count,
                "expected_share": expected,
                "nominal": drawn,
                "variants": hits,
                "share": share,
                "fold": share / expected if expected else np.nan,
                "significant": int((held & very_low).sum()),
                "naive_p": float(stats.hypergeom.sf(hits - 1, len(tested), count, drawn)),
            }
        )
    if not any(row["tested_inside"] for row in rows):
        names = ", ".join(sorted(peaks["chrom"].unique())[:3])
        raise StudyError(
            f"genetics: peaks: no tested variant lies in a peak of any cell type (chromosomes of peaks: {names}...). "
            "Check that the peaks are on the build of genetics: build."
        )
    return pd.DataFrame(rows)
