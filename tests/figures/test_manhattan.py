import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.lib.figures import manhattan, style


def table():
    random = np.random.default_rng(0)
    parts = []
    for name, inflation in (("rnce", 1.04), ("mine", 0.97)):
        p = random.uniform(size=400)
        part = pd.DataFrame({"trait": name, "chrom": np.repeat(["1", "2", "3", "4"], 100), "p": p})
        part = part.assign(id=[f"v{row}" for row in range(400)], x=np.arange(400.0), observed=-np.log10(p))
        part = part.assign(expected=part["observed"], lead=part.index == 250, lambda_gc=inflation, people=81)
        parts.append(part.assign(threshold=5e-8, suggestive=1e-5))
    return pd.concat(parts, ignore_index=True)


def test_each_trait_has_its_row_inflation_and_lead():
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


def test_loci_are_named_by_genes_and_intercepts_stand_beside_lambda():
    loci = pd.DataFrame({"trait": "rnce", "lead_id": ["v10", "v301"], "nearest_gene": ["MAPT", np.nan]})
    ldsc = pd.DataFrame({"trait": ["rnce", "mine"], "intercept": [1.013, np.nan], "intercept_se": [0.008, np.nan]})
    figure = manhattan.draw(table(), loci, ldsc)
    assert [(text.get_text(), text.get_style()) for text in figure.axes[0].texts] == [
        ("MAPT", "italic"),
        ("v301", "normal"),  # no gene near: its id
    ]
    assert not list(figure.axes[2].texts)  # no locus of this trait
    assert figure.axes[1].texts[0].get_text() == "λ = 1.04\nLDSC intercept\n1.01 ± 0.01"
    assert figure.axes[3].texts[0].get_text() == "λ = 0.97"


def test_names_do_not_cover_each_other_or_leave_the_axes():
    style.apply()
    points = table().query("trait == 'rnce'").reset_index(drop=True)
    points["lead"] = points.index.isin([0, 1, 2, *range(120, 150), 398, 399])
    points.loc[points["lead"], "observed"] = np.random.default_rng(1).uniform(8, 80, 35)
    figure = manhattan.draw(points)
    assert "32 strongest of 35 named" in figure.axes[0].get_title(loc="left")
    figure.canvas.draw()
    frame = figure.axes[0].get_window_extent()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 32
    # an annotation's extent holds its arrow too; the text itself ends at the same top
    boxes = sorted(((box.x0 + box.x1) / 2, box.y1) for box in boxes)
    assert max(top for _, top in boxes) <= frame.y1 + 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.floats(0.1, 5))
def test_spread_places_keep_order_gap_and_ends(places, gap):
    places = np.sort(places)
    moved = manhattan.spread(places, gap, 0, 100)
    wanted = min(gap, 100 / max(len(places) - 1, 1))
    assert (np.diff(moved) >= wanted - 1e-9).all()
    assert moved.min() >= -1e-9
    assert moved.max() <= 100 + 1e-9
    if (np.diff(places) >= wanted).all():
        assert moved == pytest.approx(places)


def test_of_many_traits_the_strongest_are_shown_and_it_says_so():
    points = table().query("trait == 'rnce'")
    many = pd.concat([points.assign(trait=f"t{row}", observed=points["observed"] + row) for row in range(23)])
    figure = manhattan.draw(many)
    titles = [axes.get_title(loc="left") for axes in figure.axes[::2]]
    assert titles == [f"t{row} (81 people)" for row in range(3, 23)]
    assert figure.get_suptitle() == "The 20 of 23 traits with the lowest p-values"


def test_long_ids_are_cut():
    points = table().query("trait == 'rnce'")
    points = points.assign(id=points["id"].where(~points["lead"], "17:44030011:C:" + "T" * 50))
    text = manhattan.draw(points).axes[0].texts[0].get_text()
    assert text == "17:44030011:C:TTTTTTTTT…"
