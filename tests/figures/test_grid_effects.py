"""The figure of effects: published and recommended contrasts point the same way, intervals are the tables'."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.figures.test_factor_boxes import lay_out, make_fits
from tests.figures.test_radiology_report import make_contrasts, make_effects
from workflow_scripts.figures import grid_effects as script
from workflow_scripts.lib.evaluate import grid_models
from workflow_scripts.lib.figures import grid_effects
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def given():
    contrasts, effects = make_contrasts(), make_effects()
    tables.check_table(contrasts, "grid_contrasts", "contrasts")
    tables.check_table(effects, "grid_effects", "effects")
    return contrasts.assign(grid="tiny"), effects.assign(grid="tiny")


def test_published_effects_are_turned_like_the_planned_pairs(given):
    source = grid_effects.source_table(*given)
    published = source[source["reading"] == "published"].set_index("factor")
    # the model says textures less random +0.016, the planned pair is random less textures
    assert published.loc["weights", ["a", "b", "estimate"]].to_list() == ["random", "textures", -0.016]
    np.testing.assert_allclose(published.loc["weights", ["lower", "upper"]].astype(float), [-0.036, 0.004])
    assert published.loc["head", ["a", "b", "estimate"]].to_list() == ["ConvSkip", "Linear", 0.313]
    assert published["p"].to_list() == given[1]["p"].to_list()


def test_a_contrast_has_three_intervals_and_the_p_of_both_variances(given):
    figure = grid_effects.draw(*given, {"weights": {"textures": "Textures"}, "dataset": {"lesions": "Lesions"}})
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [
        "random − Textures, published",
        "random − Textures, Lesions",
        "random − Textures, Lesions, small",
        "random − Textures, Lesions, dense",
    ]
    ends = {tuple(np.round(segment[:, 0], 9)) for one in axes.collections for segment in one.get_segments()}
    row = given[0].iloc[0]
    for reading in ("settings", "groups", "both"):
        assert tuple(np.round([row[f"lower_{reading}"], row[f"upper_{reading}"]], 9)) in ends
    said = [text.get_text() for text in axes.texts]
    assert said[:4] == ["0.054", "–", "0.001", "0.004"]
    assert [text.get_fontweight() for text in axes.texts[:4]] == ["normal", "normal", "bold", "bold"]
    assert [text.get_text() for text in figure.axes[1].get_yticklabels()] == [
        "ConvSkip − Linear, published",
        "ConvSkip − Linear, all datasets",
    ]


def test_the_published_runs_have_the_published_effects():
    """Frees et al., Table 4: RadImageNet less ImageNet +0.016, p .0543; Table 5: Linear less Conv -0.313."""
    runs = pd.read_csv(ROOT / "tests/data/statistics/seed003_grid_v4.csv")
    names = {"task": "dataset", "pretrain": "weights", "clf": "head", "lrdecay": "lr_decay", "numfilters": "filters"}
    runs = runs.rename(columns=names).assign(cell=range(len(runs)), split=0)
    models = [grid_models.fit_published(runs, name) for name in grid_models.PUBLISHED]
    effects = grid_models.effects_table(models, 0.95).assign(grid="published")
    contrasts = make_contrasts().head(0).assign(grid="published")
    first = grid_effects.first_levels(runs.assign(grid="published", structure="freezeall"))
    source = grid_effects.source_table(contrasts, effects, first).set_index("a")
    assert source.at["RadImageNet", "b"] == "ImageNet" and source.at["Linear", "b"] == "Conv"
    assert round(source.at["RadImageNet", "estimate"], 3) == 0.016
    assert round(source.at["RadImageNet", "p"], 4) == 0.0543
    assert round(source.at["Linear", "estimate"], 3) == -0.313
    assert len(grid_effects.draw(contrasts, effects).axes) == 2


def test_too_many_rows_leave_contrasts_by_backbone_to_the_table(given):
    rows = [
        {"a": a, "b": b, "backbone": backbone, "kind": "weights_by_backbone" if backbone else "weights"}
        for a, b in itertools.combinations([f"weights_{number:02d}" for number in range(9)], 2)
        for backbone in (None, "small")
    ]
    many = pd.DataFrame([given[0].iloc[0].to_dict() | row for row in rows])
    figure = grid_effects.draw(many, given[1].head(0))
    assert len(figure.axes[0].get_yticklabels()) == 36
    assert "in the source table" in figure.axes[0].get_title(loc="left")
    assert len(grid_effects.source_table(many, given[1].head(0))) == 3 * 72


def test_contrasts_without_intervals_or_estimates_are_drawn(given, tmp_path):
    contrasts, effects = given
    contrasts.loc[0, [name for name in contrasts if name.startswith(("lower", "upper", "p_", "se_"))]] = np.nan
    contrasts.loc[1, "estimate"] = np.nan
    figure = grid_effects.draw(contrasts, effects)
    assert len(figure.axes[0].get_yticklabels()) == 3
    lay_out(figure, grid_effects.source_table(contrasts, effects), tmp_path)


def test_grids_without_anything_to_compare_are_refused(given):
    contrasts, effects = (table.head(0) for table in given)
    with pytest.raises(StudyError, match="two weights or two heads"):
        grid_effects.draw(contrasts, effects)


def test_every_kind_of_contrast_of_the_schema_is_drawn(given):
    kinds = tables.load_schema("grid_contrasts")["properties"]["kind"]["enum"]
    rows = pd.DataFrame([given[0].iloc[3].to_dict() | {"kind": kind, "dataset": "lesions"} for kind in kinds])
    source = grid_effects.source_table(rows, given[1].head(0))
    assert source["factor"].notna().all()
    shown = [
        text.get_text() for axes in grid_effects.draw(rows, given[1].head(0)).axes for text in axes.get_yticklabels()
    ]
    assert len(shown) == len(kinds)
    # a structure of its own, with its three intervals
    structures = source[source["kind"] == "structure"]
    assert structures["reading"].tolist() == ["settings", "groups", "both"]


def test_the_script_names_the_first_level_where_no_pair_was_planned(given, tmp_path):
    contrasts, effects = (table.drop(columns="grid") for table in given)
    fits = make_fits({"weights": ["random", "textures"], "head": ["ConvSkip", "Linear"]}, grid="tiny")
    parted = fits.assign(weights="aaa", cell="aaa." + fits["cell"], grouping="images")
    fits = pd.concat([fits, parted], ignore_index=True)
    files = {"contrasts": contrasts.head(0), "effects": effects, "fits": fits}
    for name, table in files.items():
        tables.write_table(table, tmp_path / f"{name}.tsv", f"grid_{name}")
    job = SimpleNamespace(
        input=SimpleNamespace(**{name: [str(tmp_path / f"{name}.tsv")] for name in files}),
        params=SimpleNamespace(grids=["tiny"], titles={}),
        output=SimpleNamespace(png=str(tmp_path / "f.png")),
    )
    script.main(job)
    source = pd.read_csv(tmp_path / "f.csv").set_index("factor")
    assert source["b"].to_dict() == {"weights": "random", "head": "ConvSkip"}
    assert source.at["weights", "estimate"] == 0.016
