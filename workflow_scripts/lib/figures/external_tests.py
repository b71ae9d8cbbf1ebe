"""Predicted labels in validation, in new people and in new cohorts, beside a predictor that has seen no image."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style

SETS = {"validation": "validation", "test": "test\n(new people)", "external": "external\n(new cohorts)"}
AXES = {"mae": "mean absolute error", "r": "Pearson's r", "auc": "AUC"}
UNITS = {"age": " (years)", "bmi": " (kg/m²)"}  # of labels that go by these names
CHANCE = {"auc": 0.5, "r": 0.0}
NAIVE = "mae_naive"
# Leonardsen et al. 2025, results: what they report of each label in validation, and in their test set of other cohorts
PUBLISHED = {
    "age": ("mae", {"validation": 2.23, "external": 3.35}),
    "sex": ("auc", {"validation": 0.99, "external": 0.98}),
    "bmi": ("mae", {"validation": 2.38}),
    "handedness": ("auc", {"validation": 0.61}),
    "fluid_intelligence": ("r", {"validation": 0.27}),
    "neuroticism": ("r", {"validation": 0.17}),
}
COLUMNS = 3


def choose_metric(target: str, metrics: list[str]) -> str:
    """Choose what a panel shows: what is published of a target of this name, else AUC, else the absolute error."""
    wanted = PUBLISHED[target][0] if target in PUBLISHED else "auc"
    return wanted if wanted in metrics else "auc" if "auc" in metrics else "mae"


def _points(axes: Axes, rows: pd.DataFrame, places: dict[str, int], shift: float, method: str) -> None:
    """Draw a method's scores in each set, with intervals, and its cohorts beside them."""
    colour = style.colour(method)
    for row in rows[rows["cohort"] == "all"].to_dict("records"):
        where = places[row["set"]] + shift
        if np.isfinite(row["lower"]):
            axes.vlines(where, row["lower"], row["upper"], color=colour, linewidth=1.4, zorder=2)
        axes.plot(where, row["value"], style.marker(method), color=colour, markersize=5, zorder=3)
        words = f"{row['participants']:.0f}"
        axes.annotate(words, (where, 0), (0, 3), ("data", "axes fraction"), "offset points", ha="center", fontsize=5.5)
    cohorts = rows[rows["cohort"] != "all"]
    where = cohorts["set"].map(places) + shift + 0.09
    axes.plot(where, cohorts["value"], ".", color=colour, alpha=0.45, markersize=3, zorder=1)


def _naive(axes: Axes, rows: pd.DataFrame, places: dict[str, int]) -> None:
    """Draw the naive predictor's error in each set, the same for every method."""
    rows = rows[rows["cohort"] == "all"].drop_duplicates("set")
    for row in rows.to_dict("records"):
        ends = places[row["set"]] - 0.38, places[row["set"]] + 0.38
        axes.hlines(row["value"], *ends, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)


def _panel(axes: Axes, rows: pd.DataFrame, target: str, places: dict[str, int], published: bool) -> None:
    metric = choose_metric(target, list(rows["metric"]))
    shown = rows[(rows["metric"] == metric) & rows["value"].notna()]
    methods = list(dict.fromkeys(rows["method"]))
    for place, method in enumerate(methods):
        shift = 0.24 * (place - (len(methods) - 1) / 2)
        _points(axes, shown[shown["method"] == method], places, shift, method)
    if metric == "mae":
        _naive(axes, rows[(rows["metric"] == NAIVE) & rows["value"].notna()], places)
        axes.set_ylim(bottom=0)
    else:
        axes.axhline(CHANCE[metric], color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.9, zorder=0)
    if published and target in PUBLISHED:
        known = {name: value for name, value in PUBLISHED[target][1].items() if name in places}
        axes.plot([places[name] - 0.36 for name in known], list(known.values()), "D", color="black", mfc="none", ms=4)
    for name in set(places) - set(shown["set"]):
        axes.annotate(
            "no labels", (places[name], 0.5), xycoords=("data", "axes fraction"), ha="center", color=style.GREY
        )
    axes.set_title(target.replace("_", " "), loc="left")
    axes.set_ylabel(AXES[metric] + (UNITS.get(target, "") if metric == "mae" else ""))
    axes.set_xticks(list(places.values()), [SETS[name] for name in places])
    axes.set_xlim(-0.55, len(places) - 0.45)
    axes.margins(y=0.12)


def _legend(figure: Figure, methods: list[str], level: float, published: bool) -> None:
    grey = {"color": style.GREY}
    handles = [Line2D([], [], color=style.colour(m), marker=style.marker(m), linestyle="") for m in methods]
    words = [style.label(method) for method in methods]
    handles += [Line2D([], [], linewidth=1.4, **grey), Line2D([], [], marker=".", linestyle="", alpha=0.5, **grey)]
    words += [f"{100 * level:.0f}% interval, participants drawn again", "single cohorts"]
    handles += [Line2D([], [], linestyle=(0, (4, 3)), linewidth=0.9, **grey)]
    words += ["training mean for everybody (MAE), chance (AUC, r)"]
    if published:
        handles += [Line2D([], [], marker="D", color="black", mfc="none", markersize=4, linestyle="")]
        words += ["published, other data (Leonardsen et al.)"]
    figure.legend(handles, words, loc="outside lower center", ncols=2)


def draw(metrics: pd.DataFrame, level: float = 0.95, published: bool = True) -> Figure:
    """Draw a panel a label: scores in validation, in new people and in new cohorts.

    Parameters
    ----------
    metrics : pandas.DataFrame
        ``method`` and the columns of schema ``target_metrics``. Sets other than validation, test and external are not
        drawn; a set that no label has is left out.
    level : float
        Coverage of the intervals, for the legend.
    published : bool
        Whether the published scores of labels of the published names are marked.

    Returns
    -------
    matplotlib.figure.Figure
        Numbers at the foot are participants with the label.
    """
    metrics = metrics[metrics["set"].isin(SETS)]
    targets, methods = (list(dict.fromkeys(metrics[name])) for name in ("target", "method"))
    there = set(metrics.loc[metrics["value"].notna(), "set"]) or {"validation"}
    places = {name: place for place, name in enumerate(name for name in SETS if name in there)}
    columns = max(1, min(COLUMNS, len(targets)))
    lines = max(1, -(-len(targets) // columns))
    figure = Figure(figsize=(2.6 * columns, 2.2 * lines + 0.8), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, target in zip(panels, targets, strict=False):
        _panel(axes, metrics[metrics["target"] == target], target, places, published)
    for axes in panels[len(targets) :]:
        axes.set_axis_off()
    _legend(figure, methods, level, published)
    return figure
