"""How much of the regional features a representation explains, and how much of it they explain."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style

TITLES = {
    "features_from_representation": "Regional features,\nfrom the representation",
    "representation_from_features": "The representation,\nfrom regional features",
}
ALL = "all"
FLOOR = -0.3  # of the axis; a column explained worse than that is drawn on the edge


def _panel(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """Draw a line of strokes, one a column, and below it all columns together with their interval."""
    axes.axvline(0, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    for place, name in enumerate(names):
        some, colour = rows[rows["representation"] == name], style.colour(name)
        single, whole = some[some["feature"] != ALL], some[some["feature"] == ALL].iloc[0]
        here = single["r2"] >= FLOOR
        strokes = {"color": colour, "linestyle": "", "alpha": 0.5}
        axes.plot(single["r2"][here], [place - 0.2] * here.sum(), marker="|", markersize=7, **strokes)
        beyond = (single["r2"] < FLOOR).sum()
        axes.plot([FLOOR] * beyond, [place - 0.2] * beyond, marker="<", markersize=4, **strokes)
        if pd.notna(whole["r2"]):
            low, high = (max(whole[end], FLOOR) for end in ("low", "high"))
            axes.hlines(place + 0.15, low, high, color=colour, linewidth=1.6)
            sign = style.marker(name) if whole["r2"] >= FLOOR else "<"
            axes.plot(max(whole["r2"], FLOOR), place + 0.15, color=colour, marker=sign, markersize=5)
        axes.text(1.07, place, f"{whole['rank']:.0f}", va="center", ha="center", fontsize=7)
    axes.text(1.07, -0.75, "rank", va="center", ha="center", fontsize=7, color=style.GREY)
    axes.set(xlim=(FLOOR - 0.02, 1.01), ylim=(len(names) - 0.5, -0.5), xlabel="R² in people left out")
    axes.set_yticks(range(len(names)), [style.label(name) for name in names])


def draw(explained: pd.DataFrame, level: float = 0.95) -> Figure:
    """Draw one panel a direction, one row a representation.

    Parameters
    ----------
    explained : pandas.DataFrame
        representation, direction, feature (a column, or ``all``), r2, low, high, rank, n_people (schema
        ``explained``). Representations are drawn in the order in which they first stand.
    level : float
        Coverage of low and high, for the legend.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = list(explained["representation"].unique())
    figure = Figure(figsize=(7.2, 0.34 * len(names) + 1.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (direction, title) in zip(panels, TITLES.items(), strict=True):
        rows = explained[explained["direction"] == direction]
        _panel(axes, rows, names)
        axes.set_title(f"{title}, {rows['n_people'].iloc[0]} people", loc="left", pad=12)
    shapes = [{"marker": "|", "markersize": 7, "linestyle": ""}, {"marker": "o", "markersize": 5, "linewidth": 1.6}]
    labels = ["a feature, or a number of the representation", f"all together, {100 * level:.0f}% interval over people"]
    handles = [Line2D([], [], color=style.GREY, **shape) for shape in shapes]
    if (explained["r2"] < FLOOR).any():
        handles.append(Line2D([], [], color=style.GREY, marker="<", markersize=4, linestyle=""))
        labels.append(f"below {FLOOR}".replace("-", "−"))
    handles.append(Line2D([], [], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8))
    labels.append("their mean explains as much")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels) if len(labels) < 4 else 2)
    return figure
