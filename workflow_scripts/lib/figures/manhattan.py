"""Manhattan and QQ plots of the association (Supplementary Figure 1 of the published study), a row a representation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

WIDTH, ROW_HEIGHT = 7.2, 2.1  # inches
ROOM = 0.022  # least distance of two chromosome labels, share of the axis
DOTS = {"s": 3, "linewidths": 0, "rasterized": True}


def _manhattan(axes: Axes, points: pd.DataFrame, colour: str) -> None:
    pale = tuple(0.5 + 0.5 * part for part in to_rgb(colour))  # chromosomes take turns
    groups = sorted(points.groupby("chrom"), key=lambda item: item[1]["x"].min())
    ticks: dict[float, str] = {}
    span = points["x"].max() - points["x"].min()
    for index, (chrom, here) in enumerate(groups):
        axes.scatter(here["x"], here["observed"], color=pale if index % 2 else colour, **DOTS)
        middle = (here["x"].min() + here["x"].max()) / 2
        if not ticks or middle - max(ticks) > ROOM * span:
            ticks[middle] = chrom
    for level, dashes in (("threshold", "-"), ("suggestive", ":")):
        axes.axhline(-np.log10(points[level].iloc[0]), color=style.GREY, linewidth=0.7, linestyle=dashes, zorder=0)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.set_xlim(points["x"].min() - ROOM / 2 * span, points["x"].max() + ROOM / 2 * span)
    centre = points["x"].min() + span / 2
    leads = points[points["lead"]]
    axes.scatter(leads["x"], leads["observed"], s=16, color="black", marker="D", linewidths=0, zorder=3)
    for lead in leads.itertuples():
        # names run towards the centre, so that none leaves the axes
        side, shift = ("left", 5) if lead.x < centre else ("right", -5)
        place = {"xytext": (shift, 1), "textcoords": "offset points", "ha": side}
        axes.annotate(lead.id, (lead.x, lead.observed), fontsize=6, **place)


def _quantiles(axes: Axes, points: pd.DataFrame, colour: str) -> None:
    far = points["expected"].max()
    axes.plot([0, far], [0, far], color=style.GREY, linewidth=0.7, zorder=0)
    axes.scatter(points["expected"], points["observed"], color=colour, **DOTS)
    axes.text(0.05, 0.95, f"λ = {points['lambda_gc'].iloc[0]:.2f}", transform=axes.transAxes, fontsize=7, va="top")


def draw(table: pd.DataFrame) -> Figure:
    """Draw every representation of a table of points on one scale.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``gwas_points``.

    Returns
    -------
    matplotlib.figure.Figure
        Left the Manhattan plots with leads named, genome-wide significance as a solid line and the suggestive level
        as a dotted one; right the QQ plots with the inflation factor.
    """
    names = list(dict.fromkeys(table["representation"]))
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * len(names) + 0.2), layout="constrained")
    panels = figure.subplots(len(names), 2, squeeze=False, width_ratios=[3.4, 1], sharey=True)
    for (left, right), name in zip(panels, names, strict=True):
        points, colour = table[table["representation"] == name], style.colour(name)
        _manhattan(left, points, colour)
        _quantiles(right, points, colour)
        left.set_title(f"{style.label(name)} ({points['people'].iloc[0]} people)", loc="left")
        left.set_ylabel("−log₁₀ p")
    # room for names above the highest point and the line
    top = max(table["observed"].max(), -np.log10(table["threshold"].min()))
    panels[0, 0].set_ylim(0, 1.15 * top)
    panels[-1, 0].set_xlabel("Chromosome")
    panels[-1, 1].set_xlabel("−log₁₀ p expected")
    return figure
