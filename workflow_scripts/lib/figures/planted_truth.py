"""Planted against measured: six panels that say whether the study sees what is there."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

REGION_COLOURS = ("#0072B2", "#D55E00")
LIMIT_MM = 2.0  # what registration must stay under


def _scatter(axes: Axes, table: pd.DataFrame, r: pd.Series, colours: dict[str, str], names: dict[str, str]) -> None:
    for group, rows in table.groupby("group", sort=False):
        look = {"s": 7, "alpha": 0.7, "linewidths": 0, "color": colours[group]}
        axes.scatter(rows["planted"], rows["measured"], label=f"{names[group]}: r = {r[group]:.2f}", **look)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.12 * (high - low) * table["group"].nunique())  # room for the legend
    axes.legend(frameon=False, fontsize=6, handletextpad=0.1, loc="upper left")


def _pose(axes: Axes, pose: pd.DataFrame) -> None:
    axes.scatter(pose["planted"], pose["measured"], s=7, alpha=0.7, linewidths=0, color="#009E73")
    axes.axhline(LIMIT_MM, color="black", linewidth=0.6, linestyle=":")
    top = max(1.2 * LIMIT_MM, 1.05 * pose["measured"].max())
    axes.set(title="Registration", xlabel="planted displacement (mm)", ylabel="error that is left (mm)", ylim=(0, top))


def _site(axes: Axes, site: pd.DataFrame) -> None:
    axes.bar(site["group"], site["measured_mean"], color=["#999999", "#56B4E9"], width=0.6)
    axes.axhline(site["planted_mean"].max(), color="black", linewidth=0.6, linestyle=":", label="chance")
    axes.set(title="Site guessed from features", ylabel="accuracy", ylim=(0, 1.1))
    axes.legend(frameon=False, fontsize=6)


def _loci(axes: Axes, loci: pd.DataFrame) -> None:
    names = list(loci["item"].unique())
    groups = list(loci["group"].unique())
    for place, group in enumerate(groups):
        rows = loci[loci["group"] == group].set_index("item").loc[names]
        offset = (place - (len(groups) - 1) / 2) * 0.8 / len(groups)
        look = {"width": 0.8 / len(groups), "color": style.colour(group), "label": style.label(group)}
        axes.bar(np.arange(len(names)) + offset, rows["measured"], **look)
    shares = loci.drop_duplicates("item").set_index("item")["planted"]
    axes.set_xticks(range(len(names)), [f"{name}\n{100 * shares[name]:.0f}%" for name in names])
    axes.set(title="Planted loci", xlabel="locus, share of the genetic offset", ylabel="−log₁₀ p, best within 100 kb")
    axes.legend(frameon=False, fontsize=6)


def draw(table: pd.DataFrame, summary: pd.DataFrame) -> Figure:
    """Draw the figure.

    Parameters
    ----------
    table : pandas.DataFrame
        check (volume, atrophy, pose, site, gap, locus), group, item, planted, measured.
    summary : pandas.DataFrame
        check, group, r, planted_mean, measured_mean.

    Returns
    -------
    matplotlib.figure.Figure
    """
    parts, found = dict(list(table.groupby("check"))), dict(list(summary.groupby("check")))
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    regions = list(parts["volume"]["group"].unique())
    colours, names = dict(zip(regions, REGION_COLOURS, strict=True)), {region: region for region in regions}
    r = {check: rows.set_index("group")["r"] for check, rows in found.items()}
    _scatter(panels[0], parts["volume"], r["volume"], colours, names)
    panels[0].set(title="Regional volume", xlabel="true log volume", ylabel="measured log volume")
    _scatter(panels[1], parts["atrophy"], r["atrophy"], colours, names)
    panels[1].set(title="Ageing and disease", xlabel="planted log change", ylabel="measured log share of ICV")
    _pose(panels[2], parts["pose"])
    _site(panels[3], found["site"])
    kinds = list(parts["gap"]["group"].unique())
    looks = {kind: style.colour(kind) for kind in kinds}, {kind: style.label(kind) for kind in kinds}
    _scatter(panels[4], parts["gap"], r["gap"], *looks)
    panels[4].set(title="Brain age gap", xlabel="planted gap (years)", ylabel="measured, debiased (years)")
    _loci(panels[5], parts["locus"])
    return figure
