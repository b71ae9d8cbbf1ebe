"""How often each test rejects a true null hypothesis as resamples are added, and planted differences."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from workflow_scripts.lib.figures import style

# test -> label, colour, marker, line: published ones dashed, those over resamples and over participants solid
TESTS = {
    "unpaired": ("permutation, unpaired (published)", style.PALETTE["vermillion"], "v", "--"),
    "sign_flip": ("permutation, sign flip (published)", style.PALETTE["orange"], "^", "--"),
    "nadeau_bengio_t": ("resampled t, Nadeau–Bengio factor", style.PALETTE["sky"], "P", "-"),
    "pool_corrected_t": ("resampled t, pool factor", style.PALETTE["blue"], "s", "-"),
    "delong": ("DeLong, mean held-out scores", style.PALETTE["green"], "o", "-"),
    "swap": ("swap of participants' scores", style.PALETTE["purple"], "D", "-"),
    "bootstrap_percentile": ("participant bootstrap, percentile", "#000000", "x", ":"),
    "bootstrap_bca": ("participant bootstrap, BCa", style.GREY, "+", ":"),
}
LIMIT = 0.05
BAND = "#DDDDDD"
TOP = 1.03  # room for the markers of what always rejects
TICKS = [0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1]
COLUMNS = 3
DODGE = 0.015  # of the axis' length, so that tests that agree do not hide each other
KINDS = {"leave_out": "Leave out", "small_samples": "Small samples"}


def _cells(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Cut the table into its designs and sizes, each with its title."""
    out = []
    for (kind, people, n), rows in table.groupby(["design", "participants", "n"], sort=False, dropna=False):
        size = "" if pd.isna(n) else f", n = {int(n)}"
        out.append((f"{KINDS[kind]}, pool of {people:,}{size}", rows))
    return out


def _lines(axes: Axes, rows: pd.DataFrame, x: str, log: bool) -> None:
    """Draw one line a test with its intervals, side by side at each place."""
    values = np.sort(rows[x].unique())
    places = np.log(values) if log else values
    step = DODGE * (places[-1] - places[0] if len(places) > 1 else 1)
    for number, (test, (_, colour, marker, line)) in enumerate(TESTS.items()):
        some = rows[rows["test"] == test].sort_values(x)
        if some.empty:
            continue
        shift = (number - (len(TESTS) - 1) / 2) * step
        where = np.exp(np.log(some[x]) + shift) if log else some[x] + shift
        bars = [(some["rejected"] - some["lower"]).clip(lower=0), (some["upper"] - some["rejected"]).clip(lower=0)]
        look = {"color": colour, "marker": marker, "markersize": 3.5, "elinewidth": 0.6, "linewidth": 0.9}
        axes.errorbar(where, some["rejected"], yerr=bars, linestyle=line, **look)
    axes.set_xticks(values, labels=[f"{value:g}" for value in values])
    axes.tick_params(axis="x", which="minor", bottom=False)


def _errors(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw type-I error against the number of resamples."""
    axes.set_xscale("log")
    _lines(axes, rows, "n_resamples", log=True)
    axes.axhspan(rows["chance_lower"].min(), rows["chance_upper"].max(), color=BAND, linewidth=0, zorder=0)
    axes.axhline(LIMIT, color=style.GREY, linewidth=0.7, zorder=0.5)
    # the square root shows both what rejects nearly always and what should reject 5%
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    axes.set_yticks(TICKS, labels=[f"{100 * tick:g}" for tick in TICKS])
    axes.set_ylim(0, TOP)
    axes.set_xlabel("Resamples")


def _power(axes: Axes, rows: pd.DataFrame) -> None:
    """Draw power against the planted difference, after all resamples."""
    _lines(axes, rows[rows["n_resamples"] == rows["n_resamples"].max()], "effect", log=False)
    axes.axhline(LIMIT, color=style.GREY, linewidth=0.7, zorder=0.5)
    axes.set_yticks(np.linspace(0, 1, 6), labels=[f"{100 * tick:.0f}" for tick in np.linspace(0, 1, 6)])
    axes.set_ylim(0, TOP)
    axes.set_xlabel("Planted difference in AUC")


def _block(panels: np.ndarray, cells: list, draw, label: str) -> None:
    """Fill panels with one kind of drawing and switch off those that are left."""
    for place, axes in enumerate(panels):
        if place >= len(cells):
            axes.set_axis_off()
            continue
        title, rows = cells[place]
        draw(axes, rows)
        axes.set_title(title, loc="left", fontsize=8)
        if place % COLUMNS == 0:
            axes.set_ylabel(label)


def draw(table: pd.DataFrame) -> Figure:
    """Draw a panel of type-I error for each design and size, then one of power where differences were planted.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``calibration``.

    Returns
    -------
    matplotlib.figure.Figure
    """
    null = _cells(table[table["effect"] == 0])
    power = [(title, rows) for title, rows in _cells(table) if rows["effect"].nunique() > 1]
    columns = min(COLUMNS, max(len(null), 2))
    upper, lower = math.ceil(len(null) / columns), math.ceil(len(power) / columns)
    figure = Figure(figsize=(2.6 * columns, 2.05 * (upper + lower) + 0.8), layout="constrained")
    panels = figure.subplots(upper + lower, columns, squeeze=False)
    _block(panels[:upper].ravel(), null, _errors, "True nulls rejected (%)")
    _block(panels[upper:].ravel(), power, _power, "Differences found (%)")
    shown = [test for test in TESTS if test in set(table["test"])]
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle=line, markersize=4)
        for _, colour, marker, line in map(TESTS.get, shown)
    ]
    labels = [TESTS[test][0] for test in shown]
    handles.append(Patch(color=BAND))
    labels.append("95% of what chance gives a test of 5%")
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure
