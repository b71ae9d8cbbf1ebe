"""Heritability of the traits and their genetic correlations (Figure 3b of the published study), by two methods."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from workflow_scripts.lib.figures import style

COLUMNS = ["kind", "method", "trait_a", "trait_b", "value", "lower", "upper", "p", "people"]
METHODS = {"greml": "GREML", "gcta": "GREML (GCTA)", "bolt": "GREML (BOLT)", "ldsc": "LD score regression"}
CELL, PER_TRAIT, HEIGHT = 0.85, 0.55, 2.6  # inches
DARK = 0.55  # of |rg|: letters above it are white


def gather(
    greml_h2: pd.DataFrame, greml_rg: pd.DataFrame, ldsc_h2: pd.DataFrame, ldsc_rg: pd.DataFrame
) -> pd.DataFrame:
    """Put the tables of both methods one below the other.

    Parameters
    ----------
    greml_h2, greml_rg, ldsc_h2, ldsc_rg : pandas.DataFrame
        Schemas ``greml_heritability``, ``greml_correlation``, ``ldsc_heritability``, ``ldsc_correlation``.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`COLUMNS`; ``kind`` is h2 or rg, ``trait_b`` missing for h2, ``p`` that of no heritability, or of
        no correlation.
    """
    parts = [
        greml_h2.rename(columns={"trait": "trait_a", "h2": "value"}).assign(kind="h2"),
        ldsc_h2.rename(columns={"trait": "trait_a", "h2": "value"}).assign(kind="h2", method="ldsc"),
        greml_rg.rename(columns={"rg": "value", "p_zero": "p"}).assign(kind="rg"),
        ldsc_rg.rename(columns={"rg": "value"}).assign(kind="rg", method="ldsc"),
    ]
    return pd.concat([part.reindex(columns=COLUMNS) for part in parts if len(part)], ignore_index=True)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _bars(axes: Axes, table: pd.DataFrame, traits: list[str]) -> None:
    """Draw a bar a trait and method, with intervals; those of the second method are pale."""
    methods = [method for method in METHODS if (table["method"] == method).any()]
    width = 0.8 / len(methods)
    for index, method in enumerate(methods):
        rows = table[table["method"] == method].set_index("trait_a").reindex(traits)
        places = np.arange(len(traits)) + (index - (len(methods) - 1) / 2) * width
        known = rows["value"].notna().to_numpy()
        values, colours = rows["value"].to_numpy(float)[known], [style.colour(name) for name in traits]
        look = {"color": np.array(colours, object)[known].tolist(), "edgecolor": "black", "linewidth": 0.5}
        look |= {"alpha": 0.5, "hatch": "///"} if method == "ldsc" else {}
        axes.bar(places[known], values, 0.92 * width, **look)
        reach = [values - rows["lower"].to_numpy(float)[known], rows["upper"].to_numpy(float)[known] - values]
        axes.errorbar(
            places[known], values, np.maximum(reach, 0), fmt="none", ecolor="black", elinewidth=0.8, capsize=2
        )
        for place in places[~known]:
            axes.text(place, 0, " n/a", rotation=90, ha="center", va="bottom", fontsize=6, color=style.GREY)
        pale = {"alpha": 0.5, "hatch": "///"} if method == "ldsc" else {}
        axes.bar([np.nan], [0], color=style.GREY, edgecolor="black", linewidth=0.5, label=METHODS[method], **pale)
    axes.axhline(0, color="black", linewidth=0.7)
    axes.set_xticks(range(len(traits)), [style.label(name) for name in traits], rotation=25, ha="right")
    axes.set_xlim(-0.6, len(traits) - 0.4)
    low, high = axes.get_ylim()
    # one wild interval, of LD score regression in a small study, must not make the others invisible
    axes.set_ylim(max(low, -0.5), min(max(high, 0.1), 1.5))
    axes.set_ylabel("Heritability h²")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0, handlelength=1.4)


def _matrix(axes: Axes, table: pd.DataFrame, traits: list[str]) -> AxesImage:
    """Draw the matrix of correlations: GREML above the diagonal, LD score regression below."""
    grid, place = np.full((len(traits), len(traits)), np.nan), {name: at for at, name in enumerate(traits)}
    for row in table.to_dict("records"):
        first, second = sorted((place[row["trait_a"]], place[row["trait_b"]]))
        i, j = (second, first) if row["method"] == "ldsc" else (first, second)
        if pd.isna(row["value"]):
            axes.text(j, i, "n/a", ha="center", va="center", color=style.GREY, fontsize=7)
            continue
        grid[i, j] = np.clip(row["value"], -1, 1)
        ink = "white" if abs(grid[i, j]) > DARK else "black"
        axes.text(j, i - 0.1, _number(row["value"]), ha="center", va="center", color=ink, fontsize=9)
        if pd.notna(row["lower"]) and pd.notna(row["upper"]):
            interval = f"{_number(row['lower'])} to\n{_number(row['upper'])}"
            axes.text(j, i + 0.2, interval, ha="center", va="center", color=ink, fontsize=5.5, linespacing=1)
    image = axes.imshow(grid, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.plot([-0.5, len(traits) - 0.5], [-0.5, len(traits) - 0.5], color=style.GREY, linewidth=0.7)
    labels = [style.label(name) for name in traits]
    axes.set_xticks(range(len(traits)), labels, rotation=25, ha="right")
    axes.set_yticks(range(len(traits)), labels)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    for at in range(1, len(traits)):
        axes.axhline(at - 0.5, color="white", linewidth=2)
        axes.axvline(at - 0.5, color="white", linewidth=2)
    axes.set_title("Above the diagonal GREML, below LD score regression", loc="left", fontsize=7)
    return image


def draw(table: pd.DataFrame) -> Figure:
    """Draw heritabilities as bars and genetic correlations as a matrix.

    Parameters
    ----------
    table : pandas.DataFrame
        Of :func:`gather`.

    Returns
    -------
    matplotlib.figure.Figure
        Left bars with 95% intervals, the two methods side by side; right, with two traits or more, the correlations
        with theirs.
    """
    shares, pairs = (table[table["kind"] == kind] for kind in ("h2", "rg"))
    traits = list(dict.fromkeys([*shares["trait_a"], *pairs["trait_a"], *pairs["trait_b"]]))
    left = 1.3 + PER_TRAIT * max(len(traits), 2)
    right = 1.5 + CELL * len(traits) if len(pairs) else 0
    size = (left + right, max(HEIGHT, 0.9 + CELL * len(traits) if len(pairs) else 0))
    figure = Figure(figsize=size, layout="constrained")
    if not len(pairs):
        _bars(figure.subplots(), shares, traits)
        return figure
    bars, matrix = figure.subplots(1, 2, width_ratios=[left, right])
    _bars(bars, shares, traits)
    image = _matrix(matrix, pairs, traits)
    figure.colorbar(image, ax=matrix, label="Genetic correlation", shrink=0.75)
    return figure
