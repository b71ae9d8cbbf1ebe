"""Validation and test AUC against how much of the backbone learns, in the order of the parameters that it frees."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.factor_boxes import Titles, deal, handles_of, honest, legend, levels, name_of
from workflow_scripts.lib.figures.learning_curves import spread
from workflow_scripts.lib.study.errors import StudyError

METRICS = {"validation_auc": "validation AUC", "test_auc": "test AUC"}
CHANCE = 0.5
WIDTH = 0.72  # of the distance of two structures, shared by the series
LINES = ["-", (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1))]
UPRIGHT = 3  # structures whose names have room beside each other
SERIES = ["dataset", "weights"]
PANEL = ["grid", "backbone"]


def count(value: float) -> str:
    """Write a number of parameters as people say it: 0, 640, 12.3 k, 23.5 M."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return "–" if pd.isna(value) else f"{value:.0f}"


def source_table(fits: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``, of one grid or several. Grids with one structure are left out if another has more.

    Returns
    -------
    pandas.DataFrame
        grid, backbone, structure, backbone_parameters (of the backbone, that learn), dataset, weights, metric,
        quantity (``fit`` or ``median``), cell, split, seed, auc. The order of rows is that of the structures.
    """
    fits = honest(fits)
    several = fits.groupby("grid", sort=False)["structure"].transform("nunique") > 1
    rows = fits[several] if several.any() else fits
    learning = (rows["trainable"] - rows["parameters"]).astype(float).clip(lower=0)
    # a fit that failed has no counts; those of its structure are known from others
    rows = rows.assign(
        backbone_parameters=learning.groupby([rows[name] for name in [*PANEL, "structure"]]).transform("max")
    )
    keys = [*PANEL, "structure", "backbone_parameters", *SERIES]
    long = rows.melt([*keys, "cell", "split", "seed"], list(METRICS), var_name="metric", value_name="auc")
    middle = long.groupby([*keys, "metric"], sort=False, dropna=False)["auc"].median().reset_index()
    table = pd.concat([long.assign(quantity="fit"), middle.assign(quantity="median")], ignore_index=True)
    table = table.astype({"split": "Int64", "seed": "Int64"}).sort_values("backbone_parameters", kind="stable")
    return table[[*keys, "metric", "quantity", "cell", "split", "seed", "auc"]]


def _series(axes: Axes, rows: pd.DataFrame, places: Mapping[str, int], shift: float, step: float, look: dict) -> None:
    """Draw one dataset and weights: its fits, and the line through their medians."""
    fits = rows[(rows["quantity"] == "fit") & rows["auc"].notna()]
    order = fits.groupby("structure").cumcount()
    # about the middle, so that a fit on its own stands where its median does
    middle = spread(np.arange(order.max() + 1)).mean() if len(order) else 0.0
    x = fits["structure"].map(places) + shift + 0.7 * step * (spread(order) - middle)
    area = np.clip(200 / max(len(fits) / len(places), 1), 4, 16)
    axes.scatter(
        x, fits["auc"], s=area, color=look["color"], marker=look["marker"], alpha=0.4, linewidths=0, rasterized=True
    )
    middle = rows[rows["quantity"] == "median"].dropna(subset=["auc"])
    x = middle["structure"].map(places) + shift
    axes.plot(x, middle["auc"], markersize=5, markeredgecolor="white", markeredgewidth=0.6, zorder=3, **look)


def _panel(axes: Axes, rows: pd.DataFrame, looks: dict[tuple, dict], names: list[str], labels: list[str]) -> None:
    """Draw one metric of one grid and backbone."""
    there = [key for key in looks if ((rows["dataset"] == key[0]) & (rows["weights"] == key[1])).any()]
    step = WIDTH / max(len(there), 1)
    axes.axhline(CHANCE, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    places = {name: place for place, name in enumerate(names)}
    for number, (dataset, weights) in enumerate(there):
        some = rows[(rows["dataset"] == dataset) & (rows["weights"] == weights)]
        _series(axes, some, places, step * (number - (len(there) - 1) / 2), step, looks[dataset, weights])
    tilt = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if len(names) > UPRIGHT else {}
    axes.set_xticks(range(len(names)), labels, **tilt)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xlabel("what learns of the backbone, and its parameters")


def _looks(source: pd.DataFrame) -> tuple[dict[tuple, dict], dict, dict]:
    """Give each dataset a colour and marker and each weights a line."""
    datasets = deal(source["dataset"])
    weights = {name: LINES[place % len(LINES)] for place, name in enumerate(dict.fromkeys(source["weights"]))}
    pairs = source[SERIES].drop_duplicates().itertuples(index=False, name=None)
    found = set(pairs)
    looks = {
        (dataset, name): {**datasets[dataset], "linestyle": line}
        for dataset in datasets
        for name, line in weights.items()
        if (dataset, name) in found
    }
    return looks, datasets, weights


def draw(fits: pd.DataFrame, titles: Titles | None = None) -> Figure:
    """Draw a row for each grid and backbone, a panel each for validation and test; every fit a point.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``, of one grid or several. Fits without an AUC are not drawn.
    titles : dict of dict, optional
        ``grid``, ``dataset``, ``weights``, ``backbone``: name in config -> name in print.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    if not len(fits) or fits[list(METRICS)].isna().all(axis=None):
        raise StudyError("no fit of the grids has an AUC; logs of fit_cells say why the fits failed.")
    fits, source = honest(fits), source_table(fits)
    looks, datasets, weights = _looks(source)
    groups = list(source.groupby(PANEL, sort=False))
    most = max(rows["structure"].nunique() for _, rows in groups)
    figure = Figure(figsize=(max(2 * (0.75 + 0.62 * most), 6), 2.9 * len(groups) + 0.7), layout="constrained")
    panels = figure.subplots(len(groups), len(METRICS), squeeze=False, sharey="row")
    for line, ((grid, backbone), rows) in zip(panels, groups, strict=True):
        own = fits[(fits["grid"] == grid) & (fits["backbone"] == backbone)]
        names, free = levels(own, "structure"), rows.groupby("structure")["backbone_parameters"].max()
        labels = [f"{name}\n{count(free[name])}" for name in names]
        for axes, (metric, words) in zip(line, METRICS.items(), strict=True):
            _panel(axes, rows[rows["metric"] == metric], looks, names, labels)
            axes.set_ylabel(words)
        line[0].set_title(f"{name_of(titles, 'grid', grid)}: {name_of(titles, 'backbone', backbone)}", loc="left")
    grey = {"color": style.GREY}
    handles = handles_of(datasets, titles, "dataset", linestyle="")
    handles += [
        Line2D([], [], linestyle=line, label=name_of(titles, "weights", name), **grey) for name, line in weights.items()
    ]
    handles.append(Line2D([], [], marker="o", markersize=4, alpha=0.5, linestyle="", label="a fit", **grey))
    handles.append(Line2D([], [], marker="o", markersize=5, linestyle="", label="median", **grey))
    legend(figure, handles, 6)
    return figure
