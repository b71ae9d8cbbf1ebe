"""The figure of scores before and after grouping draws its table and nothing else."""

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import grouping_inflation
from workflow_scripts.lib.study.errors import StudyError


def rows(dataset, cell, scores):
    """Rows of splits and their mean; scores are (auc with groups whole, auc by image) a split."""
    names = {"grid": "g", "dataset": dataset, "cell": cell, "cell_images": cell, "head": "Linear"}
    table = [{**names, "split": k, "auc_groups": a, "auc_images": b, "leaks": 0.4} for k, (a, b) in enumerate(scores)]
    a, b = np.mean(scores, axis=0)
    mean = {"split": None, "auc_groups": a, "auc_images": b, "difference": b - a, "lower": 0.01, "upper": 0.09}
    return [*table, {**names, **mean, "leaks": 0.4}]


@pytest.fixture
def table():
    first = rows("d", "one", [(0.7, 0.8), (0.72, 0.78)])
    whole = {**first[-1], "cell": "all", "cell_images": "all"}
    return pd.DataFrame([*first, whole, *rows("e", "one", [(0.6, 0.5)])])


def test_points_lines_and_words_are_the_table_s(table):
    source = grouping_inflation.source_table(table)
    figure = grouping_inflation.draw(source, {}, {"d": "Dataset"})
    first, second = figure.axes
    groups, images = (np.asarray(points.get_offsets())[:, 1] for points in first.collections)
    assert groups.tolist() == [0.7, 0.72] and images.tolist() == [0.8, 0.78]
    lines = [line.get_ydata() for line in first.lines if len(line.get_xdata()) == 2 and line.get_ydata()[0] != 0.5]
    assert len(lines) == 2 and np.allclose(lines, [0.71, 0.79])
    assert first.get_title(loc="left") == "Dataset\n+0.080 [+0.010, +0.090]\n40% of test images leak"
    assert second.get_title(loc="left").startswith("e\n−0.100")


def test_rows_without_a_score_are_left_out_and_nothing_at_all_is_refused(table):
    table.loc[table["dataset"] == "e", ["auc_groups", "auc_images"]] = np.nan
    assert set(grouping_inflation.source_table(table)["dataset"]) == {"d"}
    with pytest.raises(StudyError, match=r"factor grouping: \[groups, images\]"):
        grouping_inflation.source_table(table[table["dataset"] == "e"])
