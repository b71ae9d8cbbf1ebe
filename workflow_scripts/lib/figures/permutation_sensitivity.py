"""How sure each test grows as resamples are added, which costs nothing and should change nothing: one column a test."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator, ScalarFormatter

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.panels import against, choose_reference

# column -> heading; the published test is drawn solid, those that are to hold dashed
TESTS = {
    "p_permutation": "Permutation, as published\n(this pool of people)",
    "p_corrected": "Pool-corrected t\n(population)",
    "p_delong": "DeLong over people\n(population)",
    "p_swap": "Swaps within people\n(population)",
}
PUBLISHED = ("p_permutation",)
LIMIT = 0.05
SMALLEST = 1e-5  # p below are drawn here


def _panel(axes: Axes, rows: pd.DataFrame, column: str, names: list[str], pairs: bool) -> None:
    """Draw one test on one task: a line a representation, or a grey one a pair."""
    line = "-" if column in PUBLISHED else "--"
    for name in names:
        for _, some in rows[rows["other"] == name].groupby(["a", "b"], sort=False):
            some = some.sort_values("n_resamples").dropna(subset=column)
            look = {"color": style.GREY if pairs else style.colour(name), "alpha": 0.6 if pairs else 1.0}
            marker = "" if pairs else style.marker(name)
            heights = some[column].clip(lower=SMALLEST)
            axes.plot(some["n_resamples"], heights, line, marker=marker, markersize=2.5, linewidth=0.9, **look)
    axes.axhline(LIMIT, color=style.GREY, linewidth=0.8, zorder=0)
    axes.set(xscale="log", yscale="log")
    if rows[column].isna().all():
        axes.text(
            0.5, 0.5, "AUC only", transform=axes.transAxes, ha="center", va="center", color=style.GREY, fontsize=6
        )


def _finish(panels: list[list[Axes]], counts: list[int], lowest: float) -> None:
    """Share axes: the same numbers of resamples and the same p in every panel."""
    # every other number is named, from the last on
    named = counts[::-1][::2]
    for line, row in enumerate(panels):
        for place, axes in enumerate(row):
            axes.set(xlim=(counts[0] / 1.3, counts[-1] * 1.3), ylim=(lowest / 1.6, 1.5))
            axes.xaxis.set_major_locator(FixedLocator(named))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.tick_params(labelbottom=line == len(panels) - 1, labelleft=place == 0, labelsize=6)
            if line == len(panels) - 1:
                axes.set_xlabel("Resamples", labelpad=1)


def draw(sensitivity: pd.DataFrame, titles: dict[str, str], reference: str | None = "features") -> Figure:
    """Draw p against the number of resamples: one row a task, one column a test, one line a representation.

    Parameters
    ----------
    sensitivity : pandas.DataFrame
        Schema ``probe_sensitivity``, all pairs.
    titles : dict
        Task -> title of its row; the task's name where none is given.
    reference : str, optional
        Draw the pairs with it, in the colour of the other (with the first representation if it is not in the table);
        none draws all pairs in grey.

    Returns
    -------
    matplotlib.figure.Figure
    """
    pairs = reference is None
    if pairs:
        table = sensitivity.assign(other=sensitivity["b"])
    else:
        reference = choose_reference(sensitivity, reference)
        table = against(sensitivity, reference, [], [])
    tasks, names = list(table["task"].unique()), list(table["other"].unique())
    figure = Figure(figsize=(7.2, 1.0 * len(tasks) + 1.1), layout="constrained")
    panels = figure.subplots(len(tasks), len(TESTS), squeeze=False)
    for task, row in zip(tasks, panels, strict=True):
        for (column, heading), axes in zip(TESTS.items(), row, strict=True):
            _panel(axes, table[table["task"] == task], column, names, pairs)
            if task == tasks[0]:
                axes.set_title(heading, fontsize=7.5, pad=14)
        row[0].text(0, 1.04, titles.get(task, task), transform=row[0].transAxes, fontsize=7.5, va="bottom")
        row[0].set_ylabel("p", fontsize=7)
    lowest = max(min(float(table[list(TESTS)].min().min()), LIMIT), SMALLEST)
    _finish(panels.tolist(), sorted(table["n_resamples"].unique()), lowest)
    handles = [Line2D([], [], color=style.colour(name), marker=style.marker(name), markersize=4) for name in names]
    labels, title = [style.label(name) for name in names], f"Compared with {style.label(reference)}; p not adjusted"
    if pairs:
        handles, labels = [Line2D([], [], color=style.GREY)], ["a pair of representations"]
        title = "p not adjusted"
    figure.legend(handles, labels, loc="outside lower center", ncols=4, title=title, title_fontsize=7)
    return figure
