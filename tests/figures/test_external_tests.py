"""The figure of external tests draws the scores it is given, what knows nothing beside them, and no training set."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.figures import external_tests as script
from workflow_scripts.lib.figures import external_tests
from workflow_scripts.lib.study import tables


@pytest.fixture
def metrics():
    rows = []
    for place, name in enumerate(("train", "validation", "external")):
        for cohort in ("all", "adni", "top"):
            for target, metric, value in (
                ("age", "mae", 3.0 + place),
                ("age", "mae_naive", 9.0 + place),
                ("age", "r", 0.9),
                ("sex", "auc", 0.9),
                ("neuroticism", "mae", 2.0),
                ("neuroticism", "r", 0.2),
                ("iq", "mae", np.nan if name == "external" else 5.0),
            ):
                few = target == "sex" and name == "external"
                ends = (np.nan, np.nan) if few or np.isnan(value) else (value - 0.1, value + 0.1)
                reason = "no interval" if few else ""
                rows.append((name, cohort, target, metric, value, *ends, 40, 37, reason))
    columns = ["set", "cohort", "target", "metric", "value", "lower", "upper", "n", "participants", "reason"]
    return pd.DataFrame(rows, columns=columns)


def drawn(axes):
    """The values drawn as large markers: one a set and method."""
    return [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "X"]


def test_a_panel_shows_validation_and_external_scores(metrics):
    figure = external_tests.draw(metrics.assign(method="sfcn"))
    age, sex, neuroticism, iq = figure.axes[:4]
    assert drawn(age) == [4.0, 5.0]
    assert [label.get_text() for label in age.get_xticklabels()] == ["validation", "external\n(new cohorts)"]
    assert drawn(sex) == [0.9, 0.9]
    assert drawn(neuroticism) == [0.2, 0.2] and neuroticism.get_ylabel() == "Pearson's r"
    assert drawn(iq) == [5.0] and iq.get_ylabel() == "mean absolute error"
    assert "no labels" in [text.get_text() for text in iq.texts]
    assert "37" in [text.get_text() for text in age.texts]


def segments(axes):
    return [tuple(map(tuple, segment)) for part in axes.collections for segment in part.get_segments()]


def test_the_naive_predictor_and_chance_are_drawn(metrics):
    age, sex, neuroticism, _ = external_tests.draw(metrics.assign(method="sfcn")).axes[:4]
    flat = [part[0][1] for part in segments(age) if part[0][1] == part[1][1]]
    assert flat == [10.0, 11.0]
    assert [line.get_ydata()[0] for line in sex.lines if line.get_linestyle() == "--"] == [0.5]
    assert [line.get_ydata()[0] for line in neuroticism.lines if line.get_linestyle() == "--"] == [0.0]


def test_intervals_are_those_given_and_absent_where_there_is_none(metrics):
    age, sex = external_tests.draw(metrics.assign(method="sfcn")).axes[:2]
    upright = [(part[0][1], part[1][1]) for part in segments(age) if part[0][0] == part[1][0]]
    assert upright == [pytest.approx((3.9, 4.1)), pytest.approx((4.9, 5.1))]
    assert len(segments(sex)) == 1


def test_published_scores_are_marked_and_named_as_such(metrics):
    figure = external_tests.draw(metrics.assign(method="sfcn"))
    marks = [line.get_ydata().tolist() for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert marks == [[2.23, 3.35]]
    assert any("published, other data" in text.get_text() for text in figure.legends[0].get_texts())
    without = external_tests.draw(metrics.assign(method="sfcn"), published=False)
    assert not [line for line in without.axes[0].lines if line.get_marker() == "D"]
    assert not any("published" in text.get_text() for text in without.legends[0].get_texts())


def test_the_script_draws_all_methods(metrics, tmp_path):
    for name in ("sfcn", "mine"):
        tables.write_table(metrics, tmp_path / f"{name}.tsv", "target_metrics")
    png = str(tmp_path / "figures" / "external_tests.png")
    script.main(
        SimpleNamespace(
            input=SimpleNamespace(metrics=[tmp_path / "sfcn.tsv", tmp_path / "mine.tsv"]),
            output=SimpleNamespace(png=png),
            params=SimpleNamespace(methods=["sfcn", "mine"], level=0.95, published=True),
        )
    )
    for suffix in ("png", "pdf", "csv"):
        assert (tmp_path / "figures" / f"external_tests.{suffix}").stat().st_size > 100
    source = pd.read_csv(tmp_path / "figures" / "external_tests.csv")
    assert set(source["method"]) == {"sfcn", "mine"} and len(source) == 2 * len(metrics)
