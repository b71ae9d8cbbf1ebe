"""ROC curves of the selected model of each weights with bands, and the intervals of their AUCs, by dataset."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.factor_boxes import Titles, deal, handles_of, legend, name_of
from workflow_scripts.lib.study.errors import StudyError

# method -> words and width of line
METHODS = {
    "bootstrap": ("draws of groups", 3.0),
    "delong": ("DeLong", 1.5),
    "logit": ("DeLong on log odds", 0.8),
}
OFFSET = 0.22  # of the three intervals of a row
KEYS = ["grid", "dataset"]
BAND = 0.15


def source_table(roc: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    roc, intervals : pandas.DataFrame
        Schemas ``grid_roc`` and ``grid_intervals`` with a column grid.

    Returns
    -------
    pandas.DataFrame
        grid, dataset, weights, cell, quantity (``sensitivity`` or ``auc``), fpr (of a sensitivity), split and method
        (of an AUC), value, lower, upper.
    """
    curve = roc.rename(columns={"tpr": "value"}).assign(quantity="sensitivity", split=pd.NA, method=pd.NA)
    ends = intervals.rename(columns={"auc": "value"}).assign(quantity="auc", fpr=float("nan"))
    columns = [*KEYS, "weights", "cell", "quantity", "fpr", "split", "method", "value", "lower", "upper"]
    return pd.concat([curve[columns], ends[columns]], ignore_index=True)


def _curves(axes: Axes, rows: pd.DataFrame, looks: dict[str, dict]) -> None:
    """Draw the curves of one dataset."""
    axes.plot([0, 1], [0, 1], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    count = rows["weights"].nunique()
    for place, (weights, some) in enumerate(rows.groupby("weights", sort=False)):
        some, colour = some.sort_values(["fpr", "tpr"]), looks[weights]["color"]
        axes.fill_between(
            some["fpr"], some["lower"], some["upper"], color=colour, alpha=min(BAND, 0.4 / count), linewidth=0
        )
        axes.plot(some["fpr"], some["tpr"], color=colour, zorder=2)
        # signs stand at places of their own, so that curves that agree do not hide each other
        at = some.iloc[(len(some) * (2 * place + 1)) // (2 * count)]
        axes.plot(at["fpr"], at["tpr"], marker=looks[weights]["marker"], color=colour, markersize=5, zorder=3)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("sensitivity")


def _intervals(axes: Axes, rows: pd.DataFrame, curves: pd.DataFrame, looks: dict[str, dict], titles: Titles) -> None:
    """Draw each weights' AUCs: splits as points, all splits with three intervals, the number beside."""
    names = list(dict.fromkeys([*curves["weights"], *rows["weights"]]))
    for place, weights in enumerate(names):
        look, some = looks[weights], rows[rows["weights"] == weights]
        whole = some[some["split"].astype(str) == "all"]
        single = some[(some["split"].astype(str) != "all") & (some["method"] == "delong")].dropna(subset=["auc"])
        axes.scatter(single["auc"], [place + 0.42] * len(single), s=10, color=look["color"], alpha=0.5, linewidths=0)
        for number, (method, (_, width)) in enumerate(METHODS.items()):
            for row in whole[whole["method"] == method].itertuples():
                height = place + OFFSET * (number - 1)
                axes.hlines(height, row.lower, row.upper, color=look["color"], linewidth=width)
                axes.plot(row.auc, height, look["marker"], color=look["color"], markersize=4)
        own = curves[curves["weights"] == weights]
        if len(own):
            first = own.iloc[0]
            said = f"{first['auc']:.3f}\n[{first['auc_lower']:.3f}, {first['auc_upper']:.3f}]".replace("nan", "–")
            axes.text(1.03, place, said, transform=axes.get_yaxis_transform(), fontsize=6.5, va="center")
    axes.set_yticks(range(len(names)), [name_of(titles, "weights", name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("test AUC, ranks averaged over splits")
    axes.text(1.03, 1.01, "mean of AUCs", transform=axes.transAxes, fontsize=6.5, color=style.GREY, va="bottom")


def _counts(rows: pd.DataFrame) -> str:
    """Say how many are scored over all splits."""
    whole = rows[rows["split"].astype(str) == "all"]
    if whole.empty:
        return ""
    first = whole.iloc[0]
    unit = first["unit"] + ("s" if first["units"] != 1 else "")
    return f"{first['units']:.0f} test {unit}, {first['positives']:.0f} positive, {first['groups']:.0f} groups"


def draw(roc: pd.DataFrame, intervals: pd.DataFrame, titles: Titles | None = None) -> Figure:
    """Draw a row for each grid and dataset: curves with bands, and AUCs with intervals.

    Parameters
    ----------
    roc : pandas.DataFrame
        Schema ``grid_roc`` with a column grid.
    intervals : pandas.DataFrame
        Schema ``grid_intervals`` with a column grid.
    titles : dict of dict, optional
        ``grid``, ``dataset``, ``weights``: name in config -> name in print.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is no curve.
    """
    if roc.empty:
        raise StudyError("no selected model has a ROC curve: each needs both classes among its test images.")
    looks = deal([*roc["weights"], *intervals["weights"]])
    groups = list(roc.groupby(KEYS, sort=False))
    tall = max(3.0, 0.5 + 0.5 * roc.groupby(KEYS)["weights"].nunique().max())
    figure = Figure(figsize=(8.2, tall * len(groups) + 0.7), layout="constrained")
    panels = figure.subplots(len(groups), 2, squeeze=False, width_ratios=[1.1, 1])
    for line, ((grid, dataset), rows) in zip(panels, groups, strict=True):
        own = intervals[(intervals["grid"] == grid) & (intervals["dataset"] == dataset)]
        _curves(line[0], rows, looks)
        _intervals(line[1], own, rows, looks, titles or {})
        line[0].set_title(f"{name_of(titles, 'grid', grid)}: {name_of(titles, 'dataset', dataset)}", loc="left")
        line[1].set_title(_counts(own), loc="left", fontsize=7, color=style.GREY)
    grey = {"color": style.GREY}
    handles = handles_of(looks, titles, "weights", linestyle="-")
    handles.append(Patch(alpha=2 * BAND, label="band over draws of groups", **grey))
    handles += [
        Line2D([], [], linewidth=width, label=f"interval: {words}", **grey) for words, width in METHODS.values()
    ]
    handles.append(Line2D([], [], linestyle="", marker="o", markersize=3, alpha=0.6, label="a split", **grey))
    legend(figure, handles, 4)
    return figure
