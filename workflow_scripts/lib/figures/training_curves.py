"""How self-supervised training went: one line a location and method over epochs, the image level beside it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.study.errors import StudyError

# Okabe and Ito's colours, which all readers can tell apart
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ROWS = {
    "loss": "loss",
    "explained": "variance of regional\nfeatures explained",
    "uniformity": "uniformity\n(0: collapse)",
}
COLUMNS = ("method", "level", "location", "epoch")


def draw(table: pd.DataFrame) -> Figure:
    """Draw training curves.

    Parameters
    ----------
    table : pandas.DataFrame
        Training logs, one below the other: method, level ('patch' or 'image'), location, epoch, and any of
        loss, explained, uniformity. Quantities that no method has are left out.

    Returns
    -------
    matplotlib.figure.Figure
        Left all locations at patch level (thin) and their mean (thick), right the image level.

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
    colours = dict(zip(sorted(table["method"].unique()), COLOURS * 9, strict=False))
    figure = Figure(figsize=(7.2, 0.9 + 1.6 * len(quantities)), layout="constrained")
    axes = figure.subplots(len(quantities), 2, squeeze=False, sharex="col")
    for row, quantity in zip(axes, quantities, strict=True):
        row[0].set_ylabel(ROWS[quantity])
        for panel, level in zip(row, ("patch", "image"), strict=True):
            _panel(panel, table[table["level"] == level], quantity, colours)
    for panel, title in zip(axes[0], ("patch level, one line a location", "image level"), strict=True):
        panel.set_title(title, fontsize=10)
    for panel in axes[-1]:
        panel.set_xlabel("epoch")
    handles = [axes[0][0].plot([], [], color=colour, label=method)[0] for method, colour in colours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=min(6, len(handles)), frameon=False)
    return figure


def _panel(panel: Axes, table: pd.DataFrame, quantity: str, colours: dict[str, str]) -> None:
    """Draw one quantity at one level: locations thin, their mean thick."""
    for method, rows in table.dropna(subset=[quantity]).groupby("method"):
        colour, groups = colours[method], rows.groupby("location")
        if groups.ngroups > 1:
            for _, one in groups:
                panel.plot(one["epoch"], one[quantity], color=colour, linewidth=0.5, alpha=0.4)
        mean = rows.groupby("epoch")[quantity].mean()
        panel.plot(mean.index, mean, color=colour, linewidth=1.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(labelsize=8)
    panel.xaxis.get_major_locator().set_params(integer=True)
