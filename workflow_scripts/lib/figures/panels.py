"""What figures with one panel a task and one row a representation have in common."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

AXES = {"auc": "AUC", "r2": "R²", "r2_pool": "R² on pool variance"}
ROW = 0.17  # inches a representation
SMALLEST = 1e-4  # printed as such, or as less


def grid(count: int, rows: int, columns: int, width: float, row: float = ROW, **spare: float) -> tuple[Figure, list]:
    """Make a figure with ``count`` panels of ``rows`` rows each; panels beyond are switched off.

    Parameters
    ----------
    count, rows, columns : int
    width : float
        Of the figure, in inches.
    row : float
        Height of a row, in inches.
    **spare : float
        ``panel`` and ``foot``: inches beside the rows of a panel, and under all panels.

    Returns
    -------
    matplotlib.figure.Figure
    list of matplotlib.axes.Axes
        As many as ``count``.
    """
    columns = min(columns, count)
    lines = -(-count // columns)
    height = lines * (rows * row + spare.get("panel", 0.6)) + spare.get("foot", 0.5)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).ravel())
    for unused in axes[count:]:
        unused.set_axis_off()
    return figure, axes[:count]


def name_rows(axes: Axes, names: Sequence[str], shown: bool) -> None:
    """Give each row the name of its representation, from the top down; only the panels on the left show them."""
    axes.set_yticks(range(len(names)), [style.label(name) for name in names] if shown else [])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def against(
    comparisons: pd.DataFrame, reference: str, turned: Sequence[str], mirrored: Sequence[tuple]
) -> pd.DataFrame:
    """Keep the pairs with the reference and turn them so that it is always what the others are compared with.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        With columns a and b.
    reference : str
    turned : sequence of str
        Columns that change their sign when a pair is turned.
    mirrored : sequence of two str
        Lower and upper bounds, which also change places.

    Returns
    -------
    pandas.DataFrame
        With a column ``other``: the representation that is not the reference. Bounds and differences are other less
        reference.
    """
    table = comparisons[(comparisons["a"] == reference) | (comparisons["b"] == reference)].copy()
    first = (table["a"] == reference).to_numpy()
    table["other"] = np.where(first, table["b"], table["a"])
    sign = np.where(first, -1.0, 1.0)
    for column in turned:
        table[column] = sign * table[column]
    for lower, upper in mirrored:
        low, high = table[lower].to_numpy(dtype=float), table[upper].to_numpy(dtype=float)
        table[lower], table[upper] = np.where(first, -high, low), np.where(first, -low, high)
    return table


def choose_reference(comparisons: pd.DataFrame, reference: str) -> str:
    """Return the reference if it is compared at all, else the first representation of the table."""
    names = pd.unique(comparisons[["a", "b"]].to_numpy().ravel())
    return reference if reference in names or not len(names) else names[0]


def write_p(p: float) -> str:
    """Write a p-value as short as its size allows; a dash where there is none."""
    if pd.isna(p):
        return "–"
    if p < SMALLEST:
        return "0" if p == 0 else "<1e-4"
    return f"{p:.2f}" if p >= 0.095 else f"{p:.3f}" if p >= 0.00095 else f"{p:.4f}"
