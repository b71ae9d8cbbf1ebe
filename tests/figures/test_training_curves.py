import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.figures import training_curves
from workflow_scripts.lib.study.errors import StudyError


def make_table(locations=3, epochs=5):
    rows = []
    for method in ("rnce", "simclr"):
        for level, names in (("patch", [f"p{i}" for i in range(locations)]), ("image", ["all"])):
            for number, name in enumerate(names):
                for epoch in range(1, epochs + 1):
                    explained = epoch / 10 if method == "rnce" else np.nan
                    rows.append((method, level, name, epoch, number + 1 / epoch, explained, -epoch / 5))
    columns = ["method", "level", "location", "epoch", "loss", "explained", "uniformity"]
    return pd.DataFrame(rows, columns=columns)


def test_lines_are_the_values_of_the_table():
    table = make_table()
    figure = training_curves.draw(table)
    assert len(figure.axes) == 6
    patch_loss, image_loss = figure.axes[:2]
    # three locations and their mean for each of two methods, and two empty lines for the legend
    drawn = [line for line in patch_loss.lines if len(line.get_xdata())]
    assert len(drawn) == 2 * 4
    chosen = table[(table["level"] == "patch") & (table["method"] == "rnce")]
    np.testing.assert_allclose(drawn[0].get_ydata(), chosen[chosen["location"] == "p0"]["loss"])
    np.testing.assert_allclose(drawn[3].get_ydata(), chosen.groupby("epoch")["loss"].mean())
    assert len(image_loss.lines) == 2


def test_quantities_that_nobody_has_are_left_out():
    table = make_table()
    assert len(training_curves.draw(table[table["method"] == "simclr"]).axes) == 4


def test_the_table_is_left_as_it_was():
    table = make_table()
    before = table.copy()
    training_curves.draw(table)
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize("table", [make_table().iloc[:0], make_table().drop(columns="level")])
def test_a_table_without_rows_or_columns_is_refused(table):
    with pytest.raises(StudyError, match="training curves"):
        training_curves.draw(table)
