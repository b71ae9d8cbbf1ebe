"""How far the brain-age gaps of representations agree (Figure 3a of the published study)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from workflow_scripts.lib.figures import style

TITLES = {"gap": "Brain-age gap", "gap_debiased": "Brain-age gap, debiased"}
DARK = 0.55  # of |r|: letters above it are white


def _panel(axes: Axes, rows: pd.DataFrame, names: list[str]) -> AxesImage:
    """Draw the pairs below the diagonal, with r and its interval in each cell."""
    grid = np.full((len(names), len(names)), np.nan)
    place = {name: index for index, name in enumerate(names)}
    for row in rows.to_dict("records"):
        j, i = sorted((place[row["a"]], place[row["b"]]))
        grid[i, j] = row["r"]
        ink = "white" if abs(row["r"]) > DARK else "black"
        axes.text(j, i - 0.08, f"{row['r']:.2f}".replace("-", "−"), ha="center", va="center", color=ink, fontsize=10)
        interval = f"{row['lower']:.2f} to {row['upper']:.2f}".replace("-", "−")
        axes.text(j, i + 0.16, interval, ha="center", va="center", color=ink, fontsize=6)
    image = axes.imshow(grid, cmap="RdBu_r", vmin=-1, vmax=1)
    labels = [style.label(name) for name in names]
    axes.set_xticks(range(len(names) - 1), labels[:-1], rotation=25, ha="right")
    axes.set_yticks(range(1, len(names)), labels[1:])
    axes.set_xlim(-0.5, len(names) - 1.5)
    axes.set_ylim(len(names) - 0.5, 0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(names)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names)) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    return image


def draw(correlations: pd.DataFrame, sample: str = "test_normative", level: float = 0.95) -> Figure:
    """Draw one heat map for the raw and one for the debiased gap.

    Parameters
    ----------
    correlations : pandas.DataFrame
        sample, a, b, gap (gap, gap_debiased), n, r, lower, upper (schema ``gap_correlations``).
    sample : str
        Which people: ``test_normative`` or ``test``.
    level : float
        Coverage of the intervals, for the caption.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = correlations[correlations["sample"] == sample]
    names = list(dict.fromkeys([*rows["a"], *rows["b"]]))
    kinds = [kind for kind in TITLES if (rows["gap"] == kind).any()]
    side = 0.9 * (len(names) - 1) + 1.0
    figure = Figure(figsize=(side * len(kinds) + 0.8, side + 0.5), layout="constrained")
    panels = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        some = rows[rows["gap"] == kind]
        image = _panel(axes, some, names)
        axes.set_title(f"{TITLES[kind]}\n{some['n'].min():.0f} people", loc="left")
    figure.colorbar(image, ax=panels, label=f"Pearson's r, {100 * level:.0f}% interval", shrink=0.8)
    return figure
