"""Brain-age gaps by diagnosis, with the adjusted difference from healthy people."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style
from workflow_scripts.lib.figures.neuropathology import boxes, say_q

ORDER = ("CN", "MCI", "AD", "SCZ", "BD")


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _say(row: dict) -> str:
    """Write the difference in years, Hedges' g and q of a diagnosis."""
    g = "" if pd.isna(row["hedges_g"]) else f"g {_signed(row['hedges_g'], 2)}"
    if pd.isna(row["difference"]):
        return f"{g}\nnot tested"
    return f"{_signed(row['difference'], 1)} years\n{g}\n{say_q(row)}"


def _panel(axes: Axes, people: pd.DataFrame, tests: pd.DataFrame, shown: list[str], colour: str) -> None:
    groups = [people.loc[people["diagnosis"] == name, "gap_debiased"].to_numpy() for name in shown]
    boxes(axes, groups, list(range(len(shown))), colour)
    axes.axhline(0, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    axes.set_xticks(range(len(shown)), [f"{name}\n({len(group)})" for name, group in zip(shown, groups, strict=True)])
    axes.set_xlim(-0.6, len(shown) - 0.4)
    for row in tests.to_dict("records"):
        weight = "bold" if str(row["significant"]) == "True" else "normal"
        place = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "bottom"}
        axes.text(shown.index(row["diagnosis"]), 1.0, _say(row), fontsize=6, fontweight=weight, **place)


def draw(people: pd.DataFrame, tests: pd.DataFrame) -> Figure:
    """Draw box plots by diagnosis, a panel a representation.

    Parameters
    ----------
    people : pandas.DataFrame
        Schema ``group_people``. Healthy people are drawn if they are of a cohort that patients come from, which are
        those of the tests.
    tests : pandas.DataFrame
        Schema ``group_gaps``.

    Returns
    -------
    matplotlib.figure.Figure
        Boxes as in :func:`workflow_scripts.lib.figures.neuropathology.draw`; without any patient, a page that says so.
    """
    names = list(dict.fromkeys(tests["representation"]))
    if not names:
        figure = Figure(figsize=(4, 1))
        figure.text(0.5, 0.5, "Nobody with a diagnosis.", ha="center", va="center")
        return figure
    cohorts = {cohort for text in tests["cohorts"] for cohort in text.split(", ")}
    people = people[people["cohort"].isin(cohorts)]
    shown = [name for name in ORDER if name == "CN" or name in set(tests["diagnosis"])]
    width = (0.62 * len(shown) + 0.5) * len(names) + 0.5
    figure = Figure(figsize=(width, 2.9), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axes, name in zip(panels, names, strict=True):
        mine = people[people["representation"] == name]
        _panel(axes, mine, tests[tests["representation"] == name], shown, style.colour(name))
        axes.set_title(style.label(name), loc="left", pad=30)
    panels[0].set_ylabel("Debiased gap (years)")
    return figure
