"""Images with their Grad-CAM maps: the surest right and the surest wrong predictions of each cell (Frees et al.)."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.study.errors import StudyError

COLOURS = "inferno"
SIDE = 1.05  # inches of a picture
MOST_CELLS = 6
MOST_CASES = 8
OUTLINE = style.PALETTE["sky"]
SOURCE = ["grid", "cell", "dataset", "split", "seed", "kind", "image_id", "y", "label", "predicted", "score"]
SOURCE += ["has_mask", "empty", "chance", "energy", "energy_others", "energy_random", "pointing"]


def choose(panels: pd.DataFrame, cells: int = MOST_CELLS, cases: int = MOST_CASES) -> pd.DataFrame:
    """Keep what one figure can hold: the first cells of each dataset in turn, of each as many right as wrong cases.

    Parameters
    ----------
    panels : pandas.DataFrame
        Schema ``explain_panels``, with ``grid``.
    cells, cases : int
        At most so many, cases for each cell.

    Returns
    -------
    pandas.DataFrame
        Rows of ``panels`` with their index, cells in their order; of each kind and true class the surest first, one
        after the other.
    """
    place = ["grid", "cell"]
    every = panels[[*place, "dataset"]].drop_duplicates().reset_index(drop=True)
    turns = every.groupby("dataset", sort=False).cumcount().sort_values(kind="stable").head(cells)
    first = every.loc[sorted(turns.index), place]
    first = first.assign(order=range(len(first)))
    kept = panels.reset_index().merge(first, on=place).set_index("index")
    turn = kept.groupby([*place, "kind", "y"]).cumcount()
    kept = kept.assign(turn=turn).sort_values(["order", "kind", "turn", "y"], kind="stable")
    number = kept.groupby([*place, "kind"]).cumcount()
    return kept[number < max(1, cases // 2)].drop(columns=["turn", "order"])


def beside_bar(figure: Figure, label: str) -> SubFigure:
    """Put a narrow colour bar from 0 to 1 on the right of a figure, and give the rest of it."""
    body, edge = figure.subfigures(1, 2, width_ratios=[1, 0.9 / figure.get_figwidth()])
    axes = edge.subplots(3, 1)
    for unused in axes[[0, 2]]:
        unused.set_axis_off()
    figure.colorbar(ScalarMappable(Normalize(0, 1), COLOURS), cax=axes[1], label=label)
    axes[1].set_box_aspect(12)
    return body


def _case(image: Axes, overlay: Axes, row: object, picture: Mapping[str, np.ndarray], names: Mapping[int, str]) -> None:
    """Draw an image, and below it the image under its map, both with the lesion's outline."""
    pixels = np.moveaxis(picture["images"], 0, -1)
    grey = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    for axes in (image, overlay):
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
        if picture["masks"].any():
            axes.contour(picture["masks"], [0.5], colors=OUTLINE, linewidths=0.8)
        axes.set_axis_on()
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(visible=True, color="black" if row.kind == "right" else style.PALETTE["vermillion"], linewidth=1)
    image.set_anchor("S")  # the two of a case stand together, and the room that is left between cells
    overlay.set_anchor("N")
    heat = picture["maps"].astype(np.float64)
    overlay.imshow(colormaps[COLOURS](heat), alpha=0.65 * heat)
    if row.empty:
        overlay.text(0.5, 0.5, "empty map", color="white", ha="center", va="center", transform=overlay.transAxes)
    said = f"true: {names.get(row.y, row.y)}\nsaid: {names.get(row.predicted, row.predicted)}, {row.score:.2f}"
    image.set_title(said, fontsize=5.5, pad=2, loc="left")
    measured = "no outline" if pd.isna(row.chance) else "empty" if row.empty else f"inside {row.energy:.2f}"
    chance = "" if pd.isna(row.chance) else f" (chance {row.chance:.2f})"
    overlay.set_xlabel(measured + chance, fontsize=5.5, labelpad=2)


def _cell(block: SubFigure, rows: pd.DataFrame, pictures: Mapping[str, np.ndarray], columns: int, names: dict) -> None:
    panels = block.subplots(2, columns, squeeze=False)
    for axes in panels.ravel():
        axes.set_axis_off()
    starts = {}
    for number, (place, row) in enumerate(zip(rows.index, rows.itertuples(), strict=True)):
        starts.setdefault(row.kind, number)
        _case(*panels[:, number], row, {name: values[place] for name, values in pictures.items()}, names)
    for kind, number in starts.items():
        mark = {"color": "black" if kind == "right" else style.PALETTE["vermillion"], "fontsize": 7}
        panels[0, number].text(0, 1.3, kind, transform=panels[0, number].transAxes, weight="bold", **mark)


def draw(
    panels: pd.DataFrame,
    pictures: Mapping[str, np.ndarray],
    titles: Mapping[str, str],
    names: Mapping[str, dict],
    explained: int | None = None,
) -> Figure:
    """Draw a block a cell: images above, maps below, right predictions on the left and wrong ones on the right.

    Parameters
    ----------
    panels : pandas.DataFrame
        From :func:`choose`; the index is the place in ``pictures``.
    pictures : mapping of str to sequence of numpy.ndarray
        ``images`` (C, S, S) uint8, ``maps`` (S, S) from 0 to 1, ``masks`` (S, S), all cases of all grids.
    titles : mapping
        Dataset -> its name in print.
    names : mapping
        Dataset -> class -> its name in print.
    explained : int, optional
        Cells that were explained; if they are more than is shown, the heading says so.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        There is nothing to draw.
    """
    if panels.empty:
        raise StudyError("there is no case to show; explain_grid found no test image.")
    cells = list(panels.groupby(["grid", "cell"], sort=False))
    columns = max(len(rows) for _, rows in cells)
    part = explained is not None and explained > len(cells)
    high = (2 * SIDE + 0.95) * len(cells) + (0.3 if part else 0)
    figure = Figure(figsize=(SIDE * max(columns, 4) + 1.2, high), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    body = beside_bar(figure, "map, each scaled to 0..1")
    if part:
        said = f"first {len(cells)} of {explained} cells, of each dataset in turn"
        body.suptitle(said, fontsize=8, color=style.GREY, x=0.01, ha="left")
    blocks, grids = np.atleast_1d(body.subfigures(len(cells), 1)), panels["grid"].nunique()
    for block, ((grid, cell), rows) in zip(blocks, cells, strict=True):
        dataset = rows["dataset"].iloc[0]
        where = f" ({grid})" if grids > 1 else ""
        block.suptitle(f"{titles.get(dataset, dataset)}: {cell}{where}", fontsize=8, x=0.01, ha="left")
        _cell(block, rows, pictures, columns, names.get(dataset, {}))
    return figure
