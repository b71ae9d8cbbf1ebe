"""Figures of probes and brain age: what they draw is what they were given."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import (
    biomarker_bars,
    brainage_scatter,
    gap_correlation,
    permutation_sensitivity,
    style,
)

NAMES = ["features", "rnce", "simclr"]


@pytest.fixture
def summary():
    rows = [
        (task, name, metric, 40, 8.0, 0.6 + 0.1 * i, 0.05, 0.5 + 0.1 * i, 0.7 + 0.1 * i)
        for task, metric in (("age", "r2"), ("ad_cn", "auc"))
        for i, name in enumerate(NAMES)
    ]
    columns = ["task", "representation", "metric", "n_participants", "n_test", "mean", "sd", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def gaps():
    rng = np.random.default_rng(0)
    parts = []
    for name in NAMES:
        age = rng.uniform(45, 83, 30)
        part = {"representation": name, "role": ["train"] * 10 + ["test"] * 20, "age": age}
        parts.append(pd.DataFrame({**part, "predicted_age": age + rng.normal(0, 4, 30)}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def metrics():
    return pd.DataFrame(
        {"representation": NAMES, "sample": "test_normative", "n": 20, "mae": [4.1, 3.9, 4.6], "r": [0.6, 0.7, 0.5]}
    )


@pytest.fixture
def correlations():
    pairs = [("features", "rnce", 0.76), ("features", "simclr", -0.54), ("rnce", "simclr", 0.67)]
    rows = [("test_normative", *pair[:2], kind, 50, pair[2]) for pair in pairs for kind in ("gap", "gap_debiased")]
    table = pd.DataFrame(rows, columns=["sample", "a", "b", "gap", "n", "r"])
    return table.assign(lower=table["r"] - 0.1, upper=table["r"] + 0.1)


def test_bars_show_means_spreads_intervals_and_chance(summary):
    figure = biomarker_bars.draw(summary, {"ad_cn": "AD vs CN"})
    age, ad = figure.axes
    assert ad.get_title(loc="left").startswith("AD vs CN")
    assert age.get_title(loc="left").startswith("age")
    assert "sd over resamples" in ad.get_ylabel()
    for container, mean in zip(ad.containers, [0.6, 0.7, 0.8], strict=True):
        assert container.lines[0].get_ydata()[0] == pytest.approx(mean)
        low, high = container.lines[2][0].get_segments()[0][:, 1]
        assert (low, high) == (pytest.approx(mean - 0.05), pytest.approx(mean + 0.05))
    bands = [c.get_segments()[0][:, 1] for c in ad.collections if len(c.get_segments()) and c.get_linewidth()[0] == 6]
    np.testing.assert_allclose(bands, [[0.5, 0.7], [0.6, 0.8], [0.7, 0.9]])
    assert [axes.lines[0].get_ydata()[0] for axes in (age, ad)] == [0.0, 0.5]
    words = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert "not a standard error" in words
    assert "pool-corrected" in words


def test_bars_leave_a_gap_where_a_representation_has_no_number(summary):
    figure = biomarker_bars.draw(summary.drop(index=4), {})
    assert [len(axes.containers) for axes in figure.axes] == [3, 2]


def test_scatter_shows_everybody_and_prints_the_given_numbers(gaps, metrics):
    figure = brainage_scatter.draw(gaps, metrics)
    for axes, name, mae in zip(figure.axes, NAMES, [4.1, 3.9, 4.6], strict=True):
        drawn = np.concatenate([points.get_offsets() for points in axes.collections])
        expected = gaps.loc[gaps["representation"] == name, ["age", "predicted_age"]].to_numpy()
        assert sorted(map(tuple, drawn)) == sorted(map(tuple, expected))
        assert f"MAE {mae:.2f}" in axes.texts[0].get_text()
        (identity,) = axes.lines
        assert np.array_equal(identity.get_xdata(), identity.get_ydata())


def test_heat_map_shows_each_pair_once(correlations):
    figure = gap_correlation.draw(correlations)
    for axes in figure.axes[:2]:
        grid = axes.images[0].get_array()
        assert np.ma.masked_invalid(grid).compressed() == pytest.approx([0.76, -0.54, 0.67])
        assert [text.get_text() for text in axes.texts][::2] == ["0.76", "−0.54", "0.67"]


def test_sensitivity_draws_both_tests_of_each_pair():
    rows = [("ad_cn", "features", name, n, 1 / n, 0.3) for name in ("rnce", "simclr") for n in (40, 10, 20)]
    table = pd.DataFrame(rows, columns=["task", "a", "b", "n_resamples", "p_permutation", "p_corrected"])
    figure = permutation_sensitivity.draw(table, {"ad_cn": "AD vs CN"})
    *lines, limit = figure.axes[0].lines
    assert [line.get_xdata().tolist() for line in lines] == [[10, 20, 40]] * 4
    assert lines[0].get_ydata().tolist() == [1 / 10, 1 / 20, 1 / 40]
    assert lines[1].get_ydata().tolist() == [0.3] * 3
    assert limit.get_ydata()[0] == 0.05


def test_a_colour_belongs_to_a_name():
    assert len({style.colour(name) for name in NAMES}) == 3
    assert len({style.marker(name) for name in NAMES}) == 3
    assert style.colour("mine") == style.colour("mine")
    assert style.colour("mine") not in {style.colour(name) for name in NAMES}


@pytest.mark.parametrize("which", ["bars", "scatter", "heat"])
def test_equal_figures_give_equal_files(tmp_path, which, summary, gaps, metrics, correlations):
    draw = {
        "bars": lambda: (biomarker_bars.draw(summary, {}), summary),
        "scatter": lambda: (brainage_scatter.draw(gaps, metrics), gaps),
        "heat": lambda: (gap_correlation.draw(correlations), correlations),
    }[which]
    for folder in ("one", "two"):
        style.save(*draw(), tmp_path / folder / "figure")
    for suffix in ("pdf", "png", "csv"):
        one, two = ((tmp_path / folder / f"figure.{suffix}").read_bytes() for folder in ("one", "two"))
        assert one == two
        assert len(one) > 100
    assert not list((tmp_path / "one").glob(".*"))
