"""Manhattan and QQ plots of the association (Supplementary Figure 1 of the published study), a row a trait."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from workflow_scripts.lib.figures import style

WIDTH, ROW_HEIGHT = 7.2, 2.3  # inches
AXES_WIDTH, AXES_HEIGHT = 345, 120  # points of a Manhattan plot, roughly: what the layout leaves
ROOM = 0.022  # least distance of two chromosome labels, share of the axis
DOTS = {"s": 3, "linewidths": 0, "rasterized": True}
MOST_NAMES = 32  # names a row that can be read; the strongest leads have them
LONGEST = 24  # letters of a name; ids of long insertions end in dots
MOST_ROWS = 20  # traits that a page can hold; those with the lowest p-values are shown
FONT, LIFT, LINE = 6, 9, 7.5  # of names: size, distance from their point, distance from each other (points)


def spread(places: np.ndarray, gap: float, low: float, high: float) -> np.ndarray:
    """Move places along a line so far that none is nearer than ``gap`` to the next, and as little as possible.

    Parameters
    ----------
    places : numpy.ndarray
        Sorted.
    gap : float
    low, high : float
        Ends of the line; with more places than fit the gap shrinks.

    Returns
    -------
    numpy.ndarray
        In the same order; the least squares solution (pool adjacent violators).
    """
    count = len(places)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    steps = gap * np.arange(count)
    blocks: list[list[float]] = []  # mean, size
    for value in places - steps:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, size = blocks.pop()
            before = blocks[-1]
            blocks[-1] = [(before[0] * before[1] + mean * size) / (before[1] + size), before[1] + size]
    level = np.concatenate([np.full(int(size), mean) for mean, size in blocks]) if blocks else np.empty(0)
    # moving all within the ends keeps order and gaps
    return np.clip(level, low, high - steps[-1] if count else high) + steps


def name_leads(points: pd.DataFrame, loci: pd.DataFrame | None) -> pd.DataFrame:
    """List the points that get a name: leads of loci by their nearest gene, or leads by position by their id.

    Parameters
    ----------
    points : pandas.DataFrame
        Schema ``gwas_points``, of one trait.
    loci : pandas.DataFrame or None
        ``lead_id``, ``nearest_gene`` of the trait.

    Returns
    -------
    pandas.DataFrame
        ``x``, ``observed``, ``name``, ``gene`` (whether the name is one), by ``x``; the strongest if there are many.
    """
    if loci is None:
        found = points[points["lead"]].assign(name=points["id"], gene=False)
    else:
        genes = loci.drop_duplicates("lead_id").set_index("lead_id")["nearest_gene"]
        found = points[points["id"].isin(genes.index)].drop_duplicates("id")
        names = found["id"].map(genes)
        found = found.assign(name=names.fillna(found["id"]), gene=names.notna())
    short = found["name"].where(found["name"].str.len() <= LONGEST, found["name"].str[: LONGEST - 1] + "…")
    named = found.assign(name=short).nlargest(MOST_NAMES, "observed")
    return named.sort_values("x")[["x", "observed", "name", "gene"]]


def _name(axes: Axes, named: pd.DataFrame, left: float, right: float) -> float:
    """Write names above their points, none over another; gives the top that the axis needs for them."""
    if named.empty:
        return 0.0
    span = right - left
    half = LINE / 2 / AXES_WIDTH * span
    places = spread(named["x"].to_numpy(), LINE / AXES_WIDTH * span, left + half, right - half)
    top = 0.0
    for row, place in zip(named.itertuples(), places, strict=True):
        axes.annotate(
            row.name,
            (row.x, row.observed),
            xytext=((place - row.x) / span * AXES_WIDTH, LIFT),
            textcoords="offset points",
            **{
                "fontsize": FONT,
                "rotation": 90,
                "ha": "center",
                "va": "bottom",
                "style": ("normal", "italic")[row.gene],
            },
            arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": style.GREY, "shrinkA": 0, "shrinkB": 2},
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
        length = LIFT + 0.66 * FONT * len(row.name)
        top = max(top, row.observed / max(1 - length / AXES_HEIGHT, 0.2))
    return top


def _manhattan(axes: Axes, points: pd.DataFrame, colour: str, loci: pd.DataFrame | None) -> None:
    pale = tuple(0.5 + 0.5 * part for part in to_rgb(colour))  # chromosomes take turns
    groups = sorted(points.groupby("chrom"), key=lambda item: item[1]["x"].min())
    ticks: dict[float, str] = {}
    span = points["x"].max() - points["x"].min()
    for index, (chrom, here) in enumerate(groups):
        axes.scatter(here["x"], here["observed"], color=pale if index % 2 else colour, **DOTS)
        middle = (here["x"].min() + here["x"].max()) / 2
        if not ticks or middle - max(ticks) > ROOM * span:
            ticks[middle] = str(chrom)
    for level, dashes in (("threshold", "-"), ("suggestive", ":")):
        axes.axhline(-np.log10(points[level].iloc[0]), color=style.GREY, linewidth=0.7, linestyle=dashes, zorder=0)
    left, right = points["x"].min() - ROOM / 2 * span, points["x"].max() + ROOM / 2 * span
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(left, right)
    leads = points[points["lead"]]
    if loci is not None:  # leads that are in no locus stay hollow
        axes.scatter(leads["x"], leads["observed"], s=12, color="white", marker="D", linewidths=0.5, edgecolors="black")
        leads = points[points["id"].isin(loci["lead_id"])]
    axes.scatter(leads["x"], leads["observed"], s=14, color="black", marker="D", linewidths=0, zorder=3)
    needed = _name(axes, name_leads(points, loci), left, right)
    # room for names above the highest point and the line
    axes.set_ylim(0, max(1.05 * points["observed"].max(), -1.1 * np.log10(points["threshold"].iloc[0]), needed))


def _quantiles(axes: Axes, points: pd.DataFrame, colour: str, ldsc: pd.DataFrame | None) -> None:
    far = points["expected"].max()
    axes.plot([0, far], [0, far], color=style.GREY, linewidth=0.7, zorder=0)
    axes.scatter(points["expected"], points["observed"], color=colour, **DOTS)
    text = f"λ = {points['lambda_gc'].iloc[0]:.2f}"
    if ldsc is not None and len(ldsc) and pd.notna(ldsc["intercept"].iloc[0]):
        text += f"\nLDSC intercept\n{ldsc['intercept'].iloc[0]:.2f} ± {ldsc['intercept_se'].iloc[0]:.2f}"
    axes.text(0.05, 0.97, text, transform=axes.transAxes, fontsize=7, va="top")


def draw(table: pd.DataFrame, loci: pd.DataFrame | None = None, ldsc: pd.DataFrame | None = None) -> Figure:
    """Draw every trait of a table of points, each on its own scale.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``gwas_points``.
    loci : pandas.DataFrame, optional
        ``trait``, ``lead_id``, ``nearest_gene``: leads are named by genes then, and others are hollow.
    ldsc : pandas.DataFrame, optional
        ``trait``, ``intercept``, ``intercept_se`` of LD score regression, shown beside the inflation factor.

    Returns
    -------
    matplotlib.figure.Figure
        Left the Manhattan plots with leads named, genome-wide significance as a solid line and the suggestive level
        as a dotted one; right the QQ plots.
    """
    every = list(dict.fromkeys(table["trait"]))
    strongest = table.groupby("trait", sort=False)["observed"].max().nlargest(MOST_ROWS).index
    names = [name for name in every if name in strongest]
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * len(names) + 0.2), layout="constrained")
    panels = figure.subplots(len(names), 2, squeeze=False, width_ratios=[3.4, 1], sharey="row")
    for (left, right), name in zip(panels, names, strict=True):
        points, colour = table[table["trait"] == name], style.colour(name)
        own, slope = (other if other is None else other[other["trait"] == name] for other in (loci, ldsc))
        _manhattan(left, points, colour, own)
        _quantiles(right, points, colour, slope)
        left.set_title(_title(name, points, own), loc="left")
        left.set_ylabel("−log₁₀ p")
    if len(names) < len(every):
        figure.suptitle(f"The {len(names)} of {len(every)} traits with the lowest p-values", fontsize=9)
    panels[-1, 0].set_xlabel("Chromosome")
    panels[-1, 1].set_xlabel("−log₁₀ p expected")
    return figure


def _title(name: str, points: pd.DataFrame, loci: pd.DataFrame | None) -> str:
    count = int(points["lead"].sum()) if loci is None else loci["lead_id"].nunique()
    hidden = f"; {MOST_NAMES} strongest of {count} named" if count > MOST_NAMES else ""
    return f"{style.label(name)} ({points['people'].iloc[0]} people{hidden})"
