"""The grid of pairs: what it chooses and what it draws."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import duplicate_pairs


def pair(dataset, a, kind, correlation, same=True):
    names = {"dataset": dataset, "image_a": a, "image_b": f"{a}x", "found_by": kind, "flip": "none", "distance": 0.1}
    return {**names, "correlation": correlation, "copy": True, "same_label": same, "same_class": same}


@pytest.fixture
def pairs():
    rows = [pair("d", f"h{place:02}", "hash", 0.9 + place / 1000) for place in range(30)]
    rows += [pair("d", "n", "neighbour", 0.88, same=False), pair("e", "m", "mirror", 0.99)]
    rows += [pair("e", "p", "patient", np.nan)]
    return pd.DataFrame(rows)


def test_every_kind_is_shown_with_its_least_sure_pairs(pairs):
    chosen = duplicate_pairs.choose_pairs(pairs)
    assert len(chosen) == 12
    assert {"n", "m"} < set(chosen["image_a"]) and "p" not in set(chosen["image_a"])
    assert chosen.loc[chosen["found_by"] == "hash", "image_a"].tolist() == [f"h{place:02}" for place in range(10)]


def test_the_pictures_of_a_pair_stand_side_by_side(pairs):
    chosen = duplicate_pairs.choose_pairs(pairs, 3).assign(label_a="benign", label_b="malignant")
    keys = [(row.dataset, image) for row in chosen.itertuples() for image in (row.image_a, row.image_b)]
    pictures = {key: np.full((1, 8, 8), place, np.uint8) for place, key in enumerate(keys)}
    figure = duplicate_pairs.draw(chosen, pictures, {"d": "Dataset"})
    panels = figure.subfigs
    assert len(panels) == 3
    shown = [axes.images[0].get_array()[0, 0] for panel in panels for axes in panel.axes]
    assert shown == list(range(6))
    assert panels[0].get_suptitle().startswith("Dataset: hash, r = 0.9")


def test_colour_pictures_are_drawn_and_no_pair_is_said(pairs):
    chosen = duplicate_pairs.choose_pairs(pairs, 1).assign(label_a="a", label_b="a")
    keys = [(chosen["dataset"][0], chosen[column][0]) for column in ("image_a", "image_b")]
    figure = duplicate_pairs.draw(chosen, dict.fromkeys(keys, np.zeros((3, 8, 8), np.uint8)), {})
    assert figure.subfigs[0].axes[0].images[0].get_array().shape == (8, 8, 3)
    empty = duplicate_pairs.choose_pairs(pairs[pairs["found_by"] == "patient"])
    figure = duplicate_pairs.draw(empty, {}, {})
    assert [text.get_text() for text in figure.texts] == ["No two images show the same pixels."]
