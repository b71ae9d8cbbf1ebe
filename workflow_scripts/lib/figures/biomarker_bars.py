"""Scores of each representation in each task (Figure 2 of the published study, with error bars that mean something).

Two bars that are easily taken for each other are drawn differently and named: the interval of the mean in the
population, which is the error bar, and the spread over resamples, which was published as such and is none.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.panels import AXES, grid, name_rows

CHANCE = {"auc": 0.5, "r2": 0.0, "r2_pool": 0.0}
COLUMNS = 3
BAND = 7  # points, of the spread over resamples


def _limits(rows: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Return the ends of the axis that all tasks with a metric share: they are then compared at a glance."""
    rows = rows[rows["metric"] == metric]
    ends = np.array([rows["lower"], rows["upper"], rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]], dtype=float)
    floor = 0.0 if metric == "auc" else -np.inf
    low, high = max(min(np.nanmin(ends), CHANCE[metric]), floor), min(max(np.nanmax(ends), CHANCE[metric]), 1.0)
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def _panel(axes: Axes, rows: pd.DataFrame, title: str, names: list[str], limits: tuple[float, float]) -> None:
    """Draw one task: for each representation a point, its interval in the population and its sd over resamples."""
    metric, first = rows["metric"].iloc[0], rows.iloc[0]
    axes.axvline(CHANCE[metric], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    for place, name in enumerate(names):
        row = rows[rows["representation"] == name]
        if row.empty:
            continue
        row, colour = row.iloc[0], style.colour(name)
        ends = row["mean"] - row["sd"], row["mean"] + row["sd"]
        axes.hlines(place, *ends, color=colour, linewidth=BAND, alpha=0.25, zorder=1)
        width = [[max(row["mean"] - row["lower"], 0)], [max(row["upper"] - row["mean"], 0)]]
        look = {"color": colour, "capsize": 2.5, "linewidth": 1.2, "markersize": 4.5, "zorder": 2}
        axes.errorbar(row["mean"], place, xerr=width, fmt=style.marker(name), **look)
        number = {"va": "center", "fontsize": 6, "color": style.GREY, "transform": axes.get_yaxis_transform()}
        axes.text(1.01, place, f"{row['mean']:.2f}".replace("-", "−"), **number)
    people = f"{first['n_participants']:.0f} people, {first['n_test']:.0f} left out, {first['n_resamples']:.0f} times"
    axes.set_title(title, loc="left", pad=13)
    axes.text(0, 1.02, people, transform=axes.transAxes, fontsize=6.5, color=style.GREY, va="bottom")
    axes.set_xlim(*limits)
    axes.set_xlabel(AXES[metric], labelpad=1)


def _legend(figure: Figure, level: float) -> None:
    handles = [
        Line2D([], [], color=style.GREY, marker="o", markersize=4.5, linestyle=""),
        Line2D([], [], color=style.GREY, marker="|", markersize=7, linestyle="-", linewidth=1.2),
        Line2D([], [], color=style.GREY, linewidth=BAND, alpha=0.25, solid_capstyle="butt"),
        Line2D([], [], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8),
    ]
    labels = [
        "mean over resamples (number at the right)",
        f"{100 * level:.0f}% interval of the mean in the population, pool-corrected",
        "± 1 sd over resamples, as published (not a standard error)",
        "chance",
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def draw(summary: pd.DataFrame, titles: dict[str, str], level: float = 0.95) -> Figure:
    """Draw one panel a task, one row a representation; bars end where the metric ends, at 0 and 1 for AUC.

    Parameters
    ----------
    summary : pandas.DataFrame
        task, representation, metric, n_resamples, n_participants, n_test, mean, sd, lower, upper (schema
        ``probe_summary``), one metric a task: auc, r2 or r2_pool. Tasks and representations are
        drawn in the order in which they first stand.
    titles : dict
        Task -> title of its panel; the task's name where none is given.
    level : float
        Coverage of lower and upper, for the legend.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tasks, names = list(summary["task"].unique()), list(summary["representation"].unique())
    limits = {metric: _limits(summary, metric) for metric in summary["metric"].unique()}
    figure, panels = grid(len(tasks), len(names), COLUMNS, min(len(tasks), COLUMNS) * 2.1 + 1.2, panel=0.7)
    for place, (task, axes) in enumerate(zip(tasks, panels, strict=True)):
        rows = summary[summary["task"] == task]
        _panel(axes, rows, titles.get(task, task), names, limits[rows["metric"].iloc[0]])
        name_rows(axes, names, shown=place % COLUMNS == 0)
    _legend(figure, level)
    return figure
