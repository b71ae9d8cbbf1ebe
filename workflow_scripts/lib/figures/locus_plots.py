"""The strongest loci close up (Figure 6c, d of the published study): association by linkage, genes, open chromatin."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style

WIDTH, COLUMNS = 7.2, 2  # inches, loci beside each other
P_HEIGHT, GENE_HEIGHT, PEAK_HEIGHT, MARGIN = 1.55, 0.17, 0.13, 0.75  # inches: an axes, a row, a row, title and axis
LETTER = 0.052  # inches, width of a letter of a gene's name
MOST_ROWS = 8  # of genes; a region with more genes beside each other says how many are left out
THINNEST = 0.004  # share of the axis that a peak fills at least
# LocusZoom's five bins of r2, in colours that colour-blind people can tell apart
BINS = [0.2, 0.4, 0.6, 0.8]
COLOURS = [style.PALETTE[name] for name in ("blue", "sky", "green", "orange", "vermillion")]
UNKNOWN, LEAD, HELD = "#B9B9B9", "#7A2A8C", "#00835F"
MEGA = 1e6


@dataclass(frozen=True)
class Region:
    """One locus of the table: its rows by kind, and how many rows of genes they need."""

    rows: pd.DataFrame
    genes: pd.DataFrame
    dropped: int

    def kind(self, name: str) -> pd.DataFrame:
        """Return the rows of a kind."""
        return self.rows[self.rows["kind"] == name]

    @property
    def first(self) -> pd.Series:
        """What all rows share."""
        return self.rows.iloc[0]


def stack(genes: pd.DataFrame, first: float, last: float, inches: float) -> tuple[pd.DataFrame, int]:
    """Give each gene a row such that neither genes nor their names meet.

    Parameters
    ----------
    genes : pandas.DataFrame
        ``name``, ``start``, ``end``.
    first, last : float
        What the axis shows, in the unit of ``start``.
    inches : float
        Length of the axis.

    Returns
    -------
    placed : pandas.DataFrame
        Genes with ``row`` (0 on top), ``left``, ``right`` (drawn part) and ``middle`` (of the name).
    dropped : int
        Genes for which there was no row.
    """
    ends: list[float] = []
    placed = []
    for gene in genes.sort_values(["start", "end", "name"]).itertuples():
        left, right = max(gene.start, first), min(gene.end, last)
        half = (len(str(gene.name)) + 2) * LETTER / inches * (last - first) / 2
        middle = min(max((left + right) / 2, first + half), last - half)
        row = next((row for row, end in enumerate(ends) if min(left, middle - half) > end), len(ends))
        if row == MOST_ROWS:
            continue
        ends[row : row + 1] = [max(right, middle + half)]
        placed.append((gene.Index, row, left, right, middle))
    table = pd.DataFrame(placed, columns=["index", "row", "left", "right", "middle"]).set_index("index")
    return genes.join(table, how="inner"), len(genes) - len(table)


def _colours(r2: pd.Series) -> list[str]:
    return [UNKNOWN if np.isnan(value) else COLOURS[int(np.searchsorted(BINS, value))] for value in r2]


def _association(axes: Axes, region: Region, points: pd.DataFrame) -> None:
    lead = points["name"] == region.first["lead_id"]
    # the most linked on top
    others = points[~lead].sort_values("r2", na_position="first", kind="stable")
    dots = {"s": 9, "linewidths": 0.3, "edgecolors": "white", "rasterized": True, "zorder": 2}
    axes.scatter(others["start"] / MEGA, others["observed"], color=_colours(others["r2"]), **dots)
    level = -np.log10(points["threshold"].iloc[0])
    axes.axhline(level, color=style.GREY, linewidth=0.7, linestyle=(0, (4, 2)), zorder=1)
    axes.set_ylim(0, 1.22 * max(points["observed"].max(), level))
    for row in points[lead].itertuples():
        axes.scatter(row.start / MEGA, row.observed, s=26, marker="D", color=LEAD, linewidths=0, zorder=4)
        if row.group != row.trait:
            continue  # named once, in the axes of the trait whose lead it is
        right = row.start > (region.first["first"] + region.first["last"]) / 2
        place = {"xytext": (-5 if right else 5, 3), "textcoords": "offset points", "ha": "right" if right else "left"}
        axes.annotate(row.name, (row.start / MEGA, row.observed), fontsize=6.5, color=LEAD, **place)
    axes.set_ylabel("−log₁₀ p")


def _genes(axes: Axes, region: Region) -> None:
    rows = _gene_rows(region)
    axes.set_ylim(rows - 0.4, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(region.kind("peak").empty)
    span = (region.first["last"] - region.first["first"]) / MEGA
    for gene in region.genes.itertuples():
        left, right = gene.left / MEGA, gene.right / MEGA
        axes.plot([left, right], [gene.row, gene.row], color="#303030", linewidth=1.8, solid_capstyle="butt", zorder=2)
        if gene.strand in ("+", "-"):
            tip, mark = (right, 5) if gene.strand == "+" else (left, 4)  # matplotlib's carets, right and left
            shift = 0.006 * span * (1 if gene.strand == "+" else -1)
            axes.plot(tip + shift, gene.row, marker=mark, color="#303030", markersize=3.4, linewidth=0, zorder=2)
        text = {"fontsize": 5.8, "ha": "center", "va": "bottom", "style": "italic", "zorder": 3}
        axes.text(gene.middle / MEGA, gene.row - 0.16, gene.name, **text)
    note = f"{region.dropped} more genes" if region.dropped else "no gene" if region.genes.empty else ""
    axes.text(1, 0, note, transform=axes.transAxes, fontsize=5.8, ha="right", va="bottom", color=style.GREY)
    axes.set_ylabel("Genes", rotation=0, ha="right", va="center")


def _gene_rows(region: Region) -> int:
    return int(region.genes["row"].max()) + 1 if len(region.genes) else 1


def _peaks(axes: Axes, region: Region) -> None:
    table, held = region.kind("peak"), region.kind("overlap")
    names = sorted(table["group"].unique())
    least = THINNEST * (region.first["last"] - region.first["first"]) / MEGA
    for row, name in enumerate(names):
        peaks = table[(table["group"] == name) & table["start"].notna()]
        variants = held.loc[held["group"] == name, "start"].to_numpy(float)
        for peak in peaks.itertuples():
            left, right = (peak.start - 1) / MEGA, peak.end / MEGA
            grown = max(least - (right - left), 0) / 2
            inside = ((variants >= peak.start) & (variants <= peak.end)).any()
            colour = HELD if inside else "#66758C"
            bar = [(left - grown, right - left + 2 * grown)]
            axes.broken_barh(bar, (row - 0.36, 0.72), color=colour, linewidth=0, zorder=3 if inside else 2)
        axes.axhline(row, color="#E3E3E3", linewidth=0.5, zorder=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, fontsize=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_region(parent: SubFigure, region: Region, letter: str) -> None:
    traits = list(dict.fromkeys(region.kind("variant")["group"]))
    own = region.first["trait"]
    traits.sort(key=lambda name: name != own)
    heights = _heights(region)
    panels = parent.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, trait in zip(panels, traits, strict=False):
        points = region.kind("variant")
        _association(axes, region, points[points["group"] == trait])
        if len(traits) > 1:
            axes.text(0.01, 0.97, style.label(trait), transform=axes.transAxes, fontsize=6.5, va="top")
    _genes(panels[len(traits)], region)
    if region.rows["kind"].eq("peak").any():
        _peaks(panels[-1], region)
    for position in region.kind("overlap")["start"].unique():
        for axes in panels:
            axes.axvline(position / MEGA, color=HELD, alpha=0.28, linewidth=1.6, zorder=0.5)
    first = region.first
    panels[-1].set_xlim(first["first"] / MEGA, first["last"] / MEGA)
    panels[-1].ticklabel_format(axis="x", useOffset=False)
    panels[-1].locator_params(axis="x", nbins=5)
    panels[-1].set_xlabel(f"Chromosome {first['chrom']} (Mb)")
    gene = first["nearest_gene"]
    place = f"chr{first['chrom']}" if pd.isna(gene) else ", ".join(_italic(name) for name in gene.split(";"))
    panels[0].set_title(f"$\\bf{{{letter}}}$  {place}, {style.label(own)}", loc="left")
    for axes in panels[:-1]:  # the last one shows positions for all
        axes.tick_params(axis="x", length=0)


def _italic(name: str) -> str:
    """Write a gene's name in italics; its signs are letters, no mathematics."""
    return "$\\it{" + re.sub(r"([_^$%#&{}\\])", r"\\\1", name).replace("-", "\\text{-}") + "}$"


def _heights(region: Region) -> list[float]:
    """Return the height of each axes of a locus, inches."""
    traits = max(region.kind("variant")["group"].nunique(), 1)
    cells = region.kind("peak")["group"].nunique()
    share = 1 if traits == 1 else 0.7
    heights = [share * P_HEIGHT] * traits + [GENE_HEIGHT * (_gene_rows(region) + 0.6)]
    return [*heights, PEAK_HEIGHT * (cells + 0.5)] if cells else heights


def _legend(figure: Figure, peaks: bool) -> None:
    dot = {"marker": "o", "linewidth": 0, "markersize": 4}
    edges = [0.0, *BINS, 1.0]
    handles = [
        Line2D([], [], color=colour, label=f"r² {low:g}–{high:g}", **dot)
        for colour, low, high in zip(COLOURS, edges[:-1], edges[1:], strict=True)
    ]
    handles.append(Line2D([], [], color=UNKNOWN, label="r² unknown", **dot))
    handles.append(Line2D([], [], color=LEAD, marker="D", linewidth=0, markersize=4, label="lead"))
    if peaks:
        handles.append(Line2D([], [], color=HELD, alpha=0.5, linewidth=2, label="significant, in a peak"))
    spacing = {"columnspacing": 1.0, "handletextpad": 0.3, "handlelength": 1.0}
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=6.5, **spacing)


def draw(table: pd.DataFrame) -> Figure:
    """Draw every locus of a table of regions.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``locus_regions``; without rows the figure says that there is no locus.

    Returns
    -------
    matplotlib.figure.Figure
        Each locus: association of every variant, coloured by r2 with the lead; below genes with their strand; below
        the peaks of each cell type. Green: significant variants in a peak, and these peaks.
    """
    if table.empty:
        figure = Figure(figsize=(WIDTH, 1.2))
        text = "No locus: no variant is genome-wide significant for any trait."
        figure.text(0.5, 0.5, text, ha="center", va="center")
        return figure
    columns = min(COLUMNS, table["panel"].nunique())
    regions = []
    for _, rows in table.reset_index(drop=True).groupby("panel"):
        genes, first, last = rows[rows["kind"] == "gene"], rows["first"].iloc[0], rows["last"].iloc[0]
        placed, dropped = stack(genes.astype({"start": float, "end": float}), first, last, WIDTH / columns - 1.0)
        regions.append(Region(rows, placed, dropped))
    lines = [regions[start : start + columns] for start in range(0, len(regions), columns)]
    heights = [max(sum(_heights(region)) for region in line) + MARGIN for line in lines]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
    _legend(figure, table["kind"].eq("peak").any())
    grid = figure.subfigures(len(lines), columns, squeeze=False, height_ratios=heights)
    letters = iter("abcdefghijklmnopqrstuvwxyz" * 4)
    for parents, line in zip(grid, lines, strict=True):
        for parent, region in zip(parents, line, strict=False):
            _draw_region(parent, region, next(letters))
    return figure
