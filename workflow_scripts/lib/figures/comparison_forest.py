"""Every representation against one reference, task by task: difference, interval, and both kinds of p beside them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.panels import AXES, against, choose_reference, grid, name_rows, write_p

COLUMNS = 2
ROW = 0.21
OFFSET = 0.2  # of the two intervals, in rows
LIMIT = 0.05
TURNED = ["difference", "heldout_difference"]
MIRRORED = [(f"lower{end}", f"upper{end}") for end in ("", "_delong", "_percentile")]
# swaps rather than DeLong: with a dozen people DeLong's p is far too small
TEXTS = {"publ.": "p_permutation_holm", "pool t": "p_corrected_holm", "people": "p_swap_holm"}
PLACES = (1.12, 1.29, 1.46)  # of the columns of text, in widths of the panel


def _write(axes: Axes, place: float, row: pd.Series) -> None:
    """Write the three p-values of a row; those below the limit in bold."""
    for x, p in zip(PLACES, row[list(TEXTS.values())], strict=True):
        look = {"fontsize": 6, "ha": "right", "va": "center", "transform": axes.get_yaxis_transform()}
        axes.text(x, place, write_p(p), fontweight="bold" if p < LIMIT else "normal", **look)


def _panel(axes: Axes, rows: pd.DataFrame, title: str, names: list[str]) -> None:
    metric, first = rows["metric"].iloc[0], rows.iloc[0]
    people = "delong" if metric == "auc" else "percentile"
    axes.axvline(0, color=style.GREY, linewidth=0.8, zorder=0)
    for place, name in enumerate(names):
        row = rows[rows["other"] == name]
        if row.empty:
            continue
        row, look = row.iloc[0], {"color": style.colour(name), "zorder": 2}
        axes.hlines(place - OFFSET, row["lower"], row["upper"], linewidth=2.2, **look)
        axes.plot(row["difference"], place - OFFSET, style.marker(name), markersize=4.5, **look)
        axes.hlines(place + OFFSET, row[f"lower_{people}"], row[f"upper_{people}"], linewidth=0.9, **look)
        axes.plot(row["heldout_difference"], place + OFFSET, "o", markersize=3, markerfacecolor="white", **look)
        _write(axes, place, row)
    for x, heading in zip(PLACES, TEXTS, strict=True):
        look = {"fontsize": 6, "ha": "right", "va": "bottom", "color": style.GREY, "transform": axes.transAxes}
        axes.text(x, 1.02, heading, **look)
    counts = f"{first['n_participants']:.0f} people, {first['n_scans']:.0f} scans, {first['n_resamples']:.0f} resamples"
    axes.set_title(title, loc="left", pad=13)
    axes.text(0, 1.02, counts, transform=axes.transAxes, fontsize=6.5, color=style.GREY, va="bottom")
    axes.set_xlabel(f"Difference of {AXES[metric]}", labelpad=1)
    ends = rows[["difference", "heldout_difference", "lower", "upper", f"lower_{people}", f"upper_{people}"]]
    span = np.nanmax(np.abs(ends.to_numpy(dtype=float)), initial=0.01)
    axes.set_xlim(-1.06 * span, 1.06 * span)


def _legend(figure: Figure, reference: str, level: float) -> None:
    handles = [
        Line2D([], [], color=style.GREY, marker="o", markersize=4.5, linewidth=2.2),
        Line2D([], [], color=style.GREY, marker="o", markersize=3, markerfacecolor="white", linewidth=0.9),
    ]
    percent = f"{100 * level:.0f}%"
    labels = [
        f"mean difference over resamples, {percent} pool-corrected interval of the population",
        f"difference of mean held-out scores, {percent} interval over people (DeLong; R²: bootstrap)",
    ]
    title = (
        f"Right of 0: better than {style.label(reference)}. p after Holm within the task, below {LIMIT} in bold:\n"
        "publ., permutation as published (this pool of people only); pool t, corrected t; people, swaps within people"
    )
    figure.legend(handles, labels, loc="outside lower center", ncols=1, title=title, title_fontsize=7)


def draw(comparisons: pd.DataFrame, titles: dict[str, str], reference: str = "features", level: float = 0.95) -> Figure:
    """Draw one panel a task, one row a representation that is not the reference.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        Schema ``comparisons``, all pairs; those without the reference are not drawn.
    titles : dict
        Task -> title of its panel; the task's name where none is given.
    reference : str
        What the others are compared with; the first representation if it is not in the table.
    level : float
        Coverage of the intervals, for the legend.

    Returns
    -------
    matplotlib.figure.Figure
    """
    reference = choose_reference(comparisons, reference)
    table = against(comparisons, reference, TURNED, MIRRORED)
    tasks, names = list(table["task"].unique()), list(table["other"].unique())
    figure, panels = grid(len(tasks), len(names), COLUMNS, 4.1 * min(COLUMNS, len(tasks)), ROW, panel=0.62, foot=0.7)
    for place, (task, axes) in enumerate(zip(tasks, panels, strict=True)):
        _panel(axes, table[table["task"] == task], titles.get(task, task), names)
        name_rows(axes, names, shown=place % COLUMNS == 0)
    figure.get_layout_engine().set(wspace=0.05)
    _legend(figure, reference, level)
    return figure
