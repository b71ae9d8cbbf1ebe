"""Figures of brain age show every number of their tables, and draw what a small study gives."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import brainage_calibration, brainage_scatter, group_gaps, neuropathology

NAMES = ["features", "rnce"]


@pytest.fixture
def bias():
    rows = []
    for name in NAMES:
        for place, (low, high) in enumerate([(np.nan, 44), (44, 54), (54, 64.5), (84, np.nan)]):
            for quantity, mean in (
                ("predicted_age", 45.0 + 10 * place),
                ("gap", 5.0 - 3 * place),
                ("gap_debiased", 0.5),
            ):
                row = {"representation": name, "sample": "test_normative", "age_from": low, "age_to": high}
                row |= {"quantity": quantity, "n": 5 + place, "mean_age": 40.0 + 13 * place, "mean": mean, "sd": 2.0}
                rows.append(row | {"lower": mean - 1, "upper": mean + 2})
    return pd.DataFrame(rows)


@pytest.fixture
def metrics():
    table = pd.DataFrame({"representation": NAMES, "sample": "test_normative", "n": [26, 26], "mae": [4.1, 3.9]})
    return table.assign(r=0.7, r2=[-0.25, 0.5], slope=[0.61, 0.72], intercept=[20.0, 15.0])


def test_calibration_shows_means_intervals_line_and_identity(bias, metrics):
    figure = brainage_calibration.draw(bias, metrics)
    assert len(figure.axes) == 4
    for axes, slope, r2 in zip(figure.axes[:2], (0.61, 0.72), ("−0.25", "0.50"), strict=True):
        identity, line, means = (np.array(one.get_data()) for one in axes.lines[:3])
        assert np.array_equal(identity[0], identity[1])
        assert np.diff(line[1]) / np.diff(line[0]) == pytest.approx(slope)
        assert means.tolist() == [[40, 53, 66, 79], [45, 55, 65, 75]]
        (bars,) = axes.collections
        assert bars.get_segments()[0][:, 1].tolist() == [44, 47]
        assert f"slope {slope}" in axes.texts[0].get_text()
        assert f"R² {r2}" in axes.texts[0].get_text()


def test_gaps_by_age_group_stand_before_and_after_debiasing(bias, metrics):
    axes = brainage_calibration.draw(bias, metrics).axes[2]
    before, after = (
        line.get_ydata().tolist() for line in axes.lines if len(line.get_ydata()) == 4 and line.get_marker() == "o"
    )
    assert before == [5, 2, -1, -4]
    assert after == [0.5] * 4
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names == ["<44\nn 5", "44–53\nn 6", "54 to <64.5\nn 7", "≥84\nn 8"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before debiasing", "after debiasing"]


def test_without_normative_people_left_the_trained_ones_are_shown(bias, metrics):
    trained = bias.assign(sample="train_out_of_fold"), metrics.assign(sample="train_out_of_fold")
    assert "who trained" in brainage_calibration.draw(*trained).get_supxlabel()
    gaps = pd.DataFrame({"representation": NAMES, "role": "train", "age": [50.0, 60], "predicted_age": [55.0, 58]})
    empty = metrics.assign(n=0, mae=np.nan)
    figure = brainage_scatter.draw(gaps, pd.concat([empty, trained[1]], ignore_index=True))
    assert "who trained" in figure.get_supxlabel()
    assert "nan" not in figure.axes[0].texts[0].get_text()


@pytest.fixture
def examined():
    rng = np.random.default_rng(0)
    people, tests = [], []
    for name in NAMES:
        for pathology, top in (("adnc", 4), ("lbd", 2), ("tdp43", 4), ("caa", 4)):
            grade = np.repeat(range(top), [12, 2, 8, 6][:top])
            part = pd.DataFrame({"representation": name, "pathology": pathology, "grade": grade})
            people.append(part.assign(gap_debiased=rng.normal(grade, 3)))
            tests.append({"representation": name, "pathology": pathology, "q": 0.2, "significant": False})
    tests = pd.DataFrame(tests).astype({"significant": object})
    tests.loc[0, ["q", "significant"]] = [0.0004, True]
    tests.loc[1, ["q", "significant"]] = [0.0312, True]
    tests.loc[2, ["q", "significant"]] = [np.nan, None]
    return pd.concat(people, ignore_index=True), tests


def test_pathologies_are_columns_and_representations_rows_with_q_and_star(examined):
    people, tests = examined
    figure = neuropathology.draw(people, tests)
    assert len(figure.axes) == 8
    assert [axes.get_title() for axes in figure.axes[:4]] == ["ADNC", "LBD", "TDP-43", "CAA"]
    said = [axes.texts[0].get_text() for axes in figure.axes]
    assert said == ["q < 0.001 *", "q = 0.031 *", "not tested", *["q = 0.20"] * 5]
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["Absent\n(12)", "Present\n(2)"]
    assert [tick.get_text() for tick in figure.axes[3].get_xticklabels()][3] == "Severe\n(6)"


def test_every_person_is_a_point_and_few_have_no_box(examined):
    people, tests = examined
    axes = neuropathology.draw(people, tests).axes[0]
    mine = people[(people["representation"] == "features") & (people["pathology"] == "adnc")]
    drawn = np.concatenate([points.get_offsets()[:, 1] for points in axes.collections])
    assert sorted(drawn) == sorted(mine["gap_debiased"])
    assert len(axes.patches) == 3  # the grade with two people has points alone
    medians = [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 1.6]
    assert medians == pytest.approx(mine.groupby("grade")["gap_debiased"].median()[[0, 2, 3]].tolist())


def test_a_table_read_back_from_disk_gives_the_same_stars(examined, tmp_path):
    _, tests = examined
    tests.to_csv(tmp_path / "tests.tsv", sep="\t", index=False, na_rep="n/a")
    again = pd.read_csv(tmp_path / "tests.tsv", sep="\t", keep_default_na=False, na_values=["n/a"])
    said = [[neuropathology.say_q(row) for row in table.to_dict("records")] for table in (tests, again)]
    assert said[0] == said[1]
    assert [text.endswith("*") for text in said[1]] == [True, True] + 6 * [False]


@pytest.fixture
def diagnosed():
    rng = np.random.default_rng(1)
    diagnosis = np.repeat(["CN", "CN", "MCI", "AD"], [20, 10, 15, 6])
    people = pd.DataFrame({"diagnosis": diagnosis, "cohort": ["clinic"] * 20 + ["others"] * 10 + ["clinic"] * 21})
    people = pd.concat([people.assign(representation=name) for name in NAMES], ignore_index=True)
    people["gap_debiased"] = rng.normal(0, 3, len(people))
    rows = [(name, one, "clinic") for name in NAMES for one in ("MCI", "AD")]
    tests = pd.DataFrame(rows, columns=["representation", "diagnosis", "cohorts"]).assign(
        difference=-1.25, hedges_g=0.4
    )
    tests = tests.assign(q=[0.01, 0.5, np.nan, 0.3], significant=pd.Series([True, False, None, False], dtype=object))
    tests.loc[2, "difference"] = np.nan
    return people, tests


def test_groups_show_difference_g_and_q_and_healthy_people_of_the_same_cohorts(diagnosed):
    figure = group_gaps.draw(*diagnosed)
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["CN\n(20)", "MCI\n(15)", "AD\n(6)"]
    assert [text.get_text() for text in axes.texts] == [
        "−1.2 years\ng +0.40\nq = 0.010 *",
        "−1.2 years\ng +0.40\nq = 0.50",
    ]
    assert figure.axes[1].texts[0].get_text() == "g +0.40\nnot tested"
    assert sum(len(points.get_offsets()) for points in axes.collections) == 41


def test_nobody_gives_a_page_that_says_so(examined, diagnosed):
    assert "Nobody" in neuropathology.draw(examined[0].head(0), examined[1].head(0)).texts[0].get_text()
    assert "Nobody" in group_gaps.draw(diagnosed[0].head(0), diagnosed[1].head(0)).texts[0].get_text()
