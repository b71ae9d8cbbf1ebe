"""How every figure looks, what colour a representation has, and how a figure is kept."""

import os
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.files import atomic

# Okabe & Ito (2008), distinguishable with any common colour blindness
PALETTE = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
}
GREY = "#6E6E6E"
KNOWN = {
    "features": ("Regional features", PALETTE["vermillion"], "s"),
    "rnce": ("R-NCE", PALETTE["blue"], "o"),
    "simclr": ("SimCLR", PALETTE["green"], "^"),
    "barlow": ("Barlow Twins", PALETTE["purple"], "D"),
    "genesis": ("Models Genesis", PALETTE["orange"], "v"),
    "lssl": ("LSSL", PALETTE["sky"], "P"),
    "sfcn": ("SFCN, multi-task", "#000000", "X"),
    "random": ("Untrained", "#A0A0A0", "."),
}
OTHERS = [(PALETTE["purple"], "D"), (PALETTE["orange"], "v"), (PALETTE["sky"], "P"), ("#000000", "X")]
SETTINGS = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.2,
    "figure.dpi": 150,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # letters stay letters when the figure is edited
}


def apply() -> None:
    """Set matplotlib's defaults for all figures of the study."""
    mpl.rcParams.update(SETTINGS)


def _other(representation: str) -> tuple[str, str]:
    return OTHERS[sum(representation.encode()) % len(OTHERS)]


def colour(representation: str) -> str:
    """Return the colour of a representation, the same in every figure.

    Names that the study does not know get one of four other colours by their letters; two of them
    may share one, so that figures also tell them apart by place and label.
    """
    return KNOWN[representation][1] if representation in KNOWN else _other(representation)[0]


def marker(representation: str) -> str:
    """Return the marker of a representation, so that colour is never the only sign."""
    return KNOWN[representation][2] if representation in KNOWN else _other(representation)[1]


def label(representation: str) -> str:
    """Return the name of a representation in print."""
    return KNOWN[representation][0] if representation in KNOWN else representation


def save(figure: Figure, source: pd.DataFrame, stem: str | os.PathLike) -> None:
    """Write a figure as PDF and PNG, and what it shows as CSV, each atomically.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    source : pandas.DataFrame
        The numbers drawn.
    stem : path
        Without suffix. The files hold no date: equal figures give equal files.
    """
    stem = Path(stem)
    for suffix, metadata in ((".pdf", {"CreationDate": None}), (".png", {"Software": None})):
        with atomic(stem.with_name(stem.name + suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata, bbox_inches="tight")
    tables.write_table(source, stem.with_name(stem.name + ".csv"))
