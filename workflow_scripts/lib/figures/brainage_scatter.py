"""Predicted against true age, one panel a representation."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from workflow_scripts.lib.figures import style

MANY = 2000  # points of a panel above this are drawn small and faint, as pixels also in the PDF
SOME = 200  # and above this smaller

SAMPLES = {
    "test_normative": "normative people who did not train",
    "test": "all people who did not train",
    "train_out_of_fold": "people who trained, by models that did not see them",
}


def _print_numbers(axes: Axes, found: pd.Series) -> None:
    text = f"MAE {found['mae']:.2f} years\nr {found['r']:.2f}\nR² {found['r2']:.2f}\nn {found['n']:.0f}".replace(
        "-", "−"
    )
    axes.text(0.97, 0.03, text, transform=axes.transAxes, ha="right", va="bottom", fontsize=7)


def draw(gaps: pd.DataFrame, metrics: pd.DataFrame, sample: str = "test_normative") -> Figure:
    """Draw predicted against true age with the line of identity.

    Parameters
    ----------
    gaps : pandas.DataFrame
        representation, role (train, test), age, predicted_age (years; schema ``gaps``). Training
        people, predicted out of fold, are drawn hollow.
    metrics : pandas.DataFrame
        representation, sample, n, mae, r, r2 (schema ``brainage_metrics``).
    sample : str
        Which sample's numbers to print: ``test_normative``, ``test`` or ``train_out_of_fold``; where the first has
        nobody, since all normative people train, the last.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if not (metrics.loc[metrics["sample"] == sample, "n"] > 0).any():
        sample = "train_out_of_fold"
    names = list(gaps["representation"].unique())
    figure = Figure(figsize=(2.5 * len(names), 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, sharex=True, sharey=True)[0]
    both = np.r_[gaps["age"], gaps["predicted_age"]]
    ends = [np.floor(both.min() / 5) * 5, np.ceil(both.max() / 5) * 5]
    many = len(gaps) > MANY * len(names)
    size, alpha = (1, 0.1) if many else (6, 0.6) if len(gaps) > SOME * len(names) else (12, 0.8)
    for axes, name in zip(panels, names, strict=True):
        rows, colour = gaps[gaps["representation"] == name], style.colour(name)
        look = {"s": size, "alpha": alpha, "linewidths": 0.6, "rasterized": many}
        hollow = {"facecolors": "none", "edgecolors": "black" if many else colour}
        filled = {"facecolors": colour, "edgecolors": "none" if many else colour}
        for role, face, text in (("test", filled, "did not train"), ("train", hollow, "trained (out of fold)")):
            some = rows[rows["role"] == role]
            axes.scatter(some["age"], some["predicted_age"], label=text, **look, **face)
        axes.plot(ends, ends, color=style.GREY, linestyle=(0, (4, 3)), linewidth=0.8)
        _print_numbers(axes, metrics[(metrics["representation"] == name) & (metrics["sample"] == sample)].iloc[0])
        axes.set_title(style.label(name), loc="left")
        axes.set_xlabel("True age (years)")
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        axes.xaxis.set_major_locator(MultipleLocator(10))
        axes.yaxis.set_major_locator(MultipleLocator(10))
    panels[0].set_ylabel("Predicted age (years)")
    legend = panels[0].legend(loc="upper left", handletextpad=0.1, borderpad=0)
    for handle in legend.legend_handles:
        handle.set(alpha=1, sizes=[12])
    figure.supxlabel(f"MAE, r, R², n: {SAMPLES[sample]}", fontsize=7, color=style.GREY)
    return figure
