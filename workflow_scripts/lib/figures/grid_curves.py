"""Loss and validation scores by epoch of the fits with the selected settings, by dataset and weights."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.factor_boxes import Titles, deal, handles_of, honest, legend, name_of
from workflow_scripts.lib.study.errors import StudyError

# panel -> (column, line) of what it shows
PANELS = {
    "loss": {"loss": (0, (2, 1)), "valid_loss": "-"},
    "validation AUC": {"valid_auc": "-"},
    "validation accuracy": {"valid_accuracy": "-"},
}
QUANTITIES = ["loss", "valid_loss", "valid_auc", "valid_accuracy"]
KEYS = ["grid", "dataset", "weights"]
FIT = ["cell", "split", "seed"]
WIDTH = 2.9
HEIGHT = 2.2


def selected(curves: pd.DataFrame, selection: pd.DataFrame) -> pd.DataFrame:
    """Keep the curves of the cell that was selected for each dataset and weights.

    Parameters
    ----------
    curves : pandas.DataFrame
        Schema ``grid_curves``.
    selection : pandas.DataFrame
        Schema ``grid_selection``. Where a dataset was split in both ways, the cells with whole groups are kept.

    Returns
    -------
    pandas.DataFrame
        With columns dataset and weights.
    """
    rows = honest(selection[selection["choice"] == "weights"])
    return rows[["dataset", "weights", "cell"]].merge(curves, on="cell")


def source_table(curves: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    curves : pandas.DataFrame
        Schema ``grid_curves`` of the selected cells, with columns grid, dataset and weights.

    Returns
    -------
    pandas.DataFrame
        grid, dataset, weights, quantity, line (``fit``, or ``median`` of the fits of an epoch), cell, split, seed,
        epoch, chosen (whether the epoch is the one that was kept), value.
    """
    long = curves.melt([*KEYS, *FIT, "epoch", "chosen"], QUANTITIES, var_name="quantity", value_name="value")
    middle = long.groupby([*KEYS, "quantity", "epoch"], sort=False)["value"].median().reset_index()
    table = pd.concat([long.assign(line="fit"), middle.assign(line="median", chosen=False)], ignore_index=True)
    table = table.astype({"split": "Int64", "seed": "Int64", "chosen": bool})
    return table[[*KEYS, "quantity", "line", *FIT, "epoch", "chosen", "value"]]


def _weights(axes: Axes, rows: pd.DataFrame, look: dict, line: object) -> None:
    """Draw one quantity of one weights: each fit thin, its kept epoch marked, the median thick."""
    colour = look["color"]
    fits = rows[rows["line"] == "fit"]
    count = fits.groupby(FIT).ngroups
    alpha = float(np.clip(3 / max(count, 1), 0.15, 0.6))
    for _, fit in fits.groupby(FIT, sort=False):
        axes.plot(fit["epoch"], fit["value"], color=colour, linewidth=0.7, alpha=alpha, linestyle=line, zorder=1)
    kept = fits[fits["chosen"]]
    if line == "-":  # training loss chose no epoch
        axes.scatter(
            kept["epoch"], kept["value"], s=16, color=colour, marker=look["marker"], alpha=0.7, linewidths=0, zorder=2
        )
    middle = rows[rows["line"] == "median"].sort_values("epoch")
    axes.plot(middle["epoch"], middle["value"], color=colour, linewidth=1.8, linestyle=line, zorder=3)


def _row(panels: np.ndarray, rows: pd.DataFrame, looks: dict[str, dict], title: str) -> None:
    """Draw one dataset of one grid."""
    last, first = rows["epoch"].max(), rows["epoch"].min()
    for axes, (words, shown) in zip(panels, PANELS.items(), strict=True):
        for quantity, line in shown.items():
            for weights, look in looks.items():
                some = rows[(rows["quantity"] == quantity) & (rows["weights"] == weights)]
                if some["value"].notna().any():
                    _weights(axes, some, look, line)
        axes.set_ylabel(words)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlim(first - 0.4, last + 0.4)
    panels[0].set_title(title, loc="left")


def draw(curves: pd.DataFrame, titles: Titles | None = None) -> Figure:
    """Draw a row for each grid and dataset: loss, validation AUC and validation accuracy by epoch.

    Parameters
    ----------
    curves : pandas.DataFrame
        Schema ``grid_curves`` of the selected cells, with columns grid, dataset and weights.
    titles : dict of dict, optional
        ``grid``, ``dataset``, ``weights``: name in config -> name in print.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    if curves.empty:
        raise StudyError("no cell of the grids was selected; collect_grid says why in its log.")
    source, looks = source_table(curves), deal(curves["weights"])
    groups = list(source.groupby(["grid", "dataset"], sort=False))
    figure = Figure(figsize=(WIDTH * len(PANELS), HEIGHT * len(groups) + 0.6), layout="constrained")
    panels = figure.subplots(len(groups), len(PANELS), squeeze=False)
    for line, ((grid, dataset), rows) in zip(panels, groups, strict=True):
        _row(line, rows, looks, f"{name_of(titles, 'grid', grid)}: {name_of(titles, 'dataset', dataset)}")
    grey = {"color": style.GREY}
    handles = handles_of(looks, titles, "weights", linestyle="-")
    handles += [
        Line2D([], [], linewidth=1.8, label="median of fits", **grey),
        Line2D([], [], linewidth=0.7, alpha=0.6, label="a fit", **grey),
        Line2D([], [], linewidth=1.2, linestyle=(0, (2, 1)), label="training loss", **grey),
        Line2D([], [], linestyle="", marker="o", markersize=4, label="epoch that was kept", **grey),
    ]
    legend(figure, handles, 6)
    return figure
