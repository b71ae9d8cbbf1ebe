"""The figure of ROC curves: curves, bands and the three intervals are those of the tables."""

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import lay_out
from workflow_scripts.lib.figures import roc_curves
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError


def make_roc(weights=("random", "textures"), datasets=("lesions", "slices")):
    """Return curves sensitivity = fpr^power, whose area is 1 / (1 + power), and intervals of them."""
    curves, intervals = [], []
    x = np.linspace(0, 1, 21)
    for dataset in datasets:
        for place, name in enumerate(weights):
            power = 0.4 / (place + 1)
            both = {"dataset": dataset, "weights": name, "cell": f"{dataset}.{name}", "unit": "image"}
            auc = {"auc": 1 / (1 + power), "auc_lower": 0.6, "auc_upper": 0.95}
            tpr = x**power
            curves.append(pd.DataFrame({"fpr": x, "tpr": tpr, "lower": tpr * 0.9, "upper": 1.0}).assign(**both, **auc))
            for split in ("0", "1", "all"):
                for method in roc_curves.METHODS:
                    row = both | {"split": split, "method": method, "units": 78, "positives": 21, "groups": 60}
                    intervals.append(row | {"auc": auc["auc"], "lower": 0.62, "upper": 0.93})
    roc, ends = pd.concat(curves, ignore_index=True), pd.DataFrame(intervals)
    tables.check_table(roc[[*tables.load_schema("grid_roc")["required"]]], "grid_roc", "roc")
    tables.check_table(ends[[*tables.load_schema("grid_intervals")["required"]]], "grid_intervals", "intervals")
    return roc.assign(grid="tiny"), ends.assign(grid="tiny")


def test_curves_and_numbers_are_those_of_the_tables():
    roc, intervals = make_roc()
    figure = roc_curves.draw(roc, intervals, {"weights": {"textures": "Textures"}})
    curves, forest = figure.axes[:2]
    assert curves.get_title(loc="left") == "tiny: lesions"
    drawn = [line for line in curves.lines if len(line.get_xdata()) == 21]
    own = roc[(roc["dataset"] == "lesions") & (roc["weights"] == "textures")]
    np.testing.assert_allclose(drawn[1].get_ydata(), own["tpr"])
    assert len(curves.collections) == 2  # a band each
    assert [text.get_text() for text in forest.get_yticklabels()] == ["random", "Textures"]
    said = [text.get_text() for text in forest.texts]
    assert f"{1 / 1.4:.3f}\n[0.600, 0.950]" in said
    assert forest.get_title(loc="left") == "78 test images, 21 positive, 60 groups"
    ends = {
        tuple(segment[:, 0])
        for one in forest.collections
        if hasattr(one, "get_segments")
        for segment in one.get_segments()
    }
    assert ends == {(0.62, 0.93)}
    splits = [len(one.get_offsets()) for one in forest.collections if not hasattr(one, "get_segments")]
    assert splits == [2, 2]


def test_twelve_weights_and_missing_bounds_are_drawn(tmp_path):
    roc, intervals = make_roc([f"weights_{number}" for number in range(12)], ["lesions"])
    roc.loc[roc["weights"] == "weights_3", ["lower", "upper", "auc_lower", "auc_upper"]] = np.nan
    intervals.loc[intervals["method"] == "logit", ["lower", "upper"]] = np.nan
    intervals.loc[intervals["weights"] == "weights_4", "auc"] = np.nan
    figure = roc_curves.draw(roc, intervals)
    assert any("[–, –]" in text.get_text() for text in figure.axes[1].texts)
    lay_out(figure, roc_curves.source_table(roc, intervals), tmp_path)


def test_the_source_has_every_row():
    roc, intervals = make_roc()
    source = roc_curves.source_table(roc, intervals)
    assert source["quantity"].value_counts().to_dict() == {"sensitivity": len(roc), "auc": len(intervals)}


def test_a_curve_without_intervals_is_drawn_and_nothing_is_an_error():
    roc, intervals = make_roc(["random"], ["lesions"])
    assert len(roc_curves.draw(roc, intervals.head(0)).axes) == 2
    with pytest.raises(StudyError, match="no selected model has a ROC curve"):
        roc_curves.draw(roc.head(0), intervals.head(0))
