"""Which locations carry a prediction: what its score loses without each, and what attention goes to each."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.biomarker_bars import AXES

OFFSETS = {"L": -0.17, "R": 0.17}  # left above right
DASHES = (0, (4, 3))
BAND = "#F3F3F3"
READINGS = {"fitted": "probe fitted on all locations", "refitted": "probe fitted again without"}


def _split(location: str) -> tuple[str, str]:
    """Take the side from a name: ("cingulate", "L"); no side is an empty text."""
    region, _, side = location.rpartition("_")
    return (region, side) if side in OFFSETS else (location, "")


def _places(locations: list[str]) -> tuple[list[str], dict[str, float]]:
    """Return the regions in order and the height of each location."""
    regions = list(dict.fromkeys(_split(location)[0] for location in locations))
    heights = {name: regions.index(_split(name)[0]) + OFFSETS.get(_split(name)[1], 0) for name in locations}
    return regions, heights


def _dots(axes: Axes, rows: pd.DataFrame, column: str, places: dict[str, float], colour: str) -> None:
    """Draw filled dots on the left and where there are no sides, hollow ones on the right."""
    right = rows["location"].map(lambda location: _split(location)[1] == "R")
    for some, face in ((rows[~right], colour), (rows[right], "white")):
        look = {"marker": "o", "markersize": 4, "color": colour, "markerfacecolor": face, "zorder": 3}
        axes.plot(some[column], some["location"].map(places), linestyle="", **look)


def _drops(axes: Axes, rows: pd.DataFrame, places: dict[str, float], colour: str) -> None:
    """Draw the drop of one task's score without each location, with its interval."""
    axes.axvline(0, color=style.GREY, linestyle=DASHES, linewidth=0.8, zorder=0)
    axes.hlines(rows["location"].map(places), rows["low"], rows["high"], color=colour, linewidth=1.0)
    _dots(axes, rows, "drop", places, colour)


def _attention(axes: Axes, rows: pd.DataFrame, places: dict[str, float], colour: str) -> None:
    """Draw the share of attention of each location, by two measures, and the share if all had the same."""
    axes.axvline(1 / len(rows), color=style.GREY, linestyle=DASHES, linewidth=0.8, zorder=0)
    axes.plot(rows["rollout"], rows["location"].map(places), "|", color=style.GREY, markersize=5)
    _dots(axes, rows, "attention", places, colour)


def _legend(figure: Figure, level: float) -> None:
    dot = {"color": style.GREY, "marker": "o", "markersize": 4}
    handles = [
        Line2D([], [], linestyle="", **dot),
        Line2D([], [], linestyle="", markerfacecolor="white", **dot),
        Line2D([], [], color=style.GREY, linewidth=1.0),
        Line2D([], [], color=style.GREY, marker="|", markersize=5, linestyle=""),
        Line2D([], [], color=style.GREY, linestyle=DASHES, linewidth=0.8),
    ]
    labels = [
        "left",
        "right",
        f"{100 * level:.0f}% interval of one location's drop, pool-corrected",
        "attention followed through the blocks (roll-out), left above right",
        "no drop; or the same attention to all",
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def draw(importance: pd.DataFrame, titles: dict[str, str], level: float = 0.95) -> Figure:
    """Draw one row a method: a panel a task with the drop of its score, and one with attention.

    Parameters
    ----------
    importance : pandas.DataFrame
        representation and the columns of schema ``region_importance``. Methods, tasks and locations are drawn in the
        order in which they first stand. Attention is the same for all tasks.
    titles : dict
        Task -> title of its panels; the task's name where none is given.
    level : float
        Coverage of low and high, for the legend.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names, tasks = list(importance["representation"].unique()), list(importance["task"].unique())
    regions, places = _places(list(importance["location"].unique()))
    size = (2.0 * (len(tasks) + 1) + 1.4, (0.19 * len(regions) + 0.5) * len(names) + 1.1)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(names), len(tasks) + 1, squeeze=False, sharex="col", sharey=True)
    for axes in panels.flat:
        for place in range(0, len(regions), 2):
            axes.axhspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=-1)
    for line, name in zip(panels, names, strict=True):
        rows, colour = importance[importance["representation"] == name], style.colour(name)
        for axes, task in zip(line, tasks, strict=False):
            _drops(axes, rows[rows["task"] == task], places, colour)
        _attention(line[-1], rows.drop_duplicates("location"), places, colour)
        line[0].set_ylabel(style.label(name), color=colour, fontsize=9)
    for axes, task in zip(panels[0], tasks, strict=False):
        first = importance[importance["task"] == task].iloc[0]
        axes.set_title(f"{titles.get(task, task)}\n{first['n_people']:.0f} people", loc="left")
        panels[-1][tasks.index(task)].set_xlabel(f"Drop of {AXES[first['metric']]}\n({READINGS[first['reading']]})")
    panels[0][-1].set_title("Attention\n(knows no task)", loc="left")
    panels[-1][-1].set_xlabel("Share of the location")
    panels[0][0].set_yticks(range(len(regions)), [region.replace("_", " ") for region in regions])
    panels[0][0].set_ylim(len(regions) - 0.5, -0.5)
    _legend(figure, level)
    return figure
