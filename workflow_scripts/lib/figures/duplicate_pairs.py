"""Pairs of images that may not be parted, side by side, with the least sure of each kind."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

MOST = 12
COLUMNS = 3
ORDER = ("hash", "mirror", "crop", "neighbour")
SHOWN = ["dataset", "image_a", "image_b", "found_by", "flip", "distance", "correlation", "copy", "same_label"]


def choose_pairs(pairs: pd.DataFrame, most: int = MOST) -> pd.DataFrame:
    """Choose the pairs to show: of each dataset, kind and agreement of labels in turn, the least sure first.

    Parameters
    ----------
    pairs : pandas.DataFrame
        Schema ``image_pairs`` with a column ``dataset``.
    most : int
        Pairs at most.

    Returns
    -------
    pandas.DataFrame
        The chosen rows of pairs found on pixels, sorted for print.
    """
    pairs = pairs[pairs["correlation"].notna()].sort_values(["dataset", "correlation", "image_a", "image_b"])
    turn = pairs.groupby(["dataset", "found_by", "same_label"], sort=False).cumcount()
    order = pairs.assign(turn=turn, kind=pairs["found_by"].map(ORDER.index))
    order = order.sort_values(["turn", "same_label", "kind", "dataset"], kind="stable").head(most)
    return order.sort_values(["dataset", "kind", "correlation"])[list(pairs.columns)].reset_index(drop=True)


def _picture(image: np.ndarray) -> np.ndarray:
    """Bring uint8 (C, S, S) into matplotlib's order."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def draw(chosen: pd.DataFrame, pictures: Mapping[tuple[str, str], np.ndarray], titles: Mapping[str, str]) -> Figure:
    """Draw the chosen pairs.

    Parameters
    ----------
    chosen : pandas.DataFrame
        As :func:`choose_pairs` gives it, with columns label_a and label_b.
    pictures : mapping
        (dataset, image_id) -> uint8 (C, S, S).
    titles : mapping
        Dataset -> title.

    Returns
    -------
    matplotlib.figure.Figure
        A plain sentence if there is no pair.
    """
    rows = max(-(-len(chosen) // COLUMNS), 1)
    figure = Figure(figsize=(7.6, 1.72 * rows + 0.2), layout="constrained")
    if chosen.empty:
        figure.text(0.5, 0.5, "No two images show the same pixels.", ha="center", va="center", color=style.GREY)
        return figure
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.03, wspace=0.0, hspace=0.0)
    panels = figure.subfigures(rows, COLUMNS, squeeze=False).ravel()
    for panel, (_, pair) in zip(panels, chosen.iterrows(), strict=False):
        axes = panel.subplots(1, 2)
        mirrored = "" if pair["flip"] == "none" else f", {pair['flip']}"
        line = f"{pair['found_by']}{mirrored}, r = {pair['correlation']:.2f}"
        panel.suptitle(f"{titles.get(pair['dataset'], pair['dataset'])}: {line}", fontsize=6.5, x=0.02, ha="left")
        for one, side in zip(axes, ("a", "b"), strict=True):
            image = pictures[pair["dataset"], pair[f"image_{side}"]]
            one.imshow(_picture(image), cmap="gray", vmin=0, vmax=255, interpolation="bilinear", aspect="equal")
            colour = "black" if pair["same_label"] else style.PALETTE["vermillion"]
            one.set_xlabel(f"{pair[f'image_{side}']}\n{pair[f'label_{side}']}", fontsize=6, color=colour)
            one.set_anchor("N")  # what room is left stands under the labels, not between a picture and its heading
            one.set_xticks([])
            one.set_yticks([])
    return figure
