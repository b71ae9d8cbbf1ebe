"""Brain-age gaps by grade of post-mortem findings (Figure 4 of the published study)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workflow_scripts.lib.figures import style

TITLES = {"adnc": "ADNC", "lbd": "LBD", "tdp43": "TDP-43", "caa": "CAA"}
GRADES = {"adnc": ("Not", "Low", "Inter-\nmediate", "High"), "caa": ("None", "Mild", "Moder-\nate", "Severe")}
MANY = 60  # points of one box above which they are drawn fainter
FEW = 5  # people that a box needs; fewer are shown as points alone


def boxes(axes: Axes, values: list[np.ndarray], places: list[float], colour: str) -> None:
    """Draw a box with median and quartiles for each group, and every person as a point beside the middle."""
    full = [index for index, group in enumerate(values) if len(group) >= FEW]
    if full:
        axes.boxplot(
            [values[index] for index in full],
            positions=[places[index] for index in full],
            widths=0.56,
            showfliers=False,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": "white", "edgecolor": colour, "linewidth": 0.9},
            medianprops={"color": colour, "linewidth": 1.6},
            whiskerprops={"color": colour, "linewidth": 0.9},
            capprops={"color": colour, "linewidth": 0.9},
        )
    for group, place in zip(values, places, strict=True):
        # people spread over the width in the order of their values: the same picture every time
        ranks = np.argsort(np.argsort(group, kind="stable"), kind="stable")
        shift = ((ranks * 0.6180339887) % 1 - 0.5) * 0.42
        alpha = 0.7 if len(group) <= MANY else 0.3
        axes.scatter(place + shift, group, s=5, color=colour, alpha=alpha, linewidths=0, zorder=3)


def say_q(row: dict) -> str:
    """Write q, with a star where it is significant; where there is no test, a dash."""
    if pd.isna(row["q"]):
        return "not tested"
    text = "q < 0.001" if row["q"] < 0.001 else f"q = {row['q']:.3f}" if row["q"] < 0.1 else f"q = {row['q']:.2f}"
    return f"{text} *" if str(row["significant"]) == "True" else text


def _panel(axes: Axes, people: pd.DataFrame, test: dict, colour: str) -> None:
    grades = sorted(people["grade"].unique())
    boxes(axes, [people.loc[people["grade"] == grade, "gap_debiased"].to_numpy() for grade in grades], grades, colour)
    axes.axhline(0, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=0)
    names = GRADES.get(test["pathology"])
    if names is None:
        names = ("Absent", "Present") if max(grades, default=0) <= 1 else ("None", "1", "2", "3")
    counts = people["grade"].value_counts()
    ticks = range(len(names))
    axes.set_xticks(ticks, [f"{names[grade]}\n({counts.get(grade, 0)})" for grade in ticks], fontsize=6)
    axes.set_xlim(-0.6, len(names) - 0.4)
    said = say_q(test)
    weight = "bold" if said.endswith("*") else "normal"
    axes.text(0.5, 1.0, said, transform=axes.transAxes, ha="center", va="bottom", fontsize=7, fontweight=weight)


def draw(people: pd.DataFrame, tests: pd.DataFrame) -> Figure:
    """Draw box plots, a row a representation and a column a pathology, q above.

    Parameters
    ----------
    people : pandas.DataFrame
        Schema ``neuropathology_people``.
    tests : pandas.DataFrame
        Schema ``neuropathology_tests``.

    Returns
    -------
    matplotlib.figure.Figure
        Boxes of median and quartiles, whiskers to the last person within 1.5 of their distance; with nobody examined a
        page that says so.
    """
    names, pathologies = (list(dict.fromkeys(tests[key])) for key in ("representation", "pathology"))
    if not names:
        figure = Figure(figsize=(4, 1))
        figure.text(0.5, 0.5, "Nobody was examined post mortem.", ha="center", va="center")
        return figure
    figure = Figure(figsize=(1.75 * len(pathologies) + 0.6, 1.75 * len(names) + 0.5), layout="constrained")
    panels = figure.subplots(len(names), len(pathologies), squeeze=False, sharey="row")
    for row in tests.to_dict("records"):
        i, j = names.index(row["representation"]), pathologies.index(row["pathology"])
        mine = (people["representation"] == row["representation"]) & (people["pathology"] == row["pathology"])
        _panel(panels[i, j], people[mine], row, style.colour(row["representation"]))
    for axes, pathology in zip(panels[0], pathologies, strict=True):
        axes.set_title(TITLES[pathology], pad=14)
    for axes, name in zip(panels[:, 0], names, strict=True):
        axes.set_ylabel(f"{style.label(name)}\ndebiased gap (years)")
    figure.align_ylabels(panels[:, 0])
    return figure
