"""Which cell types express the associated genes (Figure 5 of the published study)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

PANEL, ROW, FOOT, HEAD = 1.9, 0.17, 0.55, 0.3  # inches: width of a panel, height of a bar, and room around bars
SIGNIFICANT, OTHER = style.PALETTE["vermillion"], "#B5B5B5"


def _order(table: pd.DataFrame) -> list[str]:
    """Sort cell types by their lowest p over all traits, then by name."""
    lowest = table.groupby("cell_type")["p"].min()
    return sorted(lowest.index, key=lambda name: (np.isnan(lowest[name]), lowest[name], name))


def _panel(axes: Axes, rows: pd.DataFrame, cells: list[str], level: float) -> None:
    rows = rows.set_index("cell_type").reindex(cells)
    places, p = np.arange(len(cells)), rows["p"].to_numpy(float)
    known = ~np.isnan(p)
    heights = -np.log10(np.maximum(p[known], np.finfo(float).tiny))
    marked = rows["significant"].to_numpy()[known] == True  # noqa: E712 (missing is not true)
    axes.barh(places[known], heights, 0.75, color=[SIGNIFICANT if sign else OTHER for sign in marked])
    for place, height, sign in zip(places[known], heights, marked, strict=True):
        if sign:  # colour is not the only sign
            axes.text(height, place, " *", ha="left", va="center", fontsize=8)
    for place in places[~known]:
        axes.text(0, place, " n/a", ha="left", va="center", fontsize=5, color=style.GREY)
    axes.axvline(-np.log10(level / rows["tests"].max()), color="red", linestyle=":", linewidth=1)
    axes.set_ylim(len(cells) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _reason(counts: pd.DataFrame) -> Figure:
    """Draw why there is nothing to show."""
    figure = Figure(figsize=(5.2, 1.1), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    notes = "\n".join(dict.fromkeys(counts["note"].dropna()))
    axes.text(0.5, 0.5, f"Cell types were not tested:\n{notes}", ha="center", va="center", fontsize=7, wrap=True)
    return figure


def draw(table: pd.DataFrame, counts: pd.DataFrame, level: float = 0.05) -> Figure:
    """Draw -log10 p of every cell type, a column of panels a trait and a row a data set.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``expression_cell_types``.
    counts : pandas.DataFrame
        Schema ``expression_counts``; its notes are shown where nothing was tested.
    level : float
        Adjusted p-value of the dotted line.

    Returns
    -------
    matplotlib.figure.Figure
        Bars of significant types in red and with a star, cell types by their lowest p-value.
    """
    if table.empty:
        return _reason(counts)
    traits, sets = list(dict.fromkeys(table["trait"])), list(dict.fromkeys(table["data_set"]))
    orders = [_order(table[table["data_set"] == name]) for name in sets]
    heights = [HEAD + ROW * len(cells) for cells in orders]
    longest = max(len(name) for cells in orders for name in cells)
    size = (0.5 + 0.055 * longest + PANEL * len(traits), FOOT + sum(heights))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(sets), len(traits), squeeze=False, sharex=True, height_ratios=heights)
    for line, name, cells in zip(panels, sets, orders, strict=True):
        for axes, trait in zip(line, traits, strict=True):
            _panel(axes, table[(table["data_set"] == name) & (table["trait"] == trait)], cells, level)
            axes.set_yticks(range(len(cells)), cells if axes is line[0] else [])
            axes.set_title(style.label(trait) if len(sets) == 1 else f"{style.label(trait)}, {name}", loc="left")
    panels[0, 0].set_xlim(0, 1.1 * panels[0, 0].get_xlim()[1])
    for axes in panels[-1]:
        axes.set_xlabel("−log₁₀ p")
    return figure
