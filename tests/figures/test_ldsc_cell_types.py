from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from workflow_scripts.lib.figures import ldsc_cell_types, style


def table():
    q = {("rnce", "Oligodendrocytes"): 1e-3, ("rnce", "Microglia"): 1.0, ("rnce", "ExcitatoryNeurons"): 0.2}
    q |= {("mine", "Oligodendrocytes"): 0.04, ("mine", "Microglia"): np.nan, ("mine", "ExcitatoryNeurons"): 0.5}
    rows = [(*key, value, np.nan) for key, value in q.items()]
    return pd.DataFrame(rows, columns=["trait", "cell_type", "q", "note"]).astype({"note": object})


def bars(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_a_bar_a_trait_and_cell_type_stands_where_its_q_does():
    axes = ldsc_cell_types.draw(table(), 0.05).axes[0]
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names == ["Oligodendrocytes", "Excitatory neurons", "Microglia"]  # by the lowest q
    heights = {(round(bar.get_x() + bar.get_width() / 2), bar.get_facecolor()): bar.get_height() for bar in bars(axes)}
    assert len(heights) == 5
    assert sorted(heights.values()) == pytest.approx(sorted(-np.log10([1e-3, 0.04, 0.2, 0.5, 1.0])))
    rnce = {place: height for (place, colour), height in heights.items() if colour == to_rgba(style.colour("rnce"))}
    assert rnce == pytest.approx({0: 3.0, 1: -np.log10(0.2), 2: 0.0})
    assert [text.get_text() for text in axes.texts] == [" n/a", "FDR 0.05"]


def test_the_line_is_red_dotted_in_sight_and_where_config_says():
    axes = ldsc_cell_types.draw(table().assign(q=0.9), 0.1).axes[0]
    (line,) = (line for line in axes.lines if line.get_linestyle() == ":")
    assert line.get_color() == "red"
    assert line.get_ydata()[0] == pytest.approx(1.0)
    assert axes.get_ylim()[1] > 1.0
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["R-NCE", "mine"]


def test_traits_that_the_study_does_not_know_still_differ():
    names = [f"trait{index}" for index in range(7)]
    frame = pd.concat([table().assign(trait=name).head(3) for name in ["rnce", *names]])
    axes = ldsc_cell_types.draw(frame, 0.05).axes[0]
    colours = {text.get_text(): key.get_color() for key, text in zip(*legend(axes), strict=True)}
    assert colours["R-NCE"] == style.colour("rnce")
    assert len(set(colours.values())) == 8


def legend(axes):
    return axes.get_legend().get_lines(), axes.get_legend().get_texts()


def test_bars_are_open_where_something_speaks_against_them():
    frame = table()
    frame.loc[0, "note"] = "mean chi2 below 1.02"
    axes = ldsc_cell_types.draw(frame, 0.05).axes[0]
    open_bars = [bar for bar in bars(axes) if bar.get_facecolor()[3] == 0]
    assert [bar.get_height() for bar in open_bars] == [pytest.approx(3)]


def test_a_table_without_any_estimate_is_drawn():
    axes = ldsc_cell_types.draw(table().assign(q=np.nan), 0.05).axes[0]
    assert bars(axes) == []
    assert sum(text.get_text() == " n/a" for text in axes.texts) == 6


def test_bars_do_not_overlap():
    axes = ldsc_cell_types.draw(table(), 0.05).axes[0]
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in bars(axes))
    assert all(one[1] <= other[0] + 1e-9 for one, other in pairwise(edges))
