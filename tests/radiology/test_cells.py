import copy
import itertools
import re

import pytest
import torch

from workflow_scripts.lib.models.preprocessing import RULES
from workflow_scripts.lib.radiology import cells
from workflow_scripts.lib.radiology.level import schedule_of
from workflow_scripts.lib.study.errors import StudyError

PAPER = {
    "datasets": {"breast": {}, "acl": {}},
    "weights": {"imagenet": {}, "radimagenet": {}},
    "cells_per_job": 16,
    "grids": {
        "main": {
            "factors": {
                "dataset": ["breast", "acl"],
                "weights": ["imagenet", "radimagenet"],
                "backbone": ["ResNet50", "DenseNet121"],
                "head": ["Linear", "NonLinear", "Conv", "ConvSkip"],
                "lr_decay": ["beta", "cosine"],
                "ratio": [0.5, 1.0],
                "filters": [4, 16],
            },
        },
        "best": {
            "variants": [
                {"dataset": "breast", "ratio": 1.0, "kernel": 2, "learning_rate": 5e-4},
                {"dataset": "acl", "ratio": 0.5, "kernel": 4, "learning_rate": 1e-3},
            ],
            "settings": {"backbone": "ResNet50", "head": "ConvSkip", "optimizer": "sgd"},
            "factors": {"weights": ["imagenet", "radimagenet"]},
        },
    },
}


def changed(**grid):
    section = copy.deepcopy(PAPER)
    section["grids"]["main"].update(grid)
    return section


def test_the_papers_factors_give_176_cells():
    found = cells.expand(PAPER, "main")
    assert len(found) == 176
    per_head = {
        head: sum(cell["head"] == head for cell in found) for head in ("Linear", "NonLinear", "Conv", "ConvSkip")
    }
    assert per_head == {"Linear": 16, "NonLinear": 32, "Conv": 64, "ConvSkip": 64}
    names = [cell["cell"] for cell in found]
    assert len(set(names)) == 176 and all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)
    assert names[0] == "breast.imagenet.ResNet50.Linear.beta"
    assert "breast.imagenet.ResNet50.NonLinear.cosine.1.0" in names
    assert "acl.radimagenet.DenseNet121.ConvSkip.cosine.0.5.16" in names


def test_cells_have_every_key_and_none_for_what_does_not_matter():
    for cell in cells.expand(PAPER, "main"):
        assert list(cell) == ["cell", *cells.KEYS]
        assert (cell["filters"] is None) == (cell["kernel"] is None) == (cell["head"] in ("Linear", "NonLinear"))
        assert (cell["ratio"] is None) == (cell["dropout"] is None) == (cell["head"] == "Linear")
        assert (cell["beta"] is None) == (cell["lr_decay"] != "beta")
        assert cell["momentum"] is None and cell["nesterov"] is None  # adam has none


def test_variants_are_settings_that_go_together():
    found = cells.expand(PAPER, "best")
    assert [cell["cell"] for cell in found] == [
        "breast.1.0.2.0.0005.imagenet",
        "breast.1.0.2.0.0005.radimagenet",
        "acl.0.5.4.0.001.imagenet",
        "acl.0.5.4.0.001.radimagenet",
    ]
    assert {(cell["dataset"], cell["kernel"]) for cell in found} == {("breast", 2), ("acl", 4)}
    assert {cell["momentum"] for cell in found} == {0.9}


def test_a_new_value_of_a_factor_leaves_ids_as_they_were():
    before = {cell["cell"] for cell in cells.expand(PAPER, "main")}
    section = copy.deepcopy(PAPER)
    section["grids"]["main"]["factors"]["filters"].append(8)
    after = {cell["cell"] for cell in cells.expand(section, "main")}
    assert before < after and len(after) == 176 + 64


def test_settings_overrule_the_fit_and_factors_both():
    section = changed(settings={"epochs": 7, "head": "MLP"})
    section["fit"] = {"epochs": 3, "batch": 8}
    found = cells.expand(section, "main")
    assert {(cell["epochs"], cell["batch"]) for cell in found} == {(7, 8)}
    assert "MLP" not in {cell["head"] for cell in found}


def test_jobs_hold_every_cell_once_and_keep_neighbours_together():
    names = cells.chunks(PAPER, "main")
    assert names == [f"{number:02d}" for number in range(11)]
    parts = [cells.chunk_cells(PAPER, "main", name) for name in names]
    assert sorted(cell["cell"] for part in parts for cell in part) == sorted(
        cell["cell"] for cell in cells.expand(PAPER, "main")
    )
    order = [(cell["dataset"], cell["weights"], cell["backbone"]) for part in parts for cell in part]
    runs = 1 + sum(one != other for one, other in itertools.pairwise(order))
    assert runs == 8 == len(set(order))
    with pytest.raises(StudyError, match="no job '11'"):
        cells.chunk_cells(PAPER, "main", "11")


def test_needs_names_datasets_and_backbones():
    assert cells.needs(cells.expand(PAPER, "best")) == {
        "datasets": ["acl", "breast"],
        "backbones": [("imagenet", "ResNet50"), ("radimagenet", "ResNet50")],
    }


def test_two_cells_of_one_id_are_refused():
    section = changed(factors={"weights": ["a b", "a/b"]}, settings={"dataset": "acl", "backbone": "ResNet50"})
    del section["weights"]
    with pytest.raises(StudyError, match="two cells have the id 'a-b'"):
        cells.expand(section, "main")


def test_sgd_without_momentum_has_no_nesterov():
    sgd = {"optimizer": "sgd", **{key: "acl" for key in ("dataset", "weights", "backbone")}}
    section = {"grids": {"main": {"settings": sgd, "factors": {"momentum": [0, 0.5], "nesterov": [True, False]}}}}
    found = cells.expand(section, "main")
    assert [(cell["momentum"], cell["nesterov"]) for cell in found] == [(0, None), (0.5, True), (0.5, False)]
    for cell in found:
        schedule_of(cell).make_optimizer(torch.nn.Linear(1, 1))


def test_legal_preprocessing_is_that_of_the_models():
    assert cells.ALLOWED["preprocessing"] == (None, *RULES)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"learning_rate": "1e-4"},
            "learning_rate is '1e-4', expected a number above 0; YAML reads this as text, write 1.0e-4",
        ),
        (
            {"weight_decay": "1e5"},
            "weight_decay is '1e5', expected a number from 0; YAML reads this as text, write 1.0e+5",
        ),
        ({"epochs": "5"}, "epochs is '5', expected a whole number from 1; this is text, write 5 without quotes"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast', expected a number above 0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf, expected a number above 0"),
        ({"learning_rate": None}, "learning_rate is None, expected a number above 0"),
        ({"epochs": 0}, "epochs is 0, expected a whole number from 1"),
        ({"epochs": 2.5}, "epochs is 2.5, expected a whole number from 1"),
        ({"batch": 1}, "batch is 1, expected a whole number from 2"),
        ({"augment": "no"}, "augment is 'no', expected true or false, without quotes"),
        ({"augment": 1}, "augment is 1, expected true or false"),
        ({"filters": True}, "filters is True, expected a whole number from 1"),
        ({"ratio": 0}, "ratio is 0, expected a number above 0"),
        ({"dropout": 1.0}, "dropout is 1.0, expected a number from 0 to below 1"),
        ({"momentum": 1}, "momentum is 1, expected a number from 0 to below 1"),  # of adam, which has none
        ({"beta": 1.5}, "beta is 1.5, expected a number above 0, at most 1"),
        ({"structure": "unfreezetop0"}, "structure is 'unfreezetop0', expected freezeall, unfreezeall or unfreezetopN"),
        ({"structure": 5}, "structure is 5, expected freezeall"),
        (
            {"preprocessing": "caffe"},
            "preprocessing is 'caffe', expected one of caffe_seed, imagenet_rgb, radimagenet_pm1",
        ),
        ({"precision": "float64"}, "precision is 'float64', expected one of float32, bfloat16"),
        ({"weights": 3}, "weights is 3, expected a name"),
        ({"head": "Conv", "filters": None}, "filters is null, but Conv needs a whole number from 1"),
        ({"head": "NonLinear", "dropout": None}, "dropout is null, but NonLinear needs a number from 0 to below 1"),
        ({"lr_decay": "beta", "beta": None}, "beta is null, but beta needs a number above 0, at most 1"),
    ],
)
@pytest.mark.parametrize("place", ["settings", "factors", "variants", "fit"])
def test_values_of_every_key_are_checked_wherever_they_are_given(settings, said, place):
    rule = {"settings": {"dataset": "acl", "weights": "imagenet", "backbone": "ResNet50"}}
    section = {"grids": {"main": rule}}
    if place == "factors":
        rule["factors"] = {key: [value] for key, value in settings.items()}
    elif place == "variants":
        rule["variants"] = [settings]
    else:
        section["fit"] = settings
        rule["settings"] |= settings if place == "settings" else {}
        for key in settings if place == "fit" else ():
            rule["settings"].pop(key, None)
    with pytest.raises(StudyError) as refused:
        cells.expand(section, "main")
    assert f"radiology.grids.main: {said}" in str(refused.value)


def test_weights_trained_on_the_dataset_of_a_cell_are_refused():
    section = changed(
        settings={"backbone": "ResNet50"}, factors={"dataset": ["breast", "acl"], "weights": ["imagenet"]}
    )
    section["weights"]["imagenet"] = {"kind": "trained", "dataset": "textures"}
    assert len(cells.expand(section, "main")) == 2
    section["weights"]["imagenet"]["dataset"] = "acl"
    with pytest.raises(StudyError, match="weights 'imagenet' are trained on dataset 'acl', which they would then be"):
        cells.expand(section, "main")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"factors": {"filter": [4]}}, "'filter' is no setting"),
        ({"factors": {"dataset": ["breast"], "weights": ["imagenet"]}}, "no backbone"),
        ({"settings": {"optimizer": "lars"}}, "optimizer is 'lars', expected one of adam"),
        ({"factors": {"dataset": "breast"}}, "expected a list"),
        ({"factors": {"ratio": [0.5, 0.5]}}, "different values"),
        ({"factors": {"dataset": ["knee"], "weights": ["imagenet"], "backbone": ["x"]}}, "'knee' is not in"),
    ],
)
def test_faults_of_a_grid_are_named(grid, message):
    with pytest.raises(StudyError, match=message):
        cells.expand(changed(**grid), "main")


def test_an_unknown_grid_and_weights_without_a_file_are_refused():
    with pytest.raises(StudyError, match="no grid 'other'; it has main, best"):
        cells.expand(PAPER, "other")
    section = copy.deepcopy(PAPER)
    section["weights"]["imagenet"] = {"kind": "files", "files": {"ResNet50": "resnet50.safetensors"}}
    with pytest.raises(StudyError, match="no file for DenseNet121, only for ResNet50"):
        cells.expand(section, "main")
