"""Planted against measured: four panels that say whether the study sees what is there."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

REGION_COLOURS = ("#0072B2", "#D55E00")


def _scatter(axes: Axes, table: pd.DataFrame, colours: dict[str, str], names: dict[str, str]) -> None:
    for group, rows in table.groupby("group", sort=False):
        r = np.corrcoef(rows["planted"], rows["measured"])[0, 1]
        look = {"s": 7, "alpha": 0.7, "linewidths": 0, "color": colours[group]}
        axes.scatter(rows["planted"], rows["measured"], label=f"{names[group]}: r = {r:.2f}", **look)
    axes.legend(frameon=False, fontsize=6, handletextpad=0.1, loc="upper left")


def draw(table: pd.DataFrame) -> Figure:
    """Draw the figure.

    Parameters
    ----------
    table : pandas.DataFrame
        check (volume, atrophy, pose, site, gap), group, scan_id, planted, measured.

    Returns
    -------
    matplotlib.figure.Figure
    """
    parts = dict(list(table.groupby("check")))
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    regions = list(parts["volume"]["group"].unique())
    colours, names = dict(zip(regions, REGION_COLOURS, strict=True)), {region: region for region in regions}
    _scatter(panels[0], parts["volume"], colours, names)
    panels[0].set(title="Regional volume", xlabel="true log volume", ylabel="measured log volume")
    _scatter(panels[1], parts["atrophy"], colours, names)
    panels[1].set(title="Ageing and disease", xlabel="planted log change", ylabel="measured log share of ICV")
    pose = parts["pose"]
    panels[2].scatter(pose["planted"], pose["measured"], s=7, alpha=0.7, linewidths=0, color="#009E73")
    panels[2].axhline(2, color="black", linewidth=0.6, linestyle=":")
    panels[2].set(
        title="Registration", xlabel="planted displacement (mm)", ylabel="error after registration (mm)", ylim=(0, 2.6)
    )
    site = parts["site"].groupby("group", sort=False)[["planted", "measured"]].mean()
    panels[3].bar(site.index, site["measured"], color=["#999999", "#56B4E9"], width=0.6)
    panels[3].axhline(site["planted"].max(), color="black", linewidth=0.6, linestyle=":", label="chance")
    panels[3].set(title="Site guessed from features", ylabel="accuracy", ylim=(0, 1))
    panels[3].legend(frameon=False, fontsize=6)
    gaps = parts["gap"]
    kinds = list(gaps["group"].unique())
    _scatter(panels[4], gaps, {kind: style.colour(kind) for kind in kinds}, {kind: style.label(kind) for kind in kinds})
    panels[4].set(title="Brain age gap", xlabel="planted gap (years)", ylabel="measured gap, debiased (years)")
    panels[5].set_axis_off()
    return figure
