"""How predicted ages go with true ages, and the gap by age group before and after debiasing."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from workflow_scripts.lib.figures import style

SAMPLES = {
    "test_normative": "normative people who did not train",
    "test": "all people who did not train",
    "train_out_of_fold": "people who trained, by models that did not see them",
}
LOOKS = {"gap": ("before debiasing", False), "gap_debiased": ("after debiasing", True)}


def _bars(axes: Axes, rows: pd.DataFrame, x: np.ndarray, colour: str, filled: bool, text: str | None = None) -> None:
    # no bar where an interval is missing
    lengths = np.nan_to_num(np.abs(rows[["lower", "upper"]].to_numpy() - rows[["mean"]].to_numpy()).T)
    face = colour if filled else "white"
    look = {"fmt": "o", "markersize": 4.5, "color": colour, "markerfacecolor": face, "elinewidth": 1, "capsize": 2}
    axes.errorbar(x, rows["mean"], yerr=lengths, label=text, **look)


def _calibration(axes: Axes, rows: pd.DataFrame, found: pd.Series, colour: str, ends: list[float]) -> None:
    """Draw mean predicted age of each age group, the line of all people, and identity."""
    axes.plot(ends, ends, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8)
    if np.isfinite(found["slope"]):
        reach = np.array([rows["mean_age"].min(), rows["mean_age"].max()])
        axes.plot(reach, found["intercept"] + found["slope"] * reach, color=colour, linewidth=1, alpha=0.6)
    _bars(axes, rows, rows["mean_age"].to_numpy(), colour, filled=True)
    numbers = f"slope {found['slope']:.2f}\nMAE {found['mae']:.1f} years\nR² {found['r2']:.2f}\nn {found['n']:.0f}"
    numbers = numbers.replace("-", "−")
    axes.text(0.97, 0.03, numbers, transform=axes.transAxes, ha="right", va="bottom", fontsize=7)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.xaxis.set_major_locator(MultipleLocator(10))
    axes.yaxis.set_major_locator(MultipleLocator(10))


def _group_name(age_from: float, age_to: float) -> str:
    """Name a group as it is spoken of: 44-53 are the whole years from 44 to before 54."""
    if np.isnan(age_from):
        return f"<{age_to:g}"
    if np.isnan(age_to):
        return f"≥{age_from:g}"
    return f"{age_from:g}–{age_to - 1:g}" if age_to % 1 == 0 else f"{age_from:g} to <{age_to:g}"


def _gaps(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Draw the mean gap of each age group before (hollow) and after debiasing (filled)."""
    axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=0)
    groups = rows.drop_duplicates(["age_from", "age_to"]).sort_values("mean_age")
    for shift, (quantity, (text, filled)) in zip((-0.13, 0.13), LOOKS.items(), strict=True):
        some = rows[rows["quantity"] == quantity].sort_values("mean_age")
        _bars(axes, some, np.arange(len(some)) + shift, colour, filled, text)
    names = [
        f"{_group_name(one.age_from, one.age_to)}\nn {one.n}"
        for one in groups[["age_from", "age_to", "n"]].itertuples()
    ]
    axes.set_xticks(range(len(groups)), names, fontsize=6)
    axes.set_xlim(-0.6, len(groups) - 0.4)


def draw(bias: pd.DataFrame, metrics: pd.DataFrame, sample: str = "test_normative") -> Figure:
    """Draw the calibration above the gap by age group, a column a representation.

    Parameters
    ----------
    bias : pandas.DataFrame
        Schema ``age_bias``.
    metrics : pandas.DataFrame
        Schema ``brainage_metrics``: n, mae, r2, slope, intercept of each representation and sample.
    sample : str
        Which people: ``test_normative``, ``test`` or ``train_out_of_fold``; where the first has nobody, the last.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not (bias["sample"] == sample).any():
        sample = "train_out_of_fold"
    bias = bias[bias["sample"] == sample]
    names = list(dict.fromkeys(bias["representation"]))
    figure = Figure(figsize=(2.3 * len(names) + 0.3, 4.7), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False, sharey="row", height_ratios=[1.3, 1])
    predicted = bias[bias["quantity"] == "predicted_age"]
    numbers = predicted[["mean_age", "mean", "lower", "upper"]].to_numpy()
    ends = [np.floor(np.nanmin(numbers) / 5) * 5, np.ceil(np.nanmax(numbers) / 5) * 5]
    for (top, bottom), name in zip(panels.T, names, strict=True):
        colour, here = style.colour(name), bias["representation"] == name
        found = metrics[(metrics["representation"] == name) & (metrics["sample"] == sample)].iloc[0]
        _calibration(top, bias[here & (bias["quantity"] == "predicted_age")], found, colour, ends)
        _gaps(bottom, bias[here], colour)
        top.set_title(style.label(name), loc="left")
        top.set_xlabel("True age (years)")
        bottom.set_xlabel("Age group (years)")
    panels[0, 0].set_ylabel("Mean predicted age (years)")
    panels[1, 0].set_ylabel("Mean gap (years)")
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "ncols": 2, "borderaxespad": 0, "handletextpad": 0.3}
    panels[1, 0].legend(**above)
    figure.supxlabel(f"Means with intervals: {SAMPLES[sample]}", fontsize=7, color=style.GREY)
    return figure
