"""Genes, open chromatin and expression of the phantom studies; one cell type is planted where causal variants are.

Around the named loci the genes are human ones at their hg19 places; elsewhere they are invented. Each cell type is
active in some genes of its own, has most of its peaks there and expresses them more; the planted one also has peaks at
the causal variants that a study names.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from workflow_scripts.lib.study.files import atomic
from workflow_scripts.lib.study.tables import write_table

CELL_TYPES = ("Astrocytes", "ExcitatoryNeurons", "InhibitoryNeurons", "Microglia", "Oligodendrocytes", "OPCs")
PLANTED = "Oligodendrocytes"
PEAK_WIDTHS = (8_000, 24_000)  # base pairs; wide, since the phantom's variants stand three kilobases apart
GENE_LENGTH, GENE_GAP = 40_000, 35_000  # means of invented genes
ACTIVE_SHARE = 0.12  # of a cell type's genes
FULLNESS = {True: 0.95, False: 0.03}  # chance of a peak in a slot, in active genes and elsewhere
ACTIVE_EXPRESSION = 2.0  # log units above the other genes
NEAR = 10_000  # base pairs around a gene that count as its own
# Protein-coding genes of 17:42.9-45.5, 11:9.1-12.2 and 6:43.4-46.6 Mb (GRCh37): chromosome:start-end strand name
HUMAN = """
17:42980527-42994305 - GFAP,    17:43002077-43025141 - KIF18B,   17:43035360-43186384 + NMT1,
17:43100706-43138499 - DCAKD,   17:43186327-43210721 - PLCD3,    17:43225842-43229466 + HEXIM1,
17:43298811-43324686 + FMNL1,   17:43340486-43394395 - MAP3K14,  17:43471268-43511787 - ARHGAP27,
17:43513266-43568115 - PLEKHM1, 17:43861646-43913194 + CRHR1,    17:43922247-43924433 + SPPL2C,
17:43971748-44105700 + MAPT,    17:44107282-44302755 - KANSL1,   17:44370099-44415160 + LRRC37A,
17:44668035-44834830 + NSF,     17:44839872-44910520 + WNT3,     17:44910567-44964096 + WNT9B,
17:45000441-45052890 + GOSR2,   17:45195069-45266788 - CDC27,    17:45331193-45391109 + ITGB3,
11:9160372-9287506 - DENND5A,   11:9406199-9469674 + IPO7,       11:9481866-9550071 + ZNF143,
11:9595217-9615004 + WEE1,      11:9685624-9774540 + SWAP70,     11:9798323-10326424 - SBF2,
11:10326620-10328944 + ADM,     11:10329860-10529126 + AMPD3,    11:10533220-10562777 - RNF141,
11:10578513-10593200 - LYVE1,   11:10594638-10715535 - IRAG1,    11:10772793-10823172 + CTR9,
11:10833621-10880343 - ZBED5,   11:11292424-11643552 - GALNT18,  11:11862970-11983434 + USP47,
11:11984543-12031316 - DKK3,    11:12115555-12380691 + MICAL2,   6:43395104-43418165 + ABCC10,
6:43543922-43588260 + POLH,     6:43737921-43754224 + VEGFA,     6:44094651-44123256 + TMEM63B,
6:44126548-44152138 + CAPN11,   6:44187290-44201879 + SLC29A1,   6:44213903-44221625 + HSP90AB1,
6:44225903-44233525 - NFKBIE,   6:44266468-44281084 - AARS2,     6:44310387-44347916 + SPATS1,
6:44355443-44418162 + CDC5L,    6:44777054-45345690 - SUPT3H,    6:45295894-45632086 + RUNX2,
6:45866188-46048132 - CLIC5
"""
HUMAN_CHROMS = ("6", "11", "17")


@dataclass(frozen=True)
class Annotations:
    """What the simulation gives.

    Attributes
    ----------
    genes : pandas.DataFrame
        ``gene``, ``chrom``, ``start``, ``end`` (base pairs, from 1, inclusive), ``strand`` (+ or -).
    expression : pandas.DataFrame
        ``gene`` and one column a cell type: mean log expression.
    peaks : dict of pandas.DataFrame
        By cell type: ``chrom``, ``start``, ``end`` (from 0, half-open).
    """

    genes: pd.DataFrame
    expression: pd.DataFrame
    peaks: dict[str, pd.DataFrame]


def simulate(
    variants: pd.DataFrame, causal: pd.DataFrame, random: np.random.Generator, peak_share: float = 0.09
) -> Annotations:
    """Draw genes, peaks and expression for the stretches that variants cover.

    Parameters
    ----------
    variants : pandas.DataFrame
        ``chrom`` (text), ``pos`` (base pairs).
    causal : pandas.DataFrame
        The same of variants that shall lie in a peak of the planted cell type, in a gene where it is active.
    peak_share : float
        Share of the stretches that the peaks of a cell type cover.
    """
    spans = cover(variants)
    genes = draw_genes(spans, random)
    active, peaks = {}, {}
    for name in CELL_TYPES:
        at = causal if name == PLANTED else causal.iloc[:0]
        active[name] = (random.random(len(genes)) < ACTIVE_SHARE) | hit_genes(genes, at)
        peaks[name] = draw_peaks(spans, genes[active[name]], at, peak_share, random)
    level = np.maximum(random.normal(2, 1, len(genes)), 0)
    expression = pd.DataFrame({"gene": genes["gene"]})
    for name in CELL_TYPES:
        noise = random.normal(0, 0.3, len(genes))
        expression[name] = np.maximum(level + ACTIVE_EXPRESSION * active[name] + noise, 0).round(4)
    return Annotations(genes, expression, peaks)


def cover(variants: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Give the first and last position of each autosome's variants."""
    autosomal = variants[variants["chrom"] != "X"]
    ends = autosomal.groupby("chrom", sort=False)["pos"].agg(["min", "max"])
    return {str(chrom): (int(row["min"]), int(row["max"])) for chrom, row in ends.iterrows()}


def human_genes() -> pd.DataFrame:
    """Return the human genes of :data:`HUMAN` (columns of :class:`Annotations`)."""
    rows = []
    for entry in HUMAN.split(","):
        place, strand, name = entry.split()
        chrom, _, span = place.partition(":")
        start, _, end = span.partition("-")
        rows.append((name, chrom, int(start), int(end), strand))
    return pd.DataFrame(rows, columns=["gene", "chrom", "start", "end", "strand"])


def draw_genes(spans: dict[str, tuple[int, int]], random: np.random.Generator) -> pd.DataFrame:
    """Take the human genes of the stretches of :data:`HUMAN_CHROMS` and invent those of the others."""
    human, rows = human_genes(), []
    for chrom, (first, last) in spans.items():
        known = human[(human["chrom"] == chrom) & (human["end"] >= first) & (human["start"] <= last)]
        rows += list(known.itertuples(index=False, name=None))
        place = first + int(random.exponential(GENE_GAP))
        while not len(known) and place < last:
            length = int(np.clip(random.gamma(2, GENE_LENGTH / 2), 2_000, 200_000))
            name = f"PH{chrom}-{sum(row[1] == chrom for row in rows) + 1:02d}"
            rows.append((name, chrom, place, place + length - 1, "+-"[random.integers(2)]))
            place += length + int(random.exponential(GENE_GAP)) + 1
    return pd.DataFrame(rows, columns=human.columns)


def hit_genes(genes: pd.DataFrame, causal: pd.DataFrame) -> np.ndarray:
    """Tell which genes hold a causal variant, or lie next to one that is in none."""
    hit = np.zeros(len(genes), bool)
    for row in causal.itertuples():
        here = np.flatnonzero((genes["chrom"] == str(row.chrom)).to_numpy())
        if len(here):
            start, end = genes["start"].to_numpy()[here], genes["end"].to_numpy()[here]
            away = np.maximum(np.maximum(start - row.pos, row.pos - end), 0)
            hit[here[away == away.min()]] = True
    return hit


def draw_peaks(
    spans: dict[str, tuple[int, int]],
    active: pd.DataFrame,
    at: pd.DataFrame,
    share: float,
    random: np.random.Generator,
) -> pd.DataFrame:
    """Draw peaks that cover a share of the stretches, most of them in active genes, and one at each given place.

    A stretch is cut into slots of equal length, several times as many as peaks are wanted; so peaks never overlap.
    """
    full = ACTIVE_SHARE * FULLNESS[True] + (1 - ACTIVE_SHARE) * FULLNESS[False]
    slot, rows = round(np.mean(PEAK_WIDTHS) * full / share), []
    for chrom, (first, last) in spans.items():
        mine = active.loc[active["chrom"] == chrom, ["start", "end"]].to_numpy()
        wanted = at.loc[at["chrom"].astype(str) == chrom, "pos"].to_numpy()
        for left in range(first - 1, last, slot):
            middle, width = left + slot // 2, int(random.integers(*PEAK_WIDTHS, endpoint=True))
            inside = bool(((mine[:, 0] - NEAR <= middle) & (middle <= mine[:, 1] + NEAR)).any())
            start, kept = left + int(random.integers(max(slot - width, 1))), random.random() < FULLNESS[inside]
            given = wanted[(wanted > left) & (wanted <= left + slot)]
            if len(given):
                rows += [(chrom, int(pos) - width // 2, int(pos) + width // 2) for pos in given]
            elif kept:
                rows.append((chrom, start, start + width))
    return _merge(pd.DataFrame(rows, columns=["chrom", "start", "end"]))


def _merge(peaks: pd.DataFrame) -> pd.DataFrame:
    """Join overlapping peaks; chromosomes stay in order."""
    order = {chrom: place for place, chrom in enumerate(dict.fromkeys(peaks["chrom"]))}
    merged: list[list] = []
    for chrom, start, end in sorted(
        peaks.itertuples(index=False, name=None), key=lambda row: (order[row[0]], *row[1:])
    ):
        if merged and merged[-1][0] == chrom and start <= merged[-1][2]:
            merged[-1][2] = max(merged[-1][2], end)
        else:
            merged.append([chrom, start, end])
    return pd.DataFrame(merged, columns=["chrom", "start", "end"])


def in_peaks(variants: pd.DataFrame, peaks: pd.DataFrame) -> np.ndarray:
    """Tell which variants (``chrom``, ``pos`` from 1) lie in a peak (``start``, ``end`` from 0, half-open)."""
    inside = np.zeros(len(variants), bool)
    chrom, place = variants["chrom"].astype(str).to_numpy(), variants["pos"].to_numpy() - 1
    for name, rows in peaks.groupby("chrom", sort=False):
        mine = np.flatnonzero(chrom == name)
        before = np.searchsorted(rows["start"].to_numpy(), place[mine], side="right") - 1
        ends = rows["end"].to_numpy()
        inside[mine] = (before >= 0) & (place[mine] < ends[np.maximum(before, 0)])
    return inside


def write(annotations: Annotations, genes: str | Path, expression: str | Path, peaks: str | Path) -> None:
    """Write the tables as TSV and the peaks as one BED file a cell type in the folder ``peaks``."""
    write_table(annotations.genes, genes)
    write_table(annotations.expression, expression)
    for name, table in annotations.peaks.items():
        bed = table.assign(chrom="chr" + table["chrom"])
        with atomic(Path(peaks) / f"{name}.bed") as temporary:
            bed.to_csv(temporary, sep="\t", header=False, index=False)
