"""Mean Grad-CAM maps of a network that reads volumes, on three planes through their highest place in the brain."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.gradcam_panels import COLOURS, beside_bar
from workflow_scripts.lib.study.errors import StudyError

PLANES = (("x", 0, (1, 2)), ("y", 1, (0, 2)), ("z", 2, (0, 1)))  # name, axis that is cut, axes shown (right, up)
ACROSS = 2  # directions side by side


def _plane(
    axes: Axes, volume: np.ndarray, heat: np.ndarray, place: np.ndarray, affine: np.ndarray, plane: tuple
) -> None:
    """Draw one plane of the volume under the map; both are seen from the right, the front and above."""
    name, cut, shown = plane
    at = int(place[cut])
    below, above = (np.take(values, at, axis=cut).T for values in (volume, heat))
    ends = [affine[axis, 3] + affine[axis, axis] * np.array([-0.5, volume.shape[axis] - 0.5]) for axis in shown]
    look = {"origin": "lower", "extent": np.concatenate(ends), "aspect": "equal"}
    axes.imshow(below, cmap="gray", vmin=0, vmax=np.quantile(volume, 0.995), **look)
    axes.imshow(colormaps[COLOURS](above), alpha=0.65 * above, **look)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(f"{name} = {affine[cut, 3] + affine[cut, cut] * at:.0f} mm", fontsize=6, labelpad=2)


def _title(row: object, titles: Mapping[str, str]) -> str:
    cells = f"{row.cells_x} x {row.cells_y} x {row.cells_z} cells of {row.cell_mm:g} mm"
    inside = "" if pd.isna(row.inside_brain) else f"; {row.inside_brain:.0%} in the brain ({row.brain_share:.0%})"
    known = "" if pd.isna(row.similarity_untrained) else f"; r {row.similarity_untrained:.2f}"
    return f"{titles.get(row.target, row.target)}, {row.direction}: {cells}{inside}{known}"


def draw(
    table: pd.DataFrame, arrays: Mapping[str, np.ndarray], method: str, titles: Mapping[str, str] | None = None
) -> Figure:
    """Draw a row a target: evidence for higher values on the left, for lower ones on the right.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``volume_maps``.
    arrays : mapping
        ``maps``, rows of ``table`` x D x H x W from 0 to 1, ``volume`` and ``brain`` D x H x W in RAS order, and
        ``affine``, a 4 x 4 diagonal one.
    method : str
        Whose maps they are, for the title.
    titles : mapping, optional
        Target -> its name in print.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StudyError
        If there is no target.
    """
    if table.empty:
        raise StudyError("there is no target to draw a map of; name some under pretrain.methods.NAME.targets.")
    titles, lines = titles or {}, -(-len(table) // ACROSS)
    figure = Figure(figsize=(8.4, 1.75 * lines + 0.5), layout="constrained")
    body = beside_bar(figure, "mean map / its maximum")
    blocks = body.subfigures(lines, ACROSS, squeeze=False).ravel()
    for number, (block, row) in enumerate(zip(blocks, table.itertuples(), strict=False)):
        heat = arrays["maps"][number].astype(np.float64)
        heat = heat / heat.max() if heat.max() > 0 else heat
        place = np.unravel_index(int(np.where(arrays["brain"], heat, -1).argmax()), heat.shape)
        block.suptitle(_title(row, titles), fontsize=6)
        panels = block.subplots(1, len(PLANES))
        for axes, plane in zip(panels, PLANES, strict=True):
            _plane(axes, arrays["volume"], heat, place, arrays["affine"], plane)
        if row.empty == 1:
            panels[1].text(0.5, 0.5, "all maps empty", color="white", ha="center", transform=panels[1].transAxes)
    scans, sets = table["scans"].iloc[0], table["sets"].iloc[0]
    body.suptitle(f"{style.label(method)}: mean of {scans} scans ({sets})", fontsize=8)
    return figure
