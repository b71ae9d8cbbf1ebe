"""Figures of probes and brain age: what they draw is what they were given."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import (
    biomarker_bars,
    brainage_scatter,
    comparison_forest,
    gap_correlation,
    panels,
    permutation_sensitivity,
    style,
)

NAMES = ["features", "rnce", "simclr"]


@pytest.fixture
def summary():
    rows = [
        (task, name, metric, 200, 40, 8.0, 0.6 + 0.1 * i, 0.05, 0.5 + 0.1 * i, 0.75 + 0.1 * i)
        for task, metric in (("age", "r2"), ("ad_cn", "auc"))
        for i, name in enumerate(NAMES)
    ]
    columns = ["task", "representation", "metric", "n_resamples", "n_participants", "n_test", "mean", "sd"]
    return pd.DataFrame(rows, columns=[*columns, "lower", "upper"])


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
        | {"r2": [0.3, 0.4, 0.2]}
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
    assert ad.get_title(loc="left") == "AD vs CN"
    assert age.get_title(loc="left") == "age"
    assert ad.texts[-1].get_text() == "40 people, 8 left out, 200 times"
    for container, mean in zip(ad.containers, [0.6, 0.7, 0.8], strict=True):
        assert container.lines[0].get_xdata()[0] == pytest.approx(mean)
        # the error bar is the interval of the population, not the spread
        assert container.lines[2][0].get_segments()[0][:, 0] == pytest.approx([mean - 0.1, mean + 0.15])
    bands = [c.get_segments()[0][:, 0] for c in ad.collections if c.get_linewidth()[0] == biomarker_bars.BAND]
    np.testing.assert_allclose(bands, [[0.55, 0.65], [0.65, 0.75], [0.75, 0.85]])
    assert [axes.lines[0].get_xdata()[0] for axes in (age, ad)] == [0.0, 0.5]
    assert [text.get_text() for text in ad.texts[:3]] == ["0.60", "0.70", "0.80"]
    assert [label.get_text() for label in age.get_yticklabels()] == [style.label(name) for name in NAMES]
    words = " ".join(text.get_text() for text in figure.legends[0].get_texts())
    assert "sd over resamples, as published (not a standard error)" in words
    assert "in the population, pool-corrected" in words


def test_bars_end_where_auc_ends_and_tasks_share_the_axis(summary):
    summary.loc[summary["task"] == "ad_cn", "sd"] = 0.9
    more = pd.concat([summary, summary[summary["task"] == "ad_cn"].assign(task="sex", mean=0.5, sd=0.01)])
    _, ad, sex = biomarker_bars.draw(more, {}).axes
    assert ad.get_xlim() == sex.get_xlim() == pytest.approx((-0.04, 1.04))


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


@pytest.fixture
def comparisons():
    rows = []
    for task, metric in (("age", "r2_pool"), ("ad_cn", "auc")):
        for a, b, difference in (("rnce", "features", 0.05), ("features", "simclr", 0.02), ("rnce", "simclr", 0.07)):
            row = {"task": task, "metric": metric, "a": a, "b": b, "difference": difference}
            row |= {"n_participants": 40, "n_scans": 44, "n_resamples": 200, "n_test": 8.0}
            row |= {"heldout_difference": difference + 0.01, "p_nadeau_bengio": 0.2}
            for kind in ("", "_delong", "_percentile", "_bca"):
                row |= {f"lower{kind}": difference - 0.1, f"upper{kind}": difference + 0.2}
            for place, test in enumerate(("permutation", "corrected", "delong", "swap")):
                p = np.nan if (test, metric) == ("delong", "r2_pool") else (0.0001, 0.04, 0.2, 0.3)[place]
                row |= {f"p_{test}": p, f"p_{test}_holm": min(3 * p, 1) if p == p else p}
            rows.append(row)
    return pd.DataFrame(rows)


def test_pairs_are_turned_against_the_reference(comparisons):
    columns = ["difference"], [("lower", "upper")]
    table = panels.against(comparisons[comparisons["task"] == "ad_cn"], "features", *columns).set_index("other")
    assert list(table.index) == ["rnce", "simclr"]
    assert table.loc["rnce", ["difference", "lower", "upper"]].tolist() == pytest.approx([0.05, -0.05, 0.25])
    assert table.loc["simclr", ["difference", "lower", "upper"]].tolist() == pytest.approx([-0.02, -0.22, 0.08])


def test_a_reference_that_is_not_compared_gives_way(comparisons):
    assert panels.choose_reference(comparisons, "features") == "features"
    assert panels.choose_reference(comparisons, "absent") == "rnce"


@pytest.mark.parametrize(
    ("p", "text"),
    [(np.nan, "–"), (0.0, "0"), (1e-6, "<1e-4"), (0.00023, "0.0002"), (0.0123, "0.012"), (0.2, "0.20"), (1.0, "1.00")],
)
def test_p_is_written_as_short_as_its_size_allows(p, text):
    assert panels.write_p(p) == text


def test_the_forest_shows_both_intervals_and_both_kinds_of_p(comparisons):
    figure = comparison_forest.draw(comparisons, {"ad_cn": "AD vs CN"}, "features")
    _, ad = figure.axes
    assert ad.get_title(loc="left") == "AD vs CN"
    _, *points = ad.lines
    drawn = [point.get_xdata()[0] for point in points]
    assert drawn == pytest.approx([0.05, 0.06, -0.02, -0.03])
    bars = [line.get_segments()[0][:, 0].tolist() for line in ad.collections]
    np.testing.assert_allclose(bars, [[-0.05, 0.25]] * 2 + [[-0.22, 0.08]] * 2)
    texts = [text.get_text() for text in ad.texts]
    assert texts[:6] == ["0.0003", "0.12", "0.90"] * 2
    assert [text.get_fontweight() for text in ad.texts[:3]] == ["bold", "normal", "normal"]
    assert "40 people, 44 scans, 200 resamples" in texts
    assert "Regional features" in figure.legends[0].get_title().get_text()


def test_the_forest_takes_the_bootstrap_where_there_is_no_auc(comparisons):
    comparisons["lower_delong"] = comparisons["upper_delong"] = np.nan
    age = comparison_forest.draw(comparisons, {}, "features").axes[0]
    assert [text.get_text() for text in age.texts[:3]] == ["0.0003", "0.12", "0.90"]
    np.testing.assert_allclose(age.collections[1].get_segments()[0][:, 0], [-0.05, 0.25])


@pytest.fixture
def sensitivity():
    rows = [
        ("ad_cn", *pair, n, 1 / n, 0.3, 0.2, 0.1)
        for pair in (("features", "rnce"), ("features", "simclr"), ("rnce", "simclr"))
        for n in (40, 10, 20)
    ]
    columns = ["task", "a", "b", "n_resamples", "p_permutation", "p_corrected", "p_delong", "p_swap"]
    return pd.DataFrame(rows, columns=columns)


def test_sensitivity_has_a_column_a_test_and_a_line_a_representation(sensitivity):
    figure = permutation_sensitivity.draw(sensitivity, {"ad_cn": "AD vs CN"}, "features")
    assert len(figure.axes) == 4
    for axes, p, line in zip(figure.axes, (None, 0.3, 0.2, 0.1), ("-", "--", "--", "--"), strict=True):
        *lines, limit = axes.lines
        assert [drawn.get_xdata().tolist() for drawn in lines] == [[10, 20, 40]] * 2
        assert [drawn.get_color() for drawn in lines] == [style.colour("rnce"), style.colour("simclr")]
        assert {drawn.get_linestyle() for drawn in lines} == {line}
        assert lines[0].get_ydata().tolist() == ([p] * 3 if p else [1 / 10, 1 / 20, 1 / 40])
        assert limit.get_ydata()[0] == 0.05
    assert figure.axes[0].texts[0].get_text() == "AD vs CN"


def test_sensitivity_can_draw_every_pair(sensitivity):
    figure = permutation_sensitivity.draw(sensitivity, {}, None)
    assert [len(axes.lines) for axes in figure.axes] == [4] * 4
    assert {line.get_color() for line in figure.axes[0].lines} == {style.GREY}


def test_sensitivity_says_where_a_test_does_not_exist(sensitivity):
    figure = permutation_sensitivity.draw(sensitivity.assign(p_delong=np.nan), {}, "features")
    assert [axes.texts[-1].get_text() if axes.texts else "" for axes in figure.axes[1:]] == ["", "AUC only", ""]


def test_a_colour_belongs_to_a_name():
    assert len({style.colour(name) for name in NAMES}) == 3
    assert len({style.marker(name) for name in NAMES}) == 3
    assert style.colour("mine") == style.colour("mine")
    assert style.colour("mine") not in {style.colour(name) for name in NAMES}


@pytest.mark.parametrize("which", ["bars", "scatter", "heat", "forest"])
def test_equal_figures_give_equal_files(tmp_path, which, summary, gaps, metrics, correlations, comparisons):
    draw = {
        "bars": lambda: (biomarker_bars.draw(summary, {}), summary),
        "scatter": lambda: (brainage_scatter.draw(gaps, metrics), gaps),
        "heat": lambda: (gap_correlation.draw(correlations), correlations),
        "forest": lambda: (comparison_forest.draw(comparisons, {}), comparisons),
    }[which]
    for folder in ("one", "two"):
        style.save(*draw(), tmp_path / folder / "figure")
    for suffix in ("pdf", "png", "csv"):
        one, two = ((tmp_path / folder / f"figure.{suffix}").read_bytes() for folder in ("one", "two"))
        assert one == two
        assert len(one) > 100
    assert not list((tmp_path / "one").glob(".*"))
