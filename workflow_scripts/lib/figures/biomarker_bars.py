"""Sensitivity of each representation in each task (Figure 2 of the published study)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style

AXES = {"auc": "AUC", "r2": "R²", "r2_pool": "R² on pool variance"}
CHANCE = {"auc": 0.5, "r2": 0.0, "r2_pool": 0.0}
COLUMNS = 3


def _panel(axes: Axes, rows: pd.DataFrame, title: str, names: list[str]) -> None:
    """Draw one task: a point, its sd over resamples and its interval for each representation."""
    metric = rows["metric"].iloc[0]
    axes.axhline(CHANCE[metric], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    for place, name in enumerate(names):
        row = rows[rows["representation"] == name]
        if row.empty:
            continue
        row, colour = row.iloc[0], style.colour(name)
        axes.vlines(place, row["lower"], row["upper"], color=colour, linewidth=6, alpha=0.3, zorder=1)
        spread = {"color": colour, "capsize": 3, "linewidth": 1.0, "markersize": 5, "zorder": 2}
        axes.errorbar(place, row["mean"], yerr=row["sd"], fmt=style.marker(name), **spread)
    first = rows.iloc[0]
    axes.set_title(f"{title}\n{first['n_participants']:.0f} people, {first['n_test']:.0f} left out", loc="left")
    axes.set_xticks(range(len(names)), [style.label(name) for name in names], rotation=25, ha="right")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_ylabel(f"{AXES[metric]}\n(mean ± sd over resamples)")
    ends = np.array([rows["lower"], rows["upper"], rows["mean"] - rows["sd"], rows["mean"] + rows["sd"]])
    low, high = min(np.nanmin(ends), CHANCE[metric]), max(np.nanmax(ends), CHANCE[metric])
    margin = 0.06 * (high - low)
    axes.set_ylim(low - margin, min(high, 1.0) + margin)  # neither AUC nor R2 goes above 1


def _legend(figure: Figure, level: float) -> None:
    handles = [
        Line2D([], [], color=style.GREY, marker="o", markersize=5, linestyle=""),
        Line2D([], [], color=style.GREY, marker="|", markersize=9, linestyle="-", linewidth=1.0),
        Line2D([], [], color=style.GREY, linewidth=6, alpha=0.3),
        Line2D([], [], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8),
    ]
    labels = [
        "mean over resamples",
        "± 1 sd over resamples (not a standard error)",
        f"{100 * level:.0f}% interval of the mean, pool-corrected",
        "chance",
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)


def draw(summary: pd.DataFrame, titles: dict[str, str], level: float = 0.95) -> Figure:
    """Draw one panel a task, one point a representation; bars end where the metric ends, at 1.

    Parameters
    ----------
    summary : pandas.DataFrame
        task, representation, metric, n_participants, n_test, mean, sd, lower, upper (schema
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
    columns = min(COLUMNS, len(tasks))
    lines = -(-len(tasks) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.1 * lines + 0.9), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for place, (task, axes) in enumerate(zip(tasks, panels, strict=False)):
        _panel(axes, summary[summary["task"] == task], titles.get(task, task), names)
        if place + columns < len(tasks):  # names only under the lowest panel of a column
            axes.set_xticklabels([])
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    _legend(figure, level)
    return figure
