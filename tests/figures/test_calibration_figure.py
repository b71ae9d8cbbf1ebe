"""The figure of calibration shows the numbers of its table, each test by its own sign."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from workflow_scripts.figures import calibration as script
from workflow_scripts.lib.figures import calibration, style
from workflow_scripts.lib.study import tables

COUNTS = [50, 100, 200]
EFFECTS = [0.0, 0.02, 0.04]


@pytest.fixture
def table():
    rng = np.random.default_rng(1)
    rows = []
    for design, people, n in (("leave_out", 500, pd.NA), ("small_samples", 861, 100), ("small_samples", 861, 500)):
        for effect in EFFECTS if n is pd.NA else EFFECTS[:1]:
            for test in calibration.TESTS:
                rows += [(design, people, n, effect, test, count, 400, rng.uniform(0.1, 0.9)) for count in COUNTS]
    columns = ["design", "participants", "n", "effect", "test", "n_resamples", "n_simulations", "rejected"]
    table = pd.DataFrame(rows, columns=columns)
    shares = table["rejected"]
    return table.assign(lower=shares - 0.05, upper=shares + 0.1, chance_lower=0.03, chance_upper=0.07)


def curves(axes):
    """Map each test to the heights of its line, by colour and marker."""
    looks = {(to_hex(colour), marker): test for test, (_, colour, marker, _) in calibration.TESTS.items()}
    assert len(looks) == len(calibration.TESTS)
    return {
        looks[to_hex(line.get_color()), line.get_marker()]: line
        for line in axes.get_lines()
        if len(line.get_xdata()) > 2
    }


def test_lines_are_the_table(table):
    figure = calibration.draw(table)
    shown = [axes for axes in figure.axes if axes.axison]
    titles = [axes.get_title("left") for axes in shown]
    assert titles[:3] == [
        "Leave out, pool of 500",
        "Small samples, pool of 861, n = 100",
        "Small samples, pool of 861, n = 500",
    ]
    assert titles[3:] == titles[:1]  # power where differences were planted
    null = table[table["effect"] == 0]
    for axes, (_, rows) in zip(
        shown, null.groupby(["design", "participants", "n"], dropna=False, sort=False), strict=False
    ):
        lines = curves(axes)
        assert set(lines) == set(calibration.TESTS)
        for test, line in lines.items():
            expected = rows[rows["test"] == test].sort_values("n_resamples")
            assert line.get_ydata() == pytest.approx(expected["rejected"].to_numpy())
            assert line.get_xdata() == pytest.approx(COUNTS, rel=0.1)  # beside the place, to be told apart
    power = curves(shown[3])["delong"]
    some = table[(table["test"] == "delong") & (table["design"] == "leave_out") & (table["n_resamples"] == 200)]
    assert power.get_ydata() == pytest.approx(some.sort_values("effect")["rejected"].to_numpy())


def test_bars_and_band_are_those_of_the_table(table):
    axes = calibration.draw(table).axes[0]
    band = axes.patches[0]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.03, 0.07))
    first = axes.containers[0]
    rows = table[(table["effect"] == 0) & (table["design"] == "leave_out") & (table["test"] == "unpaired")]
    ends = np.array([segment[:, 1] for segment in first.lines[2][0].get_segments()])
    assert ends == pytest.approx(rows[["lower", "upper"]].to_numpy())


def test_one_design_and_one_count_of_resamples_can_be_drawn(table, tmp_path):
    rows = table[(table["n"] == 500) & (table["n_resamples"] == 50)]
    tables.write_table(rows, tmp_path / "calibration.tsv", "calibration")
    output = SimpleNamespace(png=str(tmp_path / "figure.png"))
    script.main(SimpleNamespace(input=SimpleNamespace(calibration=tmp_path / "calibration.tsv"), output=output))
    assert len(pd.read_csv(tmp_path / "figure.csv")) == len(rows)
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_every_test_of_the_schema_has_a_sign():
    known = tables.load_schema("calibration")["properties"]["test"]["enum"]
    assert list(calibration.TESTS) == known
    assert style.PALETTE["vermillion"] == calibration.TESTS["unpaired"][1]
