"""The figure of learning curves of a grid: the selected fits, and the epoch that was kept."""

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import lay_out
from workflow_scripts.lib.figures import grid_curves
from workflow_scripts.lib.study.errors import StudyError

EPOCHS = 4


@pytest.fixture
def tables():
    """Four cells on two datasets, two fits each; the best epoch of a fit is its split + 1."""
    rng = np.random.default_rng(0)
    rows = [
        {"cell": cell, "split": split, "seed": 0, "epoch": epoch, "learning_rate": 1e-4, "chosen": epoch == split + 2}
        for cell in ("lesions.random", "lesions.textures", "slices.random", "slices.textures")
        for split in range(2)
        for epoch in range(1, EPOCHS + 1)
    ]
    curves = pd.DataFrame(rows)
    for name in grid_curves.QUANTITIES:
        curves[name] = rng.uniform(0.4, 0.9, len(curves))
    chosen = [("lesions", "random"), ("lesions", "textures"), ("slices", "textures")]
    selection = pd.DataFrame(chosen, columns=["dataset", "weights"]).assign(grouping="groups", choice="weights")
    selection["cell"] = selection["dataset"] + "." + selection["weights"]
    return curves, selection


def test_only_selected_cells_are_kept(tables):
    curves, selection = tables
    best = selection.head(1).assign(choice="dataset")
    leaked = selection.head(1).assign(grouping="images", cell="slices.random")
    kept = grid_curves.selected(curves, pd.concat([leaked, best, selection], ignore_index=True))
    assert set(kept["cell"]) == {"lesions.random", "lesions.textures", "slices.textures"}
    assert len(kept) == 3 * 2 * EPOCHS


def test_lines_are_fits_medians_and_kept_epochs(tables):
    curves, selection = tables
    kept = grid_curves.selected(curves, selection).assign(grid="tiny")
    figure = grid_curves.draw(kept, {"grid": {"tiny": "Tiny"}, "dataset": {"lesions": "Lesions"}})
    assert [axes.get_title(loc="left") for axes in figure.axes[::3]] == ["Tiny: Lesions", "Tiny: slices"]
    axes = figure.axes[1]
    own = kept[kept["cell"] == "lesions.random"]
    thick = [line for line in axes.lines if line.get_linewidth() == 1.8]
    assert len(thick) == 2
    assert len(axes.lines) == 2 + 4
    np.testing.assert_allclose(thick[0].get_ydata(), own.groupby("epoch")["valid_auc"].median())
    marked = axes.collections[0].get_offsets()
    np.testing.assert_allclose(marked, own.loc[own["chosen"], ["epoch", "valid_auc"]])
    losses = figure.axes[0]
    assert len([line for line in losses.lines if line.get_linestyle() != "-"]) == 6  # training loss of both weights


def test_a_fit_that_diverged_and_a_single_epoch_are_drawn(tables, tmp_path):
    curves, selection = tables
    kept = grid_curves.selected(curves, selection).assign(grid="tiny")
    kept.loc[(kept["cell"] == "lesions.random") & (kept["epoch"] > 1), grid_curves.QUANTITIES] = np.nan
    single = kept[(kept["dataset"] == "slices") & (kept["epoch"] == 1)]
    assert len(grid_curves.draw(single).axes) == 3
    lay_out(grid_curves.draw(kept), grid_curves.source_table(kept), tmp_path)


def test_the_source_has_every_number(tables):
    curves, selection = tables
    kept = grid_curves.selected(curves, selection).assign(grid="tiny")
    source = grid_curves.source_table(kept)
    assert (source["line"] == "fit").sum() == len(kept) * len(grid_curves.QUANTITIES)
    assert (source["line"] == "median").sum() == 3 * EPOCHS * len(grid_curves.QUANTITIES)
    assert source.loc[source["line"] == "fit", "chosen"].sum() == kept["chosen"].sum() * len(grid_curves.QUANTITIES)


def test_no_selected_cell_is_an_error(tables):
    with pytest.raises(StudyError, match="no cell of the grids was selected"):
        grid_curves.draw(grid_curves.selected(tables[0], tables[1].head(0)).assign(grid="tiny"))
