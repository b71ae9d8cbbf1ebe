"""From the tables of two jobs of a grid to all of its statistics, through the scripts of both rules."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.evaluate import image_grids
from workflow_scripts.lib.evaluate import grid_report, grid_select
from workflow_scripts.lib.radiology import cells
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.radiology import collect_grid, compare_grid

FACTORS = {"dataset": ["knee"], "weights": ["nature", "xray"], "backbone": ["deep"], "head": ["Conv", "Linear"]}
FACTORS |= {"lr_decay": ["beta", "cosine"], "grouping": ["groups", "images"]}
SECTION = {
    "datasets": {"knee": {"kind": "table", "exam_score": "max"}},
    "weights": {name: {"kind": "random"} for name in FACTORS["weights"]},
    "grids": {"tiny": {"factors": FACTORS, "splits": 2, "seeds": 1}},
    "statistics": {"n_bootstrap": 100, "level": 0.9},
}
MADE = ["effects", "variances", "contrasts", "tests", "ranks", "grouping", "intervals", "roc", "calibration"]


def write_parts(folder):
    """Write what two jobs of fit_cells, index_images and draw_splits would; return the simulated fits."""
    fits, scores, images = image_grids.simulate(np.random.default_rng(0), FACTORS, groups=40, splits=2)
    settings = pd.DataFrame(cells.expand(SECTION, "tiny"))
    own = fits[["cell", "split", "seed", "leaks", "validation_auc", "test_auc"]]
    table = settings.merge(own, on="cell", validate="one_to_many").assign(grid="tiny")
    for column in tables.load_schema("grid_fits")["required"]:
        table[column] = table.get(column, pd.Series(np.nan, index=table.index))
    assert len(table) == len(fits) == 32
    curves = own[["cell", "split", "seed"]].assign(
        epoch=1, learning_rate=1e-4, loss=0.7, valid_auc=own["validation_auc"]
    )
    curves = curves.assign(valid_accuracy=0.5, valid_loss=0.7, chosen=True)
    for number, names in enumerate((settings["cell"].iloc[::2], settings["cell"].iloc[1::2])):
        for name, whole in (("fits.tsv", table), ("scores.parquet", scores), ("curves.tsv", curves)):
            part = whole[whole["cell"].isin(names)]
            tables.write_table(part, folder / f"{number}.{name}", f"grid_{name.split('.')[0]}")
    knee = images["knee"]
    index = knee.assign(row=range(len(knee)), label="l", patient_id=None, slice=1, has_mask=False, width=9, height=9)
    index = index.assign(coloured=0.0, split_given=None, sha256="0" * 64)
    columns = tables.load_schema("image_index")["required"]
    tables.write_table(index[columns], folder / "images.tsv", "image_index")
    sets = scores.drop_duplicates(["split", "image_id"])[["split", "image_id", "set"]]
    splits = sets.merge(knee[["image_id", "group", "y"]], on="image_id").assign(grouping="groups")
    splits = pd.concat([splits, splits.assign(grouping="images")], ignore_index=True)
    tables.write_table(splits, folder / "splits.tsv", "image_splits")
    return fits


def run_scripts(folder):
    collected = {name: folder / f"{name}.{'parquet' if name == 'scores' else 'tsv'}" for name in ("fits", "scores")}
    collected |= {name: folder / f"{name}.tsv" for name in ("curves", "selection")}
    parts = {name: [folder / f"{k}.{collected[name].name}" for k in (1, 0)] for name in ("fits", "scores", "curves")}
    collect_grid.main(
        SimpleNamespace(
            wildcards=SimpleNamespace(grid="tiny"),
            input=SimpleNamespace(**parts),
            output=SimpleNamespace(**collected),
            params=SimpleNamespace(cells=[cell["cell"] for cell in cells.expand(SECTION, "tiny")], splits=2, seeds=1),
        )
    )
    given = {name: collected[name] for name in ("fits", "scores", "selection")}
    compare_grid.main(
        SimpleNamespace(
            input=SimpleNamespace(**given, images=[folder / "images.tsv"], splits=[folder / "splits.tsv"]),
            output=SimpleNamespace(**{name: folder / f"{name}.tsv" for name in MADE}),
            params=SimpleNamespace(datasets=SECTION["datasets"], statistics=SECTION["statistics"], seed=3),
        )
    )
    return {name: tables.read_table(folder / f"{name}.tsv", f"grid_{name}") for name in ["selection", *MADE]}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grid")
    return write_parts(folder), run_scripts(folder)


def test_every_table_is_there_and_speaks_of_grouped_splits_only(made):
    _, found = made
    assert set(found["selection"]["grouping"]) == {"groups", "images"}
    assert found["variances"]["n"].unique().tolist() == [16]
    assert found["contrasts"]["fits"].unique().tolist() == [16]
    cells_used = {*found["tests"]["cell_a"], *found["intervals"]["cell"], *found["roc"]["cell"]}
    assert all(cell.endswith(".groups") for cell in cells_used)
    assert found["tests"]["unit"].unique().tolist() == ["exam"]
    assert set(found["effects"]["model"]) == {"published_weights", "published_head", "recommended"}
    assert found["ranks"]["pairs"].tolist() == [4]
    assert len(found["grouping"]) == (4 * 2 + 1) * 3  # pairs of cells and their mean; two splits and both


def test_contrasts_are_means_over_matched_fits(made):
    fits, found = made
    own = fits[fits["grouping"] == "groups"].groupby("weights")["test_auc"].mean()
    row = found["contrasts"].iloc[0]
    assert row["estimate"] == pytest.approx(own["nature"] - own["xray"], abs=1e-8)


ONE = {"dataset": ["knee"], "weights": ["nature"], "backbone": ["deep"], "head": ["Conv"], "lr_decay": ["cosine"]}
DESIGNS = {
    "one cell": (ONE, 1, 1),
    "one cell, splits and seeds": (ONE, 3, 2),
    "groups ignored": ({**ONE, "dataset": ["knee", "breast"], "grouping": ["groups", "images"]}, 5, 1),
    "only images": ({**ONE, "grouping": ["images"]}, 2, 1),
    "structures": ({**ONE, "weights": ["nature", "xray"], "structure": ["freezeall", "unfreezetop2"]}, 1, 1),
    "three weights": ({**ONE, "weights": ["a", "b", "c"], "lr_decay": ["beta", "cosine"]}, 2, 1),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_grids_of_any_shape_have_their_tables(design):
    factors, splits, seeds = DESIGNS[design]
    fits, scores, images = image_grids.simulate(
        np.random.default_rng(1), factors, groups=30, splits=splits, seeds=seeds
    )
    selection = grid_select.select_cells(fits)
    options = {"n_bootstrap": 50, "level": 0.95}
    found = grid_report.compare(fits, scores, selection, images, {}, image_grids.KEYS, options, 3)
    for name in MADE:
        tables.check_table(found[name], f"grid_{name}", name)
    pairs = {"structures": ["weights", "structure"], "three weights": ["weights"] * 3}.get(design, [])
    assert found["contrasts"]["kind"].tolist() == pairs
    assert found["contrasts"]["se_groups"].notna().all()
    assert len(found["grouping"]) == (2 * 2 * 6 if design == "groups ignored" else 0)
    assert found["intervals"]["auc"].notna().all()


def test_splits_by_image_do_not_stand_in_for_grouped_ones_that_all_diverged():
    factors = DESIGNS["groups ignored"][0]
    fits, scores, images = image_grids.simulate(np.random.default_rng(1), factors, groups=30, splits=2)
    lost = (fits["dataset"] == "knee") & (fits["grouping"] == "groups")
    fits.loc[lost, ["validation_auc", "test_auc"]] = np.nan
    scores.loc[scores["cell"].isin(fits.loc[lost, "cell"]), "score"] = np.nan
    options = {"n_bootstrap": 20, "level": 0.95}
    selection = grid_select.select_cells(fits)
    found = grid_report.compare(fits, scores, selection, images, {}, image_grids.KEYS, options, 3)
    assert set(found["intervals"]["dataset"]) == {"breast"}


def test_images_of_two_groups_or_unknown_are_refused():
    splits = pd.DataFrame({"image_id": ["a", "a", "b"], "group": ["g", "h", "g"]})
    index = pd.DataFrame({"image_id": ["a"], "exam_id": ["x"]})
    with pytest.raises(StudyError, match="knee: image 'a' is in two groups"):
        grid_report.describe_images(index, splits, "knee")
    with pytest.raises(StudyError, match=r"knee: image 'b' is in a split and not in images\.tsv"):
        grid_report.describe_images(index, splits.iloc[1:], "knee")
