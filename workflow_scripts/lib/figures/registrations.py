"""Registered brains with the template's outline."""

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

COLUMNS = 3


def choose(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose the scans to show: the ones that quality control is least sure of.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``qc_scans``; scans without a registration (no ``overlap``) have no picture.
    count : int
        At most so many.

    Returns
    -------
    pandas.DataFrame
        Heads (whose brain was extracted) first, then by rising overlap; half of the places go to each.
    """
    found = table[table["overlap"].notna()].sort_values("overlap", kind="stable")
    if "was_head" not in found:  # brains that other tools had made
        found = found.assign(was_head=float("nan"))
    heads = found[found["was_head"] == 1].head(count // 2)
    rest = found.drop(heads.index).head(count - len(heads))
    return pd.concat([heads, rest])[["scan_id", "included", "overlap", "scale", "was_head"]]


def draw(table: pd.DataFrame, pictures: list[Image.Image]) -> Figure:
    """Draw the pictures in rows of three.

    Parameters
    ----------
    table : pandas.DataFrame
        scan_id, included, overlap, was_head, one row a picture.
    pictures : list of PIL.Image.Image
        Six slices, RGB.
    """
    lines = max(1, -(-len(pictures) // COLUMNS))
    figure = Figure(figsize=(7.4, 1.75 * lines + 0.1), layout="constrained")
    panels = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, row, image in zip(panels, table.itertuples(), pictures, strict=False):
        axes.imshow(image)
        kind = "head" if row.was_head == 1 else "brain"
        fate = "" if row.included else ", set aside"
        axes.set_title(f"{row.scan_id} ({kind}{fate}), overlap {row.overlap:.2f}", fontsize=6, loc="left")
    return figure
