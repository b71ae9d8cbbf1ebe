"""How sure each test grows as resamples are added, for each task and pair of representations."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import ScalarFormatter

from workflow_scripts.lib.figures import style

TESTS = {"p_permutation": ("-", "permutation, as published (this pool)"), "p_corrected": (":", "pool-corrected t")}
COLUMNS = 3
LIMIT = 0.05
# not the colours of representations: a pair is neither of its two
PAIRS = ["#000000", style.PALETTE["orange"], style.PALETTE["purple"], style.PALETTE["sky"], "#8C6D31", "#7B4173"]


def _panel(axes: Axes, rows: pd.DataFrame, title: str, pairs: list[tuple[str, str]]) -> None:
    for (a, b), colour in zip(pairs, PAIRS * len(pairs), strict=False):
        some = rows[(rows["a"] == a) & (rows["b"] == b)].sort_values("n_resamples")
        for column, (line, _) in TESTS.items():
            axes.plot(some["n_resamples"], some[column], line, color=colour, marker=".", markersize=3)
    axes.axhline(LIMIT, color=style.GREY, linewidth=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", ylim=(None, 1.3))
    axes.set_title(title, loc="left")


def draw(sensitivity: pd.DataFrame, titles: dict[str, str]) -> Figure:
    """Draw p against the number of resamples, one panel a task.

    Parameters
    ----------
    sensitivity : pandas.DataFrame
        task, a, b, n_resamples, p_permutation, p_corrected (schema ``probe_sensitivity``).
    titles : dict
        Task -> title of its panel; the task's name where none is given.

    Returns
    -------
    matplotlib.figure.Figure
    """
    tasks = list(sensitivity["task"].unique())
    pairs = list(sensitivity[["a", "b"]].drop_duplicates().itertuples(index=False, name=None))
    columns = min(COLUMNS, len(tasks))
    lines = -(-len(tasks) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.0 * lines + 0.9), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for task, axes in zip(tasks, panels, strict=False):
        _panel(axes, sensitivity[sensitivity["task"] == task], titles.get(task, task), pairs)
    for axes in panels[len(tasks) :]:
        axes.set_axis_off()
    for place, axes in enumerate(panels):
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xlabel("Resamples" if place + columns >= len(tasks) else "")
        axes.tick_params(labelbottom=place + columns >= len(tasks))
        axes.set_ylabel("p (not adjusted)" if place % columns == 0 else "")
    handles = [Line2D([], [], color=style.GREY, linestyle=line) for line, _ in TESTS.values()]
    labels = [label for _, label in TESTS.values()]
    handles += [Line2D([], [], color=colour) for _, colour in zip(pairs, PAIRS * len(pairs), strict=False)]
    labels += [f"{style.label(a)} / {style.label(b)}" for a, b in pairs]
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure
