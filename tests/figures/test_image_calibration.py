"""The figure of calibration of image classifiers: shares, intervals and counts are those of the table."""

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import lay_out
from workflow_scripts.lib.figures import image_calibration
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError


def make_calibration(weights=("random", "textures"), datasets=("lesions", "slices"), bins=5):
    rows = [
        {"dataset": dataset, "weights": name, "cell": name, "unit": "exam", "bin": place, "n": 20 + place}
        | {"score": (place + 0.5) / bins, "positive": (place / bins) ** (number + 1), "brier": 0.1 + number / 100}
        for dataset in datasets
        for number, name in enumerate(weights)
        for place in range(bins)
    ]
    table = pd.DataFrame(rows)
    table = table.assign(lower=(table["positive"] - 0.1).clip(lower=0), upper=(table["positive"] + 0.1).clip(upper=1))
    tables.check_table(table, "grid_calibration", "calibration")
    return table.assign(grid="tiny")


def test_points_intervals_and_counts_are_those_of_the_table():
    table = make_calibration()
    figure = image_calibration.draw(table, {"weights": {"textures": "Textures"}})
    axes, counts = figure.axes[:2]
    assert axes.get_title(loc="left") == "tiny: lesions"
    own = table[(table["dataset"] == "lesions") & (table["weights"] == "textures")]
    curve = [line for line in axes.lines if len(line.get_xdata()) == 5][1]
    np.testing.assert_allclose(curve.get_xydata(), own[["score", "positive"]])
    bars = axes.collections[1].get_segments()
    np.testing.assert_allclose([bar[:, 1] for bar in bars], own[["lower", "upper"]])
    np.testing.assert_allclose(counts.lines[1].get_ydata(), own["n"])
    assert counts.get_ylabel() == "exams"
    (legend,) = figure.subfigs[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["random, Brier 0.100", "Textures, Brier 0.110"]


@pytest.mark.parametrize("names", [["random"], [f"weights_{number}" for number in range(12)]])
def test_the_legend_lies_outside_the_axes(names):
    figure = image_calibration.draw(make_calibration(names, ["lesions"]))
    figure.draw_without_rendering()
    part = figure.subfigs[0]
    box = part.legends[0].get_window_extent()
    assert not any(box.overlaps(axes.get_tightbbox()) for axes in part.axes)
    assert box.y0 >= 0 and part.axes[0].get_window_extent().height > 250


def test_many_datasets_twelve_weights_one_bin_and_missing_bounds_are_drawn(tmp_path):
    several = make_calibration(datasets=["a", "b", "c", "d"])
    assert len(image_calibration.draw(several).axes) == 8
    many = make_calibration([f"weights_{number}" for number in range(12)], ["lesions"], bins=1)
    many.loc[3:5, ["lower", "upper"]] = np.nan
    figure = image_calibration.draw(many)
    lay_out(figure, image_calibration.source_table(many), tmp_path)


def test_nothing_to_draw_is_an_error():
    with pytest.raises(StudyError, match="no selected model has scores"):
        image_calibration.draw(make_calibration().head(0))
