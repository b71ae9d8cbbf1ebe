"""The figure of learning curves: what it draws is what it was given."""

import itertools

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import learning_curves, style
from workflow_scripts.lib.study.errors import StudyError

SIZES = (100, 200, 500)


@pytest.fixture
def tables():
    rng = np.random.default_rng(0)
    rows = [
        (task, n, model, repeat, rng.uniform(0.4, 0.9))
        for task in ("ad_cn", "scz_bd")
        for n in SIZES
        for model in ("linear", "network")
        for repeat in range(10)
    ]
    points = pd.DataFrame(rows, columns=["task", "n", "model", "repeat", "test_auc"])
    groups = points.groupby(["task", "n", "model"], sort=False)["test_auc"]
    numbers = groups.quantile([0.5, 0.05, 0.25, 0.75, 0.95]).unstack()
    summary = numbers.set_axis(["median", "q05", "q25", "q75", "q95"], axis=1).reset_index()
    return points, summary


def test_panels_hold_medians_points_and_quantiles(tables):
    points, summary = tables
    figure = learning_curves.draw(points, summary, {"linear": "Linear model"}, {"ad_cn": "AD vs CN"})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["AD vs CN", "scz_bd"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["Linear model", "network"]
    assert "chance" in legend
    axes = figure.axes[0]
    rows = summary[(summary["task"] == "ad_cn") & (summary["model"] == "network")]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    np.testing.assert_allclose(lines[1].get_ydata(), rows["median"])
    clouds = [one.get_offsets() for one in axes.collections if len(one.get_offsets()) == 30]
    chosen = points[(points["task"] == "ad_cn") & (points["model"] == "network")]
    np.testing.assert_allclose(np.sort(clouds[1][:, 1]), np.sort(chosen["test_auc"]))
    bars = [one.get_segments() for one in axes.collections if hasattr(one, "get_segments")]
    ends = {tuple(np.round(segment[:, 1], 9)) for one in bars for segment in one}
    assert {tuple(np.round(pair, 9)) for pair in rows[["q25", "q75"]].to_numpy()} <= ends
    assert {tuple(np.round(pair, 9)) for pair in rows[["q05", "q95"]].to_numpy()} <= ends


def test_points_of_models_and_sizes_do_not_overlap(tables):
    axes = learning_curves.draw(*tables).axes[0]
    clouds = [one.get_offsets()[:, 0] for one in axes.collections if len(one.get_offsets()) == 30]
    ranges = sorted((x.min(), x.max()) for cloud in clouds for x in np.split(np.sort(cloud), 3))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(ranges))


def test_models_have_signs_of_their_own(tables):
    points, summary = tables
    parts = [table.assign(model=table["model"] + str(copy)) for table in tables for copy in range(4)]
    points, summary = (pd.concat(four, ignore_index=True) for four in (parts[:4], parts[4:]))
    figure = learning_curves.draw(points, summary)
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 8
    assert len({line.get_color() for line in lines}) == 8


def test_missing_fits_and_single_sizes_are_drawn(tables, tmp_path):
    points, summary = (table[table["n"] == 100].copy() for table in tables)
    points.loc[points.index[0], "test_auc"] = np.nan
    lost = summary["model"] == "network"
    summary.loc[lost, list(learning_curves.NUMBERS)] = np.nan
    figure = learning_curves.draw(points[points["model"] == "linear"], summary)
    style.save(figure, learning_curves.source_table(points, summary), tmp_path / "learning_curves")
    assert (tmp_path / "learning_curves.png").stat().st_size > 5000


def test_the_source_has_every_point_and_number(tables):
    points, summary = tables
    source = learning_curves.source_table(points, summary)
    assert (source["quantity"] == "sample").sum() == len(points)
    one = source[(source["quantity"] == "q75") & (source["task"] == "ad_cn") & (source["n"] == 200)]
    expected = summary[(summary["task"] == "ad_cn") & (summary["n"] == 200)]
    assert one.set_index("model")["auc"].to_dict() == expected.set_index("model")["q75"].to_dict()


def test_nothing_to_draw_is_an_error(tables):
    points, summary = tables
    with pytest.raises(StudyError, match="has no row"):
        learning_curves.draw(points.iloc[:0], summary.iloc[:0])


def test_points_are_spread_evenly_and_the_same_each_time():
    places = learning_curves.spread(np.arange(100))
    assert np.abs(np.sort(places) - np.linspace(-0.5, 0.5, 100)).max() < 0.02
