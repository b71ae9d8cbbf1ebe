import numpy as np
import pandas as pd

from workflow_scripts.lib.figures import manhattan


def table():
    random = np.random.default_rng(0)
    parts = []
    for name, inflation in (("rnce", 1.04), ("mine", 0.97)):
        p = random.uniform(size=400)
        part = pd.DataFrame({"representation": name, "chrom": np.repeat(["1", "2", "3", "4"], 100), "p": p})
        part = part.assign(id=[f"v{row}" for row in range(400)], x=np.arange(400.0), observed=-np.log10(p))
        part = part.assign(expected=part["observed"], lead=part.index == 250, lambda_gc=inflation, people=81)
        parts.append(part.assign(threshold=5e-8, suggestive=1e-5))
    return pd.concat(parts, ignore_index=True)


def test_each_representation_has_its_row_inflation_and_lead():
    figure = manhattan.draw(table())
    assert len(figure.axes) == 4
    titles = [axes.get_title(loc="left") for axes in figure.axes[::2]]
    assert titles == ["R-NCE (81 people)", "mine (81 people)"]
    assert [axes.texts[0].get_text() for axes in figure.axes[1::2]] == ["λ = 1.04", "λ = 0.97"]
    assert [axes.texts[0].get_text() for axes in figure.axes[::2]] == ["v250", "v250"]


def test_every_point_is_drawn_and_the_line_of_significance_is_in_sight():
    figure = manhattan.draw(table())
    left = figure.axes[0]
    drawn = sum(len(dots.get_offsets()) for dots in left.collections[:-1])
    assert drawn == 400
    assert left.get_ylim()[1] > -np.log10(5e-8)
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["1", "2", "3", "4"]
