"""Test AUC of each model against the number of training images (Leonardsen et al.), every sample shown."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.errors import StudyError

# a model has no fixed colour, since the config names it: they are dealt in the order of the models
COLOURS = [*style.PALETTE.values(), "#000000", style.GREY]
MARKERS = ["s", "o", "^", "D", "v", "P", "X", "*"]
COLUMNS = 3
CHANCE = 0.5
WIDTH = 0.7  # of the distance of two sizes, shared by the models of a size
POINTS = ["task", "n", "model", "repeat", "test_auc"]
NUMBERS = ("median", "q05", "q25", "q75", "q95")


def spread(repeats: np.ndarray) -> np.ndarray:
    """Spread points sideways by the number of their sample, evenly between -0.5 and 0.5 and not in order."""
    golden = (np.sqrt(5) - 1) / 2  # its multiples fill the unit interval more evenly than any others
    return (np.asarray(repeats) * golden) % 1 - 0.5


def source_table(points: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    points : pandas.DataFrame
        task, n, model, repeat, test_auc: chosen settings only.
    summary : pandas.DataFrame
        Schema ``curve_summary``.

    Returns
    -------
    pandas.DataFrame
        task, n, model, quantity (``sample``, or the name of the number), repeat (of a sample), auc.
    """
    samples = points[POINTS].rename(columns={"test_auc": "auc"}).assign(quantity="sample")
    numbers = summary.melt(["task", "n", "model"], list(NUMBERS), var_name="quantity", value_name="auc")
    table = pd.concat([samples, numbers], ignore_index=True)
    return table.astype({"repeat": "Int64"})[["task", "n", "model", "quantity", "repeat", "auc"]]


def _model(axes: Axes, points: pd.DataFrame, summary: pd.DataFrame, place: float, step: float, look: dict) -> None:
    """Draw one model, ``place`` sideways of the sizes: samples, quantiles and the line of medians."""
    summary, points = summary.dropna(subset=["median"]), points.dropna(subset=["test_auc"])
    x, colour = summary["n"] + place, look["color"]
    sideways = points["n"] + place + 0.8 * step * spread(points["repeat"])
    area = np.clip(300 / max(points["repeat"].nunique(), 1), 3, 12)  # a hundred points need less room each than six
    axes.scatter(
        sideways, points["test_auc"], s=area, color=colour, alpha=0.35, linewidths=0, zorder=1, rasterized=True
    )
    axes.vlines(x, summary["q05"], summary["q95"], color=colour, linewidth=0.8, zorder=2)
    axes.vlines(x, summary["q25"], summary["q75"], color=colour, linewidth=3, zorder=2)
    axes.plot(x, summary["median"], markersize=4.5, markeredgecolor="white", markeredgewidth=0.6, zorder=3, **look)


def _panel(axes: Axes, points: pd.DataFrame, summary: pd.DataFrame, looks: dict[str, dict], title: str) -> None:
    """Draw one task."""
    sizes = np.array(sorted(summary["n"].unique()))
    step = WIDTH * (np.diff(sizes).min() if len(sizes) > 1 else max(sizes[0], 1)) / len(looks)
    axes.axhline(CHANCE, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8, zorder=0)
    for number, (model, look) in enumerate(looks.items()):
        place = step * (number - (len(looks) - 1) / 2)
        parts = (table[table["model"] == model] for table in (points, summary))
        _model(axes, *parts, place, step, look)
    axes.set_title(title, loc="left")
    axes.set_xticks(sizes)
    margin = step * (len(looks) + 1) / 2
    axes.set_xlim(sizes[0] - margin, sizes[-1] + margin)
    axes.set_xlabel("training images (n)")
    axes.set_ylabel("test AUC")


def _legend(figure: Figure, looks: dict[str, dict], titles: dict[str, str]) -> None:
    handles = [Line2D([], [], markersize=4.5, label=titles.get(model, model), **look) for model, look in looks.items()]
    grey = {"color": style.GREY}
    handles += [
        Line2D([], [], marker=".", markersize=4, alpha=0.6, linestyle="", label="a sample", **grey),
        Line2D([], [], linewidth=3, label="middle half of samples", **grey),
        Line2D([], [], linewidth=0.8, label="5% to 95% of samples", **grey),
        Line2D([], [], linewidth=0.8, linestyle=(0, (4, 3)), label="chance", **grey),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))


def draw(
    points: pd.DataFrame,
    summary: pd.DataFrame,
    titles: dict[str, str] | None = None,
    task_titles: dict[str, str] | None = None,
) -> Figure:
    """Draw a panel a task: every sample a point, the line through the medians, bars of quantiles.

    Parameters
    ----------
    points : pandas.DataFrame
        task, n, model, repeat, test_auc of the chosen settings.
    summary : pandas.DataFrame
        Schema ``curve_summary``. Tasks and models are drawn in the order in which they first stand; eight models at
        most have signs of their own.
    titles, task_titles : dict, optional
        Names in print of models and tasks.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    if summary.empty:
        raise StudyError("the summary of the learning curves has no row; results of draw_samples say which sizes fit.")
    titles, task_titles = titles or {}, task_titles or {}
    tasks, models = list(summary["task"].unique()), list(summary["model"].unique())
    signs = [(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]) for place in range(len(models))]
    looks = {model: {"color": colour, "marker": sign} for model, (colour, sign) in zip(models, signs, strict=True)}
    columns = min(COLUMNS, len(tasks))
    lines = -(-len(tasks) // columns)
    figure = Figure(figsize=(max(3.8 * columns, 5.2), 2.9 * lines + 0.8), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for task, axes in zip(tasks, panels, strict=False):
        parts = (table[table["task"] == task] for table in (points, summary))
        _panel(axes, *parts, looks, task_titles.get(task, task))
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    _legend(figure, looks, titles)
    return figure
