"""In which cell types' open chromatin each trait's heritability is enriched (Figure 6a, b of the published study)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style

HEIGHT, LEAST_WIDTH = 2.9, 3.6  # inches
PER_BAR, SIDES = 0.16, 1.3  # inches of width a bar, and for the rest
FILLED = 0.8  # share of a cell type's room that bars take


def _order(table: pd.DataFrame) -> list[str]:
    """Sort cell types by their lowest q over all traits, then by name; those without an estimate come last."""
    lowest = table.groupby("cell_type")["q"].min()
    return sorted(lowest.index, key=lambda name: (np.isnan(lowest[name]), lowest[name], name))


def _looks(traits: list[str]) -> dict[str, tuple[str, str]]:
    """Give each trait a colour and a marker: the study's, or a free one where another trait has that."""
    looks: dict[str, tuple[str, str]] = {}
    spare = [*style.OTHERS, *((colour, marker) for _, colour, marker in style.KNOWN.values())]
    for trait in sorted(traits, key=lambda name: name not in style.KNOWN):
        wanted = (style.colour(trait), style.marker(trait))
        taken = {colour for colour, _ in looks.values()}
        free = [look for look in [wanted, *spare] if look[0] not in taken]
        looks[trait] = free[0] if free else wanted
    return looks


def _bars(
    axes: Axes, table: pd.DataFrame, cells: list[str], looks: dict[str, tuple[str, str]], traits: list[str], foot: float
) -> None:
    width = FILLED / len(traits)
    for index, trait in enumerate(traits):
        mine = table[table["trait"] == trait].set_index("cell_type").reindex(cells)
        q, (colour, marker) = mine["q"].to_numpy(float), looks[trait]
        places = np.arange(len(cells)) + (index - (len(traits) - 1) / 2) * width
        known = ~np.isnan(q)
        heights = -np.log10(q[known])
        # open where something speaks against the estimate
        faces = [colour if pd.isna(note) or not note else "none" for note in mine["note"][known]]
        axes.bar(places[known], heights, width * 0.88, color=faces, edgecolor=colour, linewidth=0.8)
        # a marker at the foot of each bar tells traits apart without colour, also where -log10 q is 0
        marks = {"s": 9, "marker": marker, "color": colour, "linewidths": 0}
        axes.scatter(places[known], np.full(known.sum(), -foot), clip_on=False, zorder=3, **marks)
        for place in places[~known]:
            axes.text(place, 0, " n/a", rotation=90, ha="center", va="bottom", fontsize=5, color=style.GREY)


def draw(table: pd.DataFrame, level: float) -> Figure:
    """Draw -log10 of the adjusted p-value of every cell type, a bar a trait.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``ldsc_cell_types``.
    level : float
        False discovery rate, drawn as a red dotted line.

    Returns
    -------
    matplotlib.figure.Figure
        Cell types by their lowest adjusted p-value, what could not be tested marked n/a, bars open where the table
        notes something against the estimate.
    """
    cells, traits = _order(table), list(dict.fromkeys(table["trait"]))
    width = max(LEAST_WIDTH, SIDES + PER_BAR * len(cells) * (len(traits) + 1))
    figure = Figure(figsize=(width, HEIGHT), layout="constrained")
    axes = figure.subplots()
    line = -np.log10(level)
    top = 1.12 * max(line, np.nanmax([line, *-np.log10(table["q"].to_numpy(float))]))
    looks = _looks(traits)
    _bars(axes, table, cells, looks, traits, 0.03 * top)
    axes.axhline(line, color="red", linestyle=":", linewidth=1, zorder=0)
    words = {"color": "red", "fontsize": 6, "ha": "right", "va": "bottom", "textcoords": "offset points"}
    axes.annotate(f"FDR {level:g}", (1, line), (-1, 1.5), xycoords=("axes fraction", "data"), **words)
    axes.set_ylim(0, top)
    axes.set_xlim(-0.6, len(cells) - 0.4)
    axes.set_xticks(
        range(len(cells)), [_words(name) for name in cells], rotation=35, ha="right", rotation_mode="anchor"
    )
    axes.tick_params(axis="x", length=0, pad=7)
    axes.set_ylabel("−log₁₀ FDR-adjusted p")
    handles = [_key(trait, *looks[trait]) for trait in traits]
    # above the axes: within them bars and line may stand anywhere
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.02), "borderaxespad": 0}
    axes.legend(handles=handles, ncols=min(len(traits), 4), handletextpad=0.3, columnspacing=1.2, **place)
    return figure


def _key(trait: str, colour: str, marker: str) -> Line2D:
    shown = {"marker": marker, "color": colour, "linestyle": "none", "markersize": 5}
    return Line2D([], [], label=style.label(trait), **shown)


def _words(name: str) -> str:
    """Part the words of a file's name: ExcitatoryNeurons, Astrocyte.1, nigral_OPC."""
    return "".join(
        f" {letter.lower()}" if at and letter.isupper() and name[at - 1].islower() else letter
        for at, letter in enumerate(name.replace("_", " "))
    )
