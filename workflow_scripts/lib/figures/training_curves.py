"""How training went: one line a location and method over epochs, the image level and whole volumes beside it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.errors import StudyError

ROWS = {
    "loss": "loss",
    "explained": "variance of regional\nfeatures explained",
    "uniformity": "uniformity\n(0: collapse)",
}
COLUMNS = ("method", "level", "location", "epoch")
LEVELS = {"patch": "patch level, one line a location", "image": "image level", "volume": "whole volumes"}


def draw(table: pd.DataFrame) -> Figure:
    """Draw training curves.

    Parameters
    ----------
    table : pandas.DataFrame
        Training logs, one below the other: method, level ('patch', 'image' or 'volume'), location, epoch, and
        any of loss, explained, uniformity. Quantities and levels that no method has are left out.

    Returns
    -------
    matplotlib.figure.Figure
        A column a level, a row a quantity: locations thin, their mean thick. A quantity that a level lacks has no
        panel.

    Raises
    ------
    StudyError
        If the table is empty or lacks a column.
    """
    absent = [column for column in COLUMNS if column not in table.columns]
    if absent or table.empty:
        what = f"lacks column '{absent[0]}'" if absent else "has no row"
        raise StudyError(f"the table of training curves {what}; it needs {', '.join(COLUMNS)}")
    quantities = [name for name in ROWS if name in table.columns and table[name].notna().any()]
    levels = [level for level in LEVELS if level in set(table["level"])]
    methods = list(dict.fromkeys(table["method"]))
    figure = Figure(figsize=(0.8 + 3.2 * len(levels), 0.9 + 1.6 * len(quantities)), layout="constrained")
    axes = figure.subplots(len(quantities), len(levels), squeeze=False, sharex="col")
    for row, quantity in zip(axes, quantities, strict=True):
        row[0].set_ylabel(ROWS[quantity])
        for panel, level in zip(row, levels, strict=True):
            _panel(panel, table[table["level"] == level], quantity)
    for panel, level in zip(axes[0], levels, strict=True):
        panel.set_title(LEVELS[level], fontsize=10)
    for column in axes.T:
        [panel for panel in column if panel.axison][-1].set_xlabel("epoch")
    handles = [Line2D([], [], color=style.colour(method), label=style.label(method)) for method in methods]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)), frameon=False)
    return figure


def _panel(panel: Axes, table: pd.DataFrame, quantity: str) -> None:
    """Draw one quantity at one level: locations thin, their mean thick; no axes where nobody has the quantity."""
    given = table.dropna(subset=[quantity])
    if given.empty:
        panel.set_axis_off()
        return
    for method, rows in given.groupby("method"):
        colour, groups = style.colour(method), rows.groupby("location")
        if groups.ngroups > 1:
            for _, one in groups:
                panel.plot(one["epoch"], one[quantity], color=colour, linewidth=0.5, alpha=0.4)
        mean = rows.groupby("epoch")[quantity].mean()
        # a single epoch makes no line
        marker = style.marker(method) if len(mean) == 1 else None
        panel.plot(mean.index, mean, color=colour, linewidth=1.8, marker=marker)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8, labelbottom=True)
    panel.xaxis.get_major_locator().set_params(integer=True)
