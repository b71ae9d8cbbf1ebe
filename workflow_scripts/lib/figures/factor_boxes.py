"""Scores of the fits of a grid by each factor that varies: a box for each level and dataset, every fit a point."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.learning_curves import COLOURS, MARKERS, spread
from workflow_scripts.lib.study.errors import StudyError

# factor -> its name in print, in the order in which panels stand
FACTORS = {
    "weights": "weights",
    "backbone": "backbone",
    "head": "head",
    "structure": "structure",
    "batch_norm": "batch normalisation",
    "lr_decay": "decay of learning rate",
    "filters": "filters",
    "ratio": "width of hidden layer (ratio)",
    "kernel": "kernel",
    "dropout": "dropout",
    "faithful": "faithful head",
    "optimizer": "optimiser",
    "learning_rate": "learning rate",
    "weight_decay": "weight decay",
    "momentum": "momentum",
    "nesterov": "Nesterov",
    "beta": "beta",
    "epochs": "epochs",
    "batch": "batch",
    "balance": "class balance",
    "augment": "augmentation",
    "preprocessing": "preprocessing",
    "precision": "precision",
    "grouping": "splits by",
}
METRICS = {
    "validation_auc": "validation AUC",
    "validation_f1": "validation F1",
    "validation_accuracy": "validation accuracy",
}
IDENTITY = ["grid", "cell", "dataset", "split", "seed"]
CHANCE = 0.5
WIDEST = 11.0  # inches of panels in a line; further factors go below
LETTER = 0.068  # inches of a letter of a tick
BOLD = 0.095  # of a letter of a heading
EDGE = 0.6  # inches of the scale on the left of panels
HEIGHT = 1.7  # inches of a row of panels
FEWEST = 5  # fits of a box; fewer are points with their median and mean

Titles = Mapping[str, Mapping[str, str]]
Line = list[tuple[str, list, list[str], float]]  # factors beside each other: name, levels as text, their labels, inches


def join(tables: Mapping[str, pd.DataFrame], key: str = "grid") -> pd.DataFrame:
    """Put the tables of all grids below each other, with the name of the grid in front."""
    parts = [table.drop(columns=key, errors="ignore").assign(**{key: name}) for name, table in tables.items()]
    # an empty table has no types of its own, and must not change those of the others
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return table[[key, *(name for name in table if name != key)]]


def deal(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Deal colours and markers to names in their order; 64 names differ in one of the two."""
    count = len(COLOURS)
    return {
        name: {"color": COLOURS[place % count], "marker": MARKERS[(place + place // count) % len(MARKERS)]}
        for place, name in enumerate(dict.fromkeys(names))
    }


def name_of(titles: Titles | None, kind: str, name: object) -> str:
    """Return the name in print of a grid, dataset, weights or backbone: what stands for it in config, else itself."""
    if isinstance(name, bool | np.bool_):
        return "yes" if name else "no"
    if isinstance(name, int | float | np.number):
        return f"{name:g}"
    return (titles or {}).get(kind, {}).get(name) or str(name)


def levels(fits: pd.DataFrame, factor: str) -> list:
    """Return the levels of a factor: numbers by size, structures by what they train, others as they first stand."""
    values = fits.loc[fits[factor].notna(), factor]
    if factor == "structure" and "trainable" in fits:
        backbone = fits["trainable"] - fits["parameters"] if "parameters" in fits else fits["trainable"]
        return list(backbone.groupby(values, sort=False).max().sort_values(kind="stable").index)
    unique = list(dict.fromkeys(values))
    return sorted(unique) if all(isinstance(value, int | float | np.number) for value in unique) else unique


def varying(fits: pd.DataFrame) -> list[str]:
    """Name the factors with two levels or more; a head that lacks the factor has none."""
    return [factor for factor in FACTORS if factor in fits and len(levels(fits, factor)) > 1]


def honest(fits: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows whose splits part groups, unless their grid has no others of the dataset; copies flatter them.

    Parameters
    ----------
    fits : pandas.DataFrame
        Fits or selected cells, by dataset; of all grids where there is a column grid.
    """
    if "grouping" not in fits:
        return fits
    whole = fits["grouping"] == "groups"
    keys = [fits[name] for name in ("grid", "dataset") if name in fits]
    return fits[whole | ~whole.groupby(keys).transform("any")]


def source_table(fits: pd.DataFrame, metrics: Sequence[str] = tuple(METRICS)) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``, of one grid or several.
    metrics : sequence of str
        Columns of scores; those that the table lacks are left out.

    Returns
    -------
    pandas.DataFrame
        grid, factor, level (text), metric, dataset, cell, split, seed, value; a row a fit, factor and metric. The value
        is missing where the fit has none. Fits to splits that part groups stand under the factor ``grouping`` alone.
    """
    parts = []
    for grid, rows in fits.groupby("grid", sort=False):
        keys = [name for name in IDENTITY if name in rows]
        for factor in varying(rows) or ["dataset"]:
            shown = rows if factor == "grouping" else honest(rows)
            with_level = shown[shown[factor].notna()]
            for metric in (name for name in metrics if name in rows):
                part = with_level[keys].assign(
                    grid=grid, factor=factor, metric=metric, value=with_level[metric].astype(float)
                )
                parts.append(part.assign(level=[name_of(None, factor, value) for value in with_level[factor]]))
    columns = ["grid", "factor", "level", "metric", "dataset", "cell", "split", "seed", "value"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return table[[name for name in columns if name in table]]


def _box(axes: Axes, values: pd.Series, place: float, width: float, look: dict[str, str]) -> None:
    """Draw one box and its fits beside each other."""
    colour, boxed = look["color"], len(values) >= FEWEST
    line = {"color": colour, "linewidth": 0.9 if boxed else 0}
    axes.boxplot(
        values,
        positions=[place],
        widths=0.86 * width,
        showfliers=False,
        showmeans=True,
        showbox=boxed,
        showcaps=boxed,
        whis=1.5 if boxed else 0,
        manage_ticks=False,
        boxprops=line,
        whiskerprops=line,
        capprops=line,
        medianprops={"color": colour, "linewidth": 1.8},
        meanprops={"marker": "d", "markersize": 4, "markerfacecolor": "white", "markeredgecolor": "black", "zorder": 4},
    )
    area = np.clip(350 / len(values), 3, 14)
    sideways = spread(np.arange(len(values)))
    sideways = place + 0.7 * width * (sideways - sideways.mean())
    axes.scatter(
        sideways,
        values,
        s=area,
        color=colour,
        marker=look["marker"],
        alpha=0.5,
        linewidths=0,
        zorder=2,
        rasterized=True,
    )


def _panel(axes: Axes, rows: pd.DataFrame, names: list, looks: dict, labels: list[str], tilt: bool) -> None:
    """Draw one factor: its levels side by side, and the datasets within each."""
    datasets = [name for name in looks if name in set(rows["dataset"])]
    step = 0.8 / max(len(datasets), 1)
    for place, level in enumerate(names):
        for number, dataset in enumerate(datasets):
            values = rows.loc[(rows["level"] == level) & (rows["dataset"] == dataset), "value"].dropna()
            if len(values):
                _box(axes, values, place + step * (number - (len(datasets) - 1) / 2), step, looks[dataset])
    angle = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if tilt else {}
    axes.set_xticks(range(len(names)), labels, **angle)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.tick_params(axis="x", length=0)


def _width(labels: list[str], datasets: int) -> float:
    """Return the inches that a panel wants."""
    return max(1.5, 0.35 + len(labels) * max(0.17 * datasets, 0.45))


def _lines(rows: pd.DataFrame, titles: Titles | None) -> list[Line]:
    """Cut the factors of a grid into lines of panels: factor, its levels as text, their labels, inches."""
    lines, used = [[]], 0.0
    for factor in varying(rows) or ["dataset"]:
        found = levels(rows, factor)
        labels = [name_of(titles, factor, level) for level in found]
        wide = _width(labels, rows["dataset"].nunique())
        if lines[-1] and used + wide > WIDEST:
            lines.append([])
            used = 0.0
        lines[-1].append((factor, [name_of(None, factor, level) for level in found], labels, wide))
        used += wide
    return lines


def _place(blocks: list[tuple[pd.DataFrame, Line, float]]) -> list[list[tuple[pd.DataFrame, Line, float]]]:
    """Put blocks (fits of a grid, factors, inches) beside each other as long as they fit."""
    strips, used = [[]], 0.0
    for block in blocks:
        if strips[-1] and used + block[2] > WIDEST:
            strips.append([])
            used = 0.0
        strips[-1].append(block)
        used += block[2]
    return strips


def _block(part: SubFigure, line: Line, source: pd.DataFrame, looks: dict, metrics: list[str], wide: float) -> None:
    """Draw one line of factors, a row a metric; what is left of ``wide`` inches stays empty."""
    ratios = [entry[3] for entry in line]
    ratios.append(max(wide - EDGE - sum(ratios), 0.01))
    panels = part.subplots(len(metrics), len(ratios), sharey="row", sharex="col", squeeze=False, width_ratios=ratios)
    for axes in panels[:, -1]:
        axes.remove()
    for row, metric in enumerate(metrics):
        scores = source[source["metric"] == metric]
        for column, (factor, names, labels, wide) in enumerate(line):
            axes = panels[row, column]
            tilt = LETTER * max(map(len, labels)) > 0.9 * wide / len(labels)
            _panel(axes, scores[scores["factor"] == factor], names, looks, labels, tilt)
            if metric.endswith("auc"):
                axes.axhline(CHANCE, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
            if row == 0:
                axes.set_title(FACTORS.get(factor, factor), loc="left", fontsize=8)
        panels[row, 0].set_ylabel(METRICS.get(metric, metric.replace("_", " ")))


def _heading(rows: pd.DataFrame, titles: Titles | None, metric: str) -> str:
    """Name a grid and count its fits."""
    lost = int(rows[metric].isna().sum())
    without = f", {lost} without a score" if lost else ""
    return f"{name_of(titles, 'grid', rows['grid'].iloc[0])}: {len(rows)} fits{without}"


def legend(figure: Figure, handles: list[Line2D], columns: int = 5) -> None:
    """Put the legend under all panels."""
    figure.legend(handles=handles, loc="outside lower center", ncols=min(columns, len(handles)))


def handles_of(looks: dict[str, dict], titles: Titles | None, kind: str, **look: object) -> list[Line2D]:
    """Make the legend's entries of names that were dealt colours and markers."""
    return [
        Line2D([], [], markersize=4.5, label=name_of(titles, kind, name), **(sign | look))
        for name, sign in looks.items()
    ]


def draw(fits: pd.DataFrame, titles: Titles | None = None, metrics: Sequence[str] = tuple(METRICS)) -> Figure:
    """Draw a block a grid: a panel for each factor that varies, a row for each metric, boxes by dataset.

    Small grids stand beside each other.

    Parameters
    ----------
    fits : pandas.DataFrame
        Schema ``grid_fits``, of one grid or several. Fits without a score are counted in the heading.
    titles : dict of dict, optional
        ``grid``, ``dataset``, ``weights``, ``backbone``: name in config -> name in print.
    metrics : sequence of str
        Columns of scores, a row each; those that the table lacks are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    metrics = [name for name in metrics if name in fits and fits[name].notna().any()]
    if not metrics:
        raise StudyError("no fit of the grids has a score; logs of fit_cells say why the fits failed.")
    source, looks, blocks = source_table(fits, metrics), deal(fits["dataset"]), []
    for _, rows in fits.groupby("grid", sort=False):
        for line in _lines(rows, titles):
            asked = sum(entry[3] for entry in line) + EDGE
            blocks.append((rows, line, max(asked, BOLD * len(_heading(rows, titles, metrics[0])))))
    strips = _place(blocks)
    wide = max(max(sum(block[2] for block in strip) for strip in strips), 5.0)
    tall = len(metrics) * HEIGHT + 0.45
    figure = Figure(figsize=(wide, tall * len(strips) + 0.5), layout="constrained")
    for whole, strip in zip(figure.subfigures(len(strips), 1, squeeze=False).ravel(), strips, strict=True):
        ratios = [block[2] for block in strip]
        parts = whole.subfigures(
            1, len(strip) + 1, squeeze=False, width_ratios=[*ratios, max(wide - sum(ratios), 0.01)]
        )
        for part, (rows, line, inches) in zip(parts.ravel(), strip, strict=False):
            part.suptitle(_heading(rows, titles, metrics[0]), x=0.01, ha="left", fontsize=9, fontweight="bold")
            _block(part, line, source[source["grid"] == rows["grid"].iloc[0]], looks, metrics, inches)
    grey = {"color": style.GREY}
    handles = handles_of(looks, titles, "dataset", linestyle="")
    handles += [
        Line2D([], [], linewidth=1.8, label="median, in a box of the middle half from 5 fits on", **grey),
        Line2D([], [], linestyle="", marker="d", markersize=4, markerfacecolor="white", color="black", label="mean"),
        Line2D([], [], linewidth=0.8, linestyle=(0, (4, 3)), label="chance", **grey),
    ]
    legend(figure, handles, 5 if wide > 6 else 3)
    return figure
