"""Figures of interpretation: what they draw is what they were given."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import region_importance, style, variance_explained

PLACES = ["medial_temporal_L", "medial_temporal_R", "parietal_L", "parietal_R"]
TASKS = {"ad_cn": "auc", "age": "r2_pool"}


@pytest.fixture
def explained():
    rows = []
    for place, name in enumerate(("rnce", "mine")):
        for direction, columns in (
            ("features_from_representation", ["a", "b", "c"]),
            ("representation_from_features", ["h0", "h1"]),
        ):
            values = [*np.linspace(-0.2, 0.8 - place / 4, len(columns)), 0.3 + place / 10]
            ranks = [np.nan] * len(columns) + [4 + place]
            rows += [
                (name, direction, feature, r2, r2 - 0.05, r2 + 0.05, rank, 40)
                for feature, r2, rank in zip([*columns, "all"], values, ranks, strict=True)
            ]
    columns = ["representation", "direction", "feature", "r2", "low", "high", "rank", "n_people"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def ranked():
    rows = []
    for method, step in (("rnce", 0.01), ("simclr", 0.02)):
        for task, metric in TASKS.items():
            for number, place in enumerate(PLACES):
                drop, share = step * number - 0.01, (number + 1) / 10
                rows.append((method, task, metric, "fitted", place, drop, drop - 0.02, drop + 0.03, 38, share, 0.25))
    columns = ["representation", "task", "metric", "reading", "location", "drop", "low", "high", "n_people"]
    return pd.DataFrame(rows, columns=[*columns, "attention", "rollout"])


def drawn(axes, sign):
    """Collect the points of all lines with a marker."""
    lines = [line for line in axes.lines if line.get_marker() == sign]
    points = np.concatenate([np.column_stack(line.get_data()) for line in lines]) if lines else np.zeros((0, 2))
    return points[np.argsort(points[:, 1], kind="stable")]


def test_every_column_is_a_stroke_and_all_together_a_point_with_its_interval(explained):
    figure = variance_explained.draw(explained)
    for axes, direction in zip(figure.axes, variance_explained.TITLES, strict=True):
        rows = explained[explained["direction"] == direction]
        single = rows[rows["feature"] != "all"]
        assert sorted(drawn(axes, "|")[:, 0]) == pytest.approx(sorted(single["r2"]))
        for name, place in (("rnce", 0), ("mine", 1)):
            whole = rows[(rows["representation"] == name) & (rows["feature"] == "all")].iloc[0]
            points = drawn(axes, style.marker(name))
            assert points[np.abs(points[:, 1] - place) < 0.3][:, 0] == pytest.approx([whole["r2"]])
        ends = [collection.get_segments()[0][:, 0] for collection in axes.collections]
        np.testing.assert_allclose(ends, rows.loc[rows["feature"] == "all", ["low", "high"]])
        assert [text.get_text() for text in axes.texts] == ["4", "5", "rank"]
        assert "40 people" in axes.get_title(loc="left")
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["R-NCE", "mine"]


def test_what_lies_beyond_the_axis_stands_on_its_edge_and_is_said(explained):
    figure = variance_explained.draw(explained)
    assert "below" not in " ".join(text.get_text() for text in figure.legends[0].get_texts())
    explained.loc[0, "r2"] = -7.0
    figure = variance_explained.draw(explained)
    assert drawn(figure.axes[0], "<")[:, 0].tolist() == [variance_explained.FLOOR]
    assert "below −0.3" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_column_without_a_number_is_not_drawn(explained):
    explained.loc[1, "r2"] = np.nan
    assert len(drawn(variance_explained.draw(explained).axes[0], "|")) == 5


def test_every_drop_and_share_is_drawn_where_its_location_is(ranked):
    figure = region_importance.draw(ranked, {"ad_cn": "AD vs CN"})
    panels = np.array(figure.axes).reshape(2, 3)
    heights = [-0.17, 0.17, 0.83, 1.17]
    for line, name in zip(panels, ("rnce", "simclr"), strict=True):
        rows = ranked[ranked["representation"] == name]
        for axes, task in zip(line, TASKS, strict=False):
            some = rows[rows["task"] == task]
            np.testing.assert_allclose(drawn(axes, "o"), np.column_stack([some["drop"], heights]))
            segments = np.array(axes.collections[-1].get_segments())
            np.testing.assert_allclose(segments[:, :, 0], some[["low", "high"]])
            np.testing.assert_allclose(segments[:, 0, 1], heights)
        np.testing.assert_allclose(drawn(line[2], "o"), np.column_stack([[0.1, 0.2, 0.3, 0.4], heights]))
        np.testing.assert_allclose(drawn(line[2], "|"), np.column_stack([[0.25] * 4, heights]))
        left, right = (dots for dots in line[0].lines if dots.get_marker() == "o")
        assert (left.get_markerfacecolor(), right.get_markerfacecolor()) == (style.colour(name), "white")
        assert list(right.get_ydata()) == [0.17, 1.17]
    assert [axes.get_title(loc="left").split("\n")[0] for axes in panels[0]] == ["AD vs CN", "age", "Attention"]
    assert [tick.get_text() for tick in panels[0, 0].get_yticklabels()] == ["medial temporal", "parietal"]
    assert panels[1, 0].get_xlabel() == "Drop of AUC\n(probe fitted on all locations)"


def test_locations_without_a_side_have_a_row_each(ranked):
    some = ranked.replace({"location": dict(zip(PLACES, "wxyz", strict=True))})
    axes = region_importance.draw(some, {}).axes[0]
    assert drawn(axes, "o")[:, 1].tolist() == [0, 1, 2, 3]


def test_equal_tables_give_equal_files(explained, ranked, tmp_path):
    for folder in ("one", "two"):
        style.save(variance_explained.draw(explained), explained, tmp_path / folder / "explained")
        style.save(region_importance.draw(ranked, {}), ranked, tmp_path / folder / "ranked")
    for name in ("explained", "ranked"):
        for suffix in ("pdf", "png", "csv"):
            one, two = ((tmp_path / folder / f"{name}.{suffix}").read_bytes() for folder in ("one", "two"))
            assert one == two
