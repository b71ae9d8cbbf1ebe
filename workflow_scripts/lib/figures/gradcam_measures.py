"""What Grad-CAM maps are worth: energy in the lesion, pointing, insertion and deletion, and maps without weights."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.errors import StudyError

ROW = 0.3  # inches a cell
COLUMNS = 3
# quantity -> name in print, colour, marker, whether it is drawn filled
ENERGY = {
    "energy": ("trained network", style.PALETTE["blue"], "o", True),
    "energy_random": ("untrained networks", style.GREY, "s", False),
    "energy_others": ("trained, other images' masks", style.PALETTE["orange"], "D", False),
    "chance": ("chance: the mask's share", "black", "|", True),
}
POINTING = {
    "pointing": ("trained network", style.PALETTE["blue"], "o", True),
    "chance": ("chance: the mask's share", "black", "|", True),
}
GAINS = {
    "insertion_gain": ("insertion, above random order", style.PALETTE["green"], "^", True),
    "deletion_gain": ("deletion, below random order", style.PALETTE["vermillion"], "v", True),
}
PANELS = (
    (ENERGY, "energy inside the lesion", "share of the map's sum"),
    (POINTING, "pointing game", "share of maxima inside the lesion"),
    (GAINS, "insertion and deletion", "gain in area"),
)
# of cells; the colours of measures come last
LINES = [style.PALETTE[name] for name in ("purple", "sky")] + ["#000000", "#8C6D31", "#17806D", style.GREY]
SOURCE = [
    "grid",
    "dataset",
    "cell",
    "quantity",
    "number",
    "stage",
    "split",
    "seed",
    "value",
    "lower",
    "upper",
    "images",
]


def source_table(summary: pd.DataFrame, randomisation: pd.DataFrame) -> pd.DataFrame:
    """Put all that is drawn into one long table.

    Parameters
    ----------
    summary : pandas.DataFrame
        Schema ``explain_summary`` with ``grid``.
    randomisation : pandas.DataFrame
        Schema ``explain_randomisation`` with ``grid``.

    Returns
    -------
    pandas.DataFrame
        grid, dataset, cell, quantity, number and stage (of a randomisation), split, seed, value, lower, upper, images.
    """
    wanted = {name for names, _, _ in PANELS for name in names}
    rows = summary[summary["quantity"].isin(wanted) & (summary["subset"] == "all")]
    rows = rows[rows["explained"] == "predicted"]
    stages = randomisation.rename(columns={"rank_correlation": "value"}).assign(quantity="rank_correlation")
    table = pd.concat([rows, stages], ignore_index=True).reindex(columns=SOURCE)
    return table.astype({name: "Int64" for name in ("number", "split", "seed", "images")})


def _dots(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, tuple], cells: Sequence[tuple]) -> None:
    """Draw the quantities of all cells, each a little below the one before."""
    axes.axvline(0, color=style.GREY, linewidth=0.6, zorder=0)
    with_bars = [name for name in looks if name != "chance"]
    for name, (_, colour, marker, filled) in looks.items():
        own = rows[rows["quantity"] == name].set_index(["grid", "cell"])
        aside = 0.0 if name == "chance" else 0.22 * (with_bars.index(name) - (len(with_bars) - 1) / 2)
        for place, cell in enumerate(cells):
            if cell not in own.index or pd.isna(own.loc[cell, "value"]):
                continue
            value, lower, upper = own.loc[cell, ["value", "lower", "upper"]].astype(float)
            y = place + aside
            size = 15 if name == "chance" else 4.5
            face = colour if filled else "white"
            axes.plot(value, y, marker, color=colour, markersize=size, markerfacecolor=face, zorder=3)
            if name != "chance" and not np.isnan(lower):
                axes.hlines(y, lower, upper, color=colour, linewidth=1, zorder=2)
    axes.set_ylim(len(cells) - 0.4, -0.6)


def _cascade(axes: Axes, rows: pd.DataFrame, colours: Mapping[tuple, str], title: str) -> None:
    """Draw one dataset's rank correlations from the trained network (left) to one without learned weights (right)."""
    axes.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    longest = rows.loc[rows["number"] == rows["number"].max()].iloc[0]
    same = (rows[name] == longest[name] for name in ("grid", "cell", "split", "seed"))
    names = rows[np.logical_and.reduce(list(same))].sort_values("number")["stage"]
    for (grid, cell, _, _), fit in rows.groupby(["grid", "cell", "split", "seed"], sort=False):
        fit = fit.sort_values("number")
        x, y = [0, *fit["number"]], [1.0, *fit["value"].astype(float)]
        axes.plot(x, y, color=colours[grid, cell], marker=".", markersize=4, linewidth=0.9, alpha=0.8)
    axes.set_xticks(range(len(names) + 1), ["trained", *names], rotation=60, ha="right")
    axes.set_ylim(min(-0.25, float(rows["value"].min()) - 0.05), 1.05)
    axes.set_title(title, loc="left")
    axes.set_ylabel("rank correlation with the trained\nnetwork's maps")
    axes.set_xlabel("fresh weights down to")


def draw(table: pd.DataFrame, titles: Mapping[str, str] | None = None) -> Figure:
    """Draw a row a cell for the measures, and below a panel a dataset for the randomisation.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`source_table`.
    titles : mapping, optional
        Dataset -> its name in print.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    if table.empty:
        raise StudyError("there is no measure of a map to draw; explain_grid found no test image.")
    titles = titles or {}
    cells = list(table[["grid", "cell", "dataset"]].drop_duplicates().itertuples(index=False, name=None))
    datasets = list(dict.fromkeys(table["dataset"]))
    colours = {cell[:2]: LINES[place % len(LINES)] for place, cell in enumerate(cells)}
    columns = min(COLUMNS, len(datasets))
    lines = -(-len(datasets) // columns)
    upper = ROW * len(cells) + 1.5
    figure = Figure(figsize=(8.4, upper + 2.5 * lines), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[upper, 2.5 * lines])
    for number, (axes, (looks, title, label)) in enumerate(zip(top.subplots(1, len(PANELS)), PANELS, strict=True)):
        _dots(axes, table[table["quantity"].isin(looks)], looks, [cell[:2] for cell in cells])
        names = [f"{titles.get(dataset, dataset)}: {cell}" for _, cell, dataset in cells]
        axes.set_yticks(range(len(cells)), names if number == 0 else [])
        axes.set_title(title, loc="left")
        axes.set_xlabel(label)
    if top.axes:
        for tick, cell in zip(top.axes[0].get_yticklabels(), cells, strict=True):
            tick.set_color(colours[cell[:2]])
    _legend(top)
    panels = bottom.subplots(lines, columns, squeeze=False).ravel()
    stages = table[table["quantity"] == "rank_correlation"]
    for axes, dataset in zip(panels, datasets, strict=False):
        _cascade(axes, stages[stages["dataset"] == dataset], colours, titles.get(dataset, dataset))
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    return figure


def _legend(figure: Figure) -> None:
    handles = []
    for label, colour, marker, filled in dict.fromkeys([*ENERGY.values(), *GAINS.values()]):
        face = colour if filled else "white"
        size = 8 if marker == "|" else 4.5
        look = {"color": colour, "marker": marker, "markerfacecolor": face, "markersize": size, "linestyle": ""}
        handles.append(Line2D([], [], label=label, **look))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
