"""What the quality control of genotypes left, step by step, and the components of ancestry of those who are left."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workflow_scripts.lib.figures import style

WIDTH, ROW, LOWER = 7.2, 0.17, 2.6  # inches: width, a step, the lower panels
TITLES = {
    "start": "All wanted",
    "alleles": "More than two alleles",
    "info": "Imputed badly",
    "parts": "No sample in some chromosome",
    "ancestry": "Other ancestry",
    "sex": "Sex differs",
    "autosomes": "Not on an autosome",
    "relatives": "Relatives",
    "variant_missingness": "Variants: calls missing",
    "frequency": "Rare",
    "duplicates": "Duplicated",
    "hwe": "Hardy–Weinberg",
    "person_missingness": "People: calls missing",
}
DOT = {"s": 7, "linewidths": 0, "alpha": 0.6, "rasterized": True}


def tidy(steps: pd.DataFrame, components: pd.DataFrame, eigenvalues: pd.DataFrame) -> pd.DataFrame:
    """Put what the figure draws into one table, without ids.

    Parameters
    ----------
    steps : pandas.DataFrame
        Schema ``genotype_qc_steps``.
    components : pandas.DataFrame
        Schema ``genetic_pcs``.
    eigenvalues : pandas.DataFrame
        ``component``, ``eigenvalue``.

    Returns
    -------
    pandas.DataFrame
        ``panel`` (people, variants, scatter, scree), ``label`` (of steps and components), ``x``, ``y``: left and
        removed; first and second component; number and eigenvalue.
    """
    rows = [
        pd.DataFrame({"panel": what, "label": steps["step"], "x": steps[what], "y": steps[f"{what}_removed"]})
        for what in ("people", "variants")
    ]
    if "PC2" in components:
        rows.append(pd.DataFrame({"panel": "scatter", "label": "", "x": components["PC1"], "y": components["PC2"]}))
    known = eigenvalues.dropna()
    numbers = pd.Series(np.arange(1, len(known) + 1), index=known.index)
    scree = {"panel": "scree", "label": known["component"], "x": numbers, "y": known["eigenvalue"]}
    return pd.concat([*rows, pd.DataFrame(scree)], ignore_index=True)


def _title(step: str) -> str:
    return TITLES.get(step, step.replace("exclude_", "Named in ").replace("_", " "))


def _steps(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Draw how many are left after each step; beside the bar how many it removed."""
    places = np.arange(len(rows))
    axes.barh(places, rows["x"], color=colour, height=0.72)
    most = rows["x"].max()
    for place, (left, removed) in enumerate(zip(rows["x"], rows["y"], strict=True)):
        text = f"{int(left):,}" + (f"  (−{int(removed):,})" if removed else "")
        axes.text(left + 0.015 * most, place, text, va="center", fontsize=6)
    axes.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1.45 * most), title=f"{rows['panel'].iloc[0].capitalize()} left")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.tick_params(axis="y", length=0)


def _scatter(axes: Axes, rows: pd.DataFrame) -> None:
    axes.scatter(rows["x"], rows["y"], color=style.PALETTE["blue"], **DOT)
    axes.set(xlabel="Genetic component 1", ylabel="Genetic component 2", title=f"Ancestry, {len(rows):,} people")
    axes.margins(0.06)


def _scree(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot(rows["x"], rows["y"], color=style.PALETTE["blue"], marker="o", markersize=3.5)
    axes.set(xlabel="Genetic component", ylabel="Eigenvalue", title="Scree")
    axes.set_ylim(0, 1.08 * rows["y"].max())
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))


def draw(table: pd.DataFrame) -> Figure:
    """Draw counts a step above, components below.

    Parameters
    ----------
    table : pandas.DataFrame
        What :func:`tidy` gives. Without components the lower row is left out; without eigenvalues (components of a
        user's table) its right half.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = {name: rows for name, rows in table.groupby("panel", sort=False)}
    lower = [name for name in ("scatter", "scree") if name in panels]
    upper = ROW * len(panels["people"]) + 0.75
    figure = Figure(figsize=(WIDTH, upper + (LOWER if lower else 0)), layout="constrained")
    grid = figure.add_gridspec(2 if lower else 1, 1, height_ratios=[upper, LOWER] if lower else [1])
    top = grid[0].subgridspec(1, 2).subplots(sharey=True)
    for axes, (what, colour) in zip(top, (("people", "sky"), ("variants", "orange")), strict=True):
        _steps(axes, panels[what], style.PALETTE[colour])
    names = [_title(step) for step in panels["people"]["label"]]
    top[0].set_yticks(range(len(names)), names)
    if lower:
        below = grid[1].subgridspec(1, 2)
        for place, name in enumerate(lower):
            axes = figure.add_subplot(below[place])
            {"scatter": _scatter, "scree": _scree}[name](axes, panels[name])
    return figure
