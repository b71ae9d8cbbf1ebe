"""How often images are positive against the probability that the selected models give them, by dataset."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.factor_boxes import Titles, deal, legend, name_of
from workflow_scripts.lib.study.errors import StudyError

COLUMNS = 3
HEIGHT = 3.8  # inches of a panel without its legend
ENTRY = 0.17  # of a line of a legend
KEYS = ["grid", "dataset", "weights"]
SOURCE = [*KEYS, "cell", "unit", "bin", "n", "score", "positive", "lower", "upper", "brier"]


def source_table(calibration: pd.DataFrame) -> pd.DataFrame:
    """Return what is drawn: schema ``grid_calibration`` with a column grid, in the order of panels."""
    return calibration[SOURCE].reset_index(drop=True)


def _curve(axes: Axes, counts: Axes, rows: pd.DataFrame, look: dict[str, str]) -> None:
    """Draw one model: shares with their intervals, and under them how many scores each bin holds."""
    rows = rows.sort_values("score")
    bounded = rows.dropna(subset=["lower", "upper"])
    colour = look["color"]
    axes.vlines(bounded["score"], bounded["lower"], bounded["upper"], color=colour, linewidth=0.9, zorder=2)
    axes.plot(rows["score"], rows["positive"], markersize=4.5, zorder=3, **look)
    counts.vlines(rows["score"], 0, rows["n"], color=colour, linewidth=1.2)
    counts.plot(rows["score"], rows["n"], look["marker"], color=colour, markersize=3)


def _panel(part: SubFigure, rows: pd.DataFrame, looks: dict[str, dict], titles: Titles | None) -> None:
    """Draw one dataset of one grid, its legend below."""
    axes, counts = part.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    axes.plot([0, 1], [0, 1], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    handles = []
    for weights, some in rows.groupby("weights", sort=False):
        _curve(axes, counts, some, looks[weights])
        brier = some["brier"].iloc[0]
        words = f"{name_of(titles, 'weights', weights)}, Brier {brier:.3f}"
        handles.append(Line2D([], [], markersize=4.5, label=words, **looks[weights]))
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.tick_params(labelbottom=False)
    counts.set_ylim(0, None)
    counts.set_xlabel("predicted probability")
    units = sorted(set(rows["unit"]))
    counts.set_ylabel(f"{' and '.join(units)}s")
    axes.set_ylabel("share of positives")
    grid, dataset = rows[["grid", "dataset"]].iloc[0]
    axes.set_title(f"{name_of(titles, 'grid', grid)}: {name_of(titles, 'dataset', dataset)}", loc="left")
    part.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=6.5)


def draw(calibration: pd.DataFrame, titles: Titles | None = None) -> Figure:
    """Draw a panel for each grid and dataset: share of positives against the predicted probability, and counts.

    Parameters
    ----------
    calibration : pandas.DataFrame
        Schema ``grid_calibration`` with a column grid.
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
    if calibration.empty:
        raise StudyError("no selected model has scores of test images; compare_grid says why in its log.")
    looks = deal(calibration["weights"])
    groups = list(calibration.groupby(KEYS[:2], sort=False))
    columns = min(COLUMNS, len(groups))
    lines = -(-len(groups) // columns)
    entries = -(-calibration.groupby(KEYS[:2])["weights"].nunique().max() // 2)
    tall = HEIGHT + ENTRY * entries
    figure = Figure(figsize=(max(3.3 * columns, 4.4), tall * lines + 0.4), layout="constrained")
    parts = np.ravel(figure.subfigures(lines, columns, squeeze=False))
    for part, (_, rows) in zip(parts, groups, strict=False):
        _panel(part, rows, looks, titles)
    grey = {"color": style.GREY}
    handles = [
        Line2D([], [], linewidth=0.9, label="interval over draws of groups", **grey),
        Line2D([], [], linewidth=0.8, linestyle=(0, (4, 3)), label="probabilities that are true", **grey),
    ]
    legend(figure, handles)
    return figure
