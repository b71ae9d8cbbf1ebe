"""The figure of boxes by factor: what it draws is what it was given."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.evaluate import grid_select
from workflow_scripts.lib.figures import factor_boxes
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).parents[2]
FREE = {"freezeall": 0, "unfreezetop2": 14_964_736, "unfreezetop3": 22_063_104, "unfreezeall": 23_508_032}
FIXED = {
    "grid": "tiny",
    "backbone": "ResNet50",
    "structure": "freezeall",
    "batch_norm": "frozen",
    "grouping": "groups",
    "kernel": pd.NA,
    "ratio": 0.5,
    "dropout": 0.5,
    "faithful": False,
    "optimizer": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 1e-5,
    "momentum": pd.NA,
    "nesterov": pd.NA,
    "lr_decay": "cosine",
    "beta": 0.5,
    "epochs": 5,
    "batch": 64,
    "balance": "none",
    "augment": True,
    "preprocessing": pd.NA,
    "precision": "float32",
    "images_train": 585,
    "images_validation": 117,
    "images_test": 78,
    "patients_test": 60,
    "chosen_epoch": 3,
    "cached": True,
    "leaks": 0.0,
}


def make_fits(factors, splits=2, seeds=2, **fixed):
    """Return fits of all combinations of the factors' levels, with scores drawn at random."""
    rng = np.random.default_rng(7)
    factors = {"dataset": ["lesions"], "weights": ["random"], "head": ["Linear"]} | factors
    rows = []
    for values in itertools.product(*factors.values()):
        cell = dict(zip(factors, values, strict=True))
        name = ".".join(map(str, values))
        head = {"Linear": 4098, "NonLinear": 2_101_250}.get(cell["head"], 33_500_000)
        for split, seed in itertools.product(range(splits), range(seeds)):
            row = FIXED | fixed | cell | {"cell": name, "split": split, "seed": seed, "parameters": head}
            row["trainable"] = head + FREE.get(row["structure"], 0)
            row["filters"] = row.get("filters", pd.NA) if cell["head"] in ("Conv", "ConvSkip") else pd.NA
            for part, metric in itertools.product(("train", "validation", "test"), ("auc", "f1", "accuracy", "loss")):
                row[f"{part}_{metric}"] = rng.uniform(0.45, 0.95)
            rows.append(row)
    return pd.DataFrame(rows)


def lay_out(figure, source, folder):
    """Lay a figure out, which is where a broken one fails, and write its source; cheaper than two pictures."""
    figure.draw_without_rendering()
    tables.write_table(source, folder / "source.csv")


def headings(figure):
    """Return the headings of blocks, strip by strip."""
    return [[part.get_suptitle() for part in strip.subfigs if part.axes] for strip in figure.subfigs]


@pytest.fixture(scope="module")
def fits():
    factors = {"dataset": ["lesions", "slices"], "weights": ["random", "textures"], "head": ["Linear", "ConvSkip"]}
    return make_fits(factors | {"filters": [4, 16]})


def test_a_factor_that_a_head_lacks_is_shown_for_the_heads_that_have_it(fits):
    assert factor_boxes.varying(fits) == ["weights", "head", "filters"]
    source = factor_boxes.source_table(fits)
    shown = source[(source["factor"] == "filters") & (source["metric"] == "validation_auc")]
    assert set(shown["level"]) == {"4", "16"}
    assert len(shown) == (fits["head"] == "ConvSkip").sum()


def test_levels_stand_by_size_and_structures_by_what_they_train():
    fits = make_fits({"structure": ["unfreezeall", "freezeall", "unfreezetop2"], "learning_rate": [1e-2, 1e-4, 1e-3]})
    assert factor_boxes.levels(fits, "structure") == ["freezeall", "unfreezetop2", "unfreezeall"]
    assert factor_boxes.levels(fits, "learning_rate") == [1e-4, 1e-3, 1e-2]
    assert factor_boxes.levels(fits.assign(weights=["b", "a"] * 18), "weights") == ["b", "a"]


def test_every_fit_is_a_point_and_every_panel_a_factor(fits):
    figure = factor_boxes.draw(fits)
    headings = [axes.get_title(loc="left") for axes in figure.axes]
    assert headings[:3] == ["weights", "head", "filters"]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == list(factor_boxes.METRICS.values())
    drawn = [cloud.get_offsets()[:, 1] for cloud in figure.axes[0].collections]
    np.testing.assert_allclose(np.sort(np.concatenate(drawn)), np.sort(fits["validation_auc"]))
    medians = {round(float(line.get_ydata()[0]), 9) for line in figure.axes[1].lines if line.get_linewidth() == 1.8}
    expected = fits.groupby(["head", "dataset"])["validation_auc"].median().round(9)
    assert medians == set(expected)


def test_grids_are_never_mixed_in_one_box(fits):
    other = fits.assign(grid="other", validation_auc=0.5)
    both = pd.concat([fits, other], ignore_index=True)
    figure = factor_boxes.draw(both, {"grid": {"other": "The other"}}, ["validation_auc"])
    assert headings(figure) == [[f"tiny: {len(fits)} fits", f"The other: {len(fits)} fits"]]
    drawn = np.concatenate([cloud.get_offsets()[:, 1] for cloud in figure.axes[3].collections])
    assert (drawn == 0.5).all()


def test_the_seed_s_own_runs_show_what_its_figures_5_and_6_and_22_to_24_say():
    """ConvSkip, cosine, 16 filters and ResNet50 have the better mean; ImageNet on breast, RadImageNet on ACL."""
    runs = pd.read_csv(ROOT / "tests/data/statistics/seed003_grid_v4.csv")
    names = {
        "task": "dataset",
        "pretrain": "weights",
        "clf": "head",
        "lrdecay": "lr_decay",
        "val_auc": "validation_auc",
    }
    runs = runs.rename(columns=names | {"numfilters": "filters", "fcsizeratio": "ratio"})
    runs = runs.assign(grid="published", cell=range(len(runs)), split=0, seed=0)
    runs["filters"] = runs["filters"].where(runs["head"].isin(["Conv", "ConvSkip"]))
    source = factor_boxes.source_table(runs)
    means = source.groupby(["factor", "level"])["value"].mean()
    best = means.groupby("factor").idxmax().map(lambda pair: pair[1])
    assert best[["head", "lr_decay", "filters", "backbone"]].to_list() == ["ConvSkip", "cosine", "16", "ResNet50"]
    weights = source[source["factor"] == "weights"].groupby(["dataset", "level"])["value"].mean()
    assert weights["acl", "RadImageNet"] > weights["acl", "ImageNet"]
    assert weights["breast", "ImageNet"] > weights["breast", "RadImageNet"]


def test_twelve_levels_one_dataset_and_fits_that_diverged_are_drawn(tmp_path):
    fits = make_fits({"weights": [f"weights_{number}" for number in range(12)]})
    fits.loc[fits["weights"] == "weights_3", [name for name in fits if "_auc" in name]] = np.nan
    figure = factor_boxes.draw(fits)
    lay_out(figure, factor_boxes.source_table(fits), tmp_path)
    assert headings(figure) == [["tiny: 48 fits, 4 without a score"]]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == []  # the lowest row names the levels
    assert len(figure.axes[-1].get_xticklabels()) == 12
    written = pd.read_csv(tmp_path / "source.csv", na_values="n/a")
    assert written["value"].isna().sum() == 4


def test_one_cell_is_drawn_by_dataset(fits):
    figure = factor_boxes.draw(fits[(fits["cell"] == fits["cell"].iloc[0])])
    assert figure.axes[0].get_title(loc="left") == "dataset"


def test_many_factors_go_into_several_lines():
    wide = make_fits({"weights": [f"weights_{number:02d}" for number in range(16)]}, splits=1, seeds=1)
    wide = wide.assign(epochs=range(16), batch=range(16), beta=range(16))
    figure = factor_boxes.draw(wide, metrics=["validation_auc"])
    assert figure.get_figwidth() < factor_boxes.WIDEST + 1
    assert [[len(part.axes) for part in strip.subfigs if part.axes] for strip in figure.subfigs] == [[1]] * 4


def test_small_grids_stand_beside_each_other_and_large_ones_below(fits):
    small = make_fits({"structure": ["freezeall", "unfreezeall"]}, splits=1, seeds=1)
    large = make_fits({"weights": [f"weights_{number:02d}" for number in range(12)]}, splits=1, seeds=1)
    grids = {"a": small, "b": small, "c": large, "d": small, "e": large}
    figure = factor_boxes.draw(factor_boxes.join(grids), metrics=["validation_auc"])
    assert headings(figure) == [["a: 2 fits", "b: 2 fits", "c: 12 fits"], ["d: 2 fits", "e: 12 fits"]]
    assert figure.get_figwidth() <= factor_boxes.WIDEST


def test_fits_to_parted_groups_stand_only_where_their_grid_and_dataset_has_no_others(fits):
    parted = fits.assign(grouping="images")
    mixed = fits.assign(grid="mixed", grouping=np.where(fits["dataset"] == "lesions", "groups", "images"))
    both = pd.concat([fits, parted, parted.assign(grid="by image"), mixed], ignore_index=True)
    kept = factor_boxes.honest(both)
    counts = kept.groupby(["grid", "dataset", "grouping"]).size()
    half = len(fits) // 2
    assert counts.to_dict() == {
        ("by image", "lesions", "images"): half,
        ("by image", "slices", "images"): half,
        ("mixed", "lesions", "groups"): half,
        ("mixed", "slices", "images"): half,
        ("tiny", "lesions", "groups"): half,
        ("tiny", "slices", "groups"): half,
    }
    assert len(factor_boxes.honest(fits.drop(columns="grouping"))) == len(fits)
    one = both[both["grid"] == "mixed"].drop(columns="grid")
    pd.testing.assert_frame_equal(factor_boxes.honest(one), grid_select.honest(one))


def test_signs_of_64_names_differ():
    looks = factor_boxes.deal(f"name_{number}" for number in range(64))
    assert len({tuple(look.values()) for look in looks.values()}) == 64
    assert len({look["color"] for look in list(looks.values())[:8]}) == 8


def test_no_score_at_all_is_an_error(fits):
    with pytest.raises(StudyError, match="no fit of the grids has a score"):
        factor_boxes.draw(fits.assign(**dict.fromkeys(factor_boxes.METRICS, np.nan)))
