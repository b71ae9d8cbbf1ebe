from pathlib import Path

import pytest
import yaml

from tests.radiology import small_grid
from tests.radiology.test_cells import PAPER
from workflow_scripts.lib.models import heads, registry
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.radiology import cells, fits, plan
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"breast": (780, 2), "acl": (1020, 2)}


def test_the_papers_grid_has_the_published_parameters():
    section = {**PAPER, "size": 256}
    found = plan.plan_grid(section, "main", IMAGES).set_index("cell")
    assert len(found) == 176 and found["cached"].all()
    assert found.loc["breast.imagenet.ResNet50.Linear.beta", "trainable"] == 4098
    rounded = {
        "Conv.beta.0.5.16": 536,
        "ConvSkip.beta.0.5.16": 604,
        "ConvSkip.beta.1.0.16": 1140,
        "ConvSkip.beta.0.5.4": 50.3,
    }
    for name, millions in rounded.items():
        assert found.loc[f"breast.imagenet.ResNet50.{name}", "parameters"] / 1e6 == pytest.approx(millions, rel=0.001)
    assert found.loc["breast.imagenet.ResNet50.Linear.beta", "images_train"] == 585
    # weights, gradients and both moments: 9.7 GB; the best epoch's copy beside
    row = found.loc["breast.imagenet.ResNet50.ConvSkip.beta.0.5.16"]
    assert row["memory_mb"] - 4 * row["parameters"] / 1e6 == pytest.approx(9700, rel=0.03)
    # 780 images, 2048 numbers, one view as it is and five moved
    assert found.loc["breast.imagenet.ResNet50.Linear.beta", "cached_mb"] == pytest.approx(780 * 2048 * 4 * 6 / 1e6)
    text = plan.tell(section, {"main": plan.plan_grid(section, "main", IMAGES)})
    assert "176 cells x 1 split x 1 seed = 176 fits in 11 jobs" in text
    assert "ConvSkip on ResNet50 for breast: 1,139,966,178 parameters, 585 training images" in text


def test_a_plan_says_what_the_fits_then_do(tmp_path):
    factors = {"head": list(heads.HEADS), "structure": ["freezeall", "unfreezetop2", "unfreezeall"]}
    section = {**small_grid.section(factors=factors), "size": small_grid.SIZE, "backbones": small_grid.BACKBONES}
    section["splits"] = {"validation": 0.2, "test": 0.2}
    planned = plan.plan_grid(section, "main", {"lesions": (60, 2)})
    job = small_grid.make_job(tmp_path)
    for cell, row in zip(small_grid.cells_of(factors=factors), planned.to_dict("records"), strict=True):
        level = fits.make_level(job, job.fit(cell, 0, 0))
        assert row["cell"] == cell["cell"] and row["cached"] == level.frozen.cached
        assert row["parameters"] == heads.count_parameters(level.classifier.head)
        assert row["trainable"] == heads.count_parameters(level.classifier, trainable=True)
        assert row["images_train"] == len(level.task.rows["train"])


def test_what_is_not_cached_is_told_with_the_reason():
    factors = {"structure": ["freezeall", "unfreezetop2", "unfreezeall"]}
    section = {**small_grid.section(factors=factors, keep_weights=True), "size": 64, "backbones": small_grid.BACKBONES}
    section["cache_mb"] = 0.01
    text = plan.tell(section, {"main": plan.plan_grid(section, "main", {"lesions": (60, 2)})})
    assert (
        "kept in 1 cell," in text and "not in 1 cell: they need" in text and "not in 1 cell: all layers learn" in text
    )
    assert "weights are kept" in text


def test_a_structure_that_frees_nothing_new_is_refused_before_any_compute():
    section = {
        **small_grid.section(settings={"structure": "unfreezetop1"}),
        "size": 64,
        "backbones": small_grid.BACKBONES,
    }
    with pytest.raises(StudyError, match="frees nothing new"):
        plan.plan_grid(section, "main", {"lesions": (60, 2)})


@pytest.mark.parametrize("backbone", ["tiny", "dense"])
def test_two_structures_that_free_the_same_are_refused(backbone):
    total = len(registry.build(spec(backbone, small_grid.BACKBONES)).groups)
    factors = {"backbone": [backbone], "structure": ["freezeall", f"unfreezetop{total}", "unfreezeall"]}
    section = {**small_grid.section(factors=factors), "size": 64, "backbones": small_grid.BACKBONES}
    with pytest.raises(
        StudyError, match=rf"grids.main, backbone {backbone}: structures '\w+{total}' and 'unfreezeall'"
    ):
        plan.plan_grid(section, "main", {"lesions": (60, 2)})
    factors["structure"].pop()
    assert len(plan.plan_grid(section, "main", {"lesions": (60, 2)})) == 2


def test_the_ready_config_holds_the_published_experiments():
    section = yaml.safe_load((ROOT / "envs" / "frees.yaml").read_text())["radiology"]
    images = {"breast": (780, 2), "acl": (1021, 2)}
    plans = {grid: plan.plan_grid(section, grid, images) for grid in section["grids"]}
    assert {grid: len(table) for grid, table in plans.items()} == {
        **{"main": 176, "main_faithful": 176, "unfreezing": 10, "unfreezing_faithful": 10},
        **{"best_models": 4, "best_models_faithful": 4, "leakage": 4},
    }
    assert set(section["use"]) <= set(section["grids"])
    # one ratio, whatever is asked: the largest head is the published 604 M instead of 1,140 M
    assert plans["main_faithful"]["parameters"].max() / 1e6 == pytest.approx(604, rel=0.001)
    assert plans["best_models"]["parameters"].max() / 1e6 == pytest.approx(1140, rel=0.001)
    frees = plans["unfreezing"].drop_duplicates("structure").set_index("structure")
    backbone = frees["trainable"] - frees["parameters"]
    assert backbone.to_dict() == {
        **{"freezeall": 0, "unfreezetop2": 14_964_736, "unfreezetop3": 22_063_104},
        **{"unfreezetop5": 23_498_496, "unfreezetop9": 23_508_032},
    }
    best = cells.expand(section, "best_models")
    assert {(cell["dataset"], cell["kernel"], cell["ratio"], cell["learning_rate"]) for cell in best} == {
        ("breast", 2, 1.0, 5e-4),
        ("acl", 4, 0.5, 1e-3),
    }
    assert all(cell["weight_decay"] == 0.4 and cell["nesterov"] and cell["epochs"] == 30 for cell in best)


def test_the_ready_config_of_planted_truth_names_what_there_is():
    """Merged with the default as the workflow does, key by key."""
    section = yaml.safe_load((ROOT / "config.yaml").read_text()).get("radiology")
    if section is None:
        pytest.skip("the default config has no 2D arm")
    merge(section, yaml.safe_load((ROOT / "envs" / "radiology.yaml").read_text())["radiology"])
    images = {"lesions": (355, 2), "slices": (250, 2)}
    plans = {grid: plan.plan_grid(section, grid, images) for grid in section["use"]}
    assert set(plans["main"]["dataset"]) == {"lesions", "slices"} and len(plans["main"]) == 2 * 3 * 2 * 4 * 2
    assert plans["leakage"].groupby("dataset").size().eq(2).all()
    for grid in section["use"]:
        assert section["grids"][grid].get("splits", 1) <= section["splits"]["count"]


def merge(into, other):
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
