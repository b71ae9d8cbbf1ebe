"""Test AUC with groups kept whole and with groups parted: what copies of training images in the test set add."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.errors import StudyError

SIDES = {"groups": "auc_groups", "images": "auc_images"}
COLOURS = {"groups": style.PALETTE["blue"], "images": style.PALETTE["vermillion"]}
WORDS = {"groups": "groups whole", "images": "by image"}
ALL = "all"


def source_table(grouping: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one table.

    Parameters
    ----------
    grouping : pandas.DataFrame
        Schema ``grid_grouping`` with a column ``grid``.

    Returns
    -------
    pandas.DataFrame
        The same rows without those in which nothing was measured, a grid and dataset after the other.

    Raises
    ------
    StudyError
        No grid has cells that differ in their grouping.
    """
    table = grouping.dropna(subset=list(SIDES.values()), how="all")
    if table.empty:
        raise StudyError(
            "no grid compares splits by groups with splits by image. Give a grid the factor grouping: [groups, images] "
            "(radiology.grids), or leave the figure out."
        )
    first = ["grid", "dataset", "cell", "cell_images", "split"]
    order = table.assign(all=table["cell"] == ALL).sort_values(["grid", "dataset", "all", "cell", "split"])
    return order[[*first, *(column for column in grouping.columns if column not in first)]].reset_index(drop=True)


def _points(axes: Axes, place: float, rows: pd.DataFrame, side: str) -> None:
    """Draw the splits of one side, spread sideways in their order, and the cells' means."""
    values = rows[rows["split"].notna() & (rows["cell"] != ALL)]
    number = values["split"].rank(method="dense").to_numpy() - 1
    spread = (number - number.max() / 2) / max(number.max(), 1) * 0.3 if len(number) else number
    axes.scatter(place + spread, values[SIDES[side]], s=9, color=COLOURS[side], alpha=0.55, linewidths=0, zorder=2)


def _title(rows: pd.DataFrame, words: str) -> str:
    """Name a panel, with the difference of the means, its interval and what leaks."""
    whole = rows[(rows["cell"] == ALL) & rows["split"].isna()]
    whole = whole if len(whole) else rows[rows["split"].isna()].head(1)
    if whole.empty:
        return words
    row = whole.iloc[0]
    ends = f" [{row['lower']:+.3f}, {row['upper']:+.3f}]" if pd.notna(row["lower"]) else ""
    said = f"{words}\n{row['difference']:+.3f}{ends}".replace("-", "−")
    return f"{said}\n{100 * row['leaks']:.0f}% of test images leak" if pd.notna(row["leaks"]) else said


def _panel(axes: Axes, rows: pd.DataFrame, words: str) -> None:
    """Draw one dataset of one grid."""
    for place, side in enumerate(SIDES):
        _points(axes, place, rows, side)
    means = rows[rows["split"].isna()]
    for _, row in means[means["cell"] != ALL].iterrows():
        axes.plot([0, 1], row[list(SIDES.values())].astype(float), color=style.GREY, linewidth=0.6, alpha=0.6, zorder=1)
    for _, row in means[means["cell"] == ALL].iterrows():
        axes.plot([0, 1], row[list(SIDES.values())].astype(float), color="black", marker="_", markersize=16, zorder=3)
    axes.axhline(0.5, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    axes.set_xlim(-0.4, 1.4)
    axes.set_xticks([0, 1], [WORDS[side] for side in SIDES])
    axes.set_title(_title(rows, words), loc="left", fontsize=7.5)
    axes.set_ylabel("test AUC")


def draw(
    table: pd.DataFrame, grids: Mapping[str, str] | None = None, datasets: Mapping[str, str] | None = None
) -> Figure:
    """Draw a panel for each dataset of each grid: splits as points, cells as thin lines, their mean as a thick one.

    Parameters
    ----------
    table : pandas.DataFrame
        As :func:`source_table` gives it.
    grids, datasets : mapping, optional
        Names in print.

    Returns
    -------
    matplotlib.figure.Figure
    """
    grids, datasets = grids or {}, datasets or {}
    kinds = list(table[["grid", "dataset"]].drop_duplicates().itertuples(index=False, name=None))
    several = len({grid for grid, _ in kinds}) > 1
    columns = min(3, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = Figure(figsize=(max(2.9 * columns, 4.6), 2.7 * lines + 0.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(lines, columns, squeeze=False, sharey=True)).ravel()
    for axes, (grid, dataset) in zip(panels, kinds, strict=False):
        rows = table[(table["grid"] == grid) & (table["dataset"] == dataset)]
        words = datasets.get(dataset, dataset)
        _panel(axes, rows, f"{words} ({grids.get(grid, grid)})" if several else words)
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    handles = [Line2D([], [], marker=".", linestyle="", color=style.GREY, label="a split of a cell")]
    handles += [Line2D([], [], color=style.GREY, linewidth=0.6, label="mean of a cell over splits")]
    handles += [Line2D([], [], color="black", label="mean over cells")]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
