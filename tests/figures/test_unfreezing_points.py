"""The figure of unfreezing: structures stand in the order of what they free, every fit is a point."""

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import FREE, lay_out, make_fits
from workflow_scripts.lib.figures import unfreezing_points
from workflow_scripts.lib.study.errors import StudyError


@pytest.fixture(scope="module")
def fits():
    factors = {"dataset": ["lesions", "slices"], "structure": list(reversed(FREE)), "head": ["ConvSkip"]}
    return make_fits(factors | {"weights": ["random", "textures"]}, splits=3, seeds=1)


def lines(axes):
    """Return the lines through medians, without the one of chance."""
    return [line for line in axes.lines if line.get_marker() not in ("None", None, "")]


def test_structures_stand_by_the_backbone_s_parameters_with_their_counts(fits):
    figure = unfreezing_points.draw(fits)
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["freezeall\n0", "unfreezetop2\n15 M", "unfreezetop3\n22.1 M", "unfreezeall\n23.5 M"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["validation AUC", "test AUC"]


def test_heads_of_other_sizes_do_not_move_a_structure(fits):
    other = fits.assign(head="NonLinear", parameters=2_101_250)
    other["trainable"] = other["parameters"] + other["structure"].map(FREE)
    source = unfreezing_points.source_table(pd.concat([fits, other], ignore_index=True))
    counts = source.groupby("structure")["backbone_parameters"].unique()
    assert {name: list(values) for name, values in counts.items()} == {name: [count] for name, count in FREE.items()}


def test_lines_join_medians_and_points_are_fits(fits):
    axes = unfreezing_points.draw(fits).axes[1]
    assert len(lines(axes)) == 4
    own = fits[(fits["dataset"] == "lesions") & (fits["weights"] == "random")]
    expected = own.groupby("structure")["test_auc"].median()[list(FREE)]
    np.testing.assert_allclose(lines(axes)[0].get_ydata(), expected)
    drawn = np.concatenate([cloud.get_offsets()[:, 1] for cloud in axes.collections])
    np.testing.assert_allclose(np.sort(drawn), np.sort(fits["test_auc"]))


def test_datasets_differ_in_colour_and_weights_in_line(fits):
    drawn = lines(unfreezing_points.draw(fits).axes[0])
    signs = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn]
    assert len(set(signs)) == 4
    assert len({colour for colour, *_ in signs}) == 2


def test_a_grid_with_one_structure_is_left_out_where_another_has_several(fits):
    single = fits[fits["structure"] == "freezeall"].assign(grid="single")
    assert set(unfreezing_points.source_table(pd.concat([fits, single]))["grid"]) == {"tiny"}
    assert set(unfreezing_points.source_table(single)["grid"]) == {"single"}
    assert len(unfreezing_points.draw(single).axes) == 2


def test_fits_to_parted_groups_are_left_out(fits):
    leaked = fits.assign(grouping="images", test_auc=1.0)
    source = unfreezing_points.source_table(pd.concat([fits, leaked], ignore_index=True))
    assert (source["quantity"] == "fit").sum() == 2 * len(fits)


def test_a_grid_that_splits_by_image_alone_keeps_its_fits_and_structures(fits):
    by_image = fits.assign(grid="by image", grouping="images")
    by_image.loc[by_image["structure"] == "unfreezetop3", "dataset"] = "others"
    more = fits[fits["structure"] == "freezeall"].assign(structure="unfreezetop1", grouping="images")
    table = pd.concat([fits, more, by_image], ignore_index=True)
    counts = unfreezing_points.source_table(table).groupby("grid")["structure"].nunique()
    assert counts.to_dict() == {"tiny": 4, "by image": 4}
    assert len(unfreezing_points.draw(table).axes) == 4


def test_a_fit_on_its_own_stands_where_its_median_does(fits):
    axes = unfreezing_points.draw(fits[fits["split"] == 0]).axes[0]
    for cloud, line in zip(axes.collections, lines(axes), strict=True):
        np.testing.assert_allclose(np.sort(cloud.get_offsets()[:, 0]), np.sort(line.get_xdata()))


def test_fits_that_failed_are_not_drawn_and_do_not_lose_their_structure(fits, tmp_path):
    broken = fits.astype({"parameters": "Int64", "trainable": "Int64"})
    lost = (broken["split"] == 0) | (broken["structure"] == "unfreezetop3")
    broken.loc[lost, ["validation_auc", "test_auc"]] = np.nan
    broken.loc[broken["split"] == 0, ["parameters", "trainable"]] = pd.NA
    figure = unfreezing_points.draw(broken)
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()][2] == "unfreezetop3\n22.1 M"
    source = unfreezing_points.source_table(broken)
    lay_out(figure, source, tmp_path)
    assert (source.loc[source["structure"] == "unfreezetop2", "backbone_parameters"] == FREE["unfreezetop2"]).all()
    with pytest.raises(StudyError, match="no fit of the grids has an AUC"):
        unfreezing_points.draw(fits.assign(validation_auc=np.nan, test_auc=np.nan))


def test_counts_are_written_as_people_say_them():
    written = [unfreezing_points.count(value) for value in (0, 640, 12_345, 14_964_736, 603_979_776)]
    assert written == ["0", "640", "12.3 k", "15 M", "604 M"]
