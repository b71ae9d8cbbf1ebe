import ast
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.models import backbone_recipe
from tests.models.small_backbones import CONFIG, build, empty, images, moved, shared, snapshot
from workflow_scripts.lib.models import backbone_geometry, backbone_keys, backbones, registry
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.heads import count_parameters
from workflow_scripts.lib.models.weights import load_any, save_weights
from workflow_scripts.lib.study.errors import StudyError

RESNET = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
DENSENET = [
    *["conv0", "norm0", "relu0", "pool0", "denseblock1", "transition1", "denseblock2", "transition2"],
    *["denseblock3", "transition3", "denseblock4", "norm5"],
]


@pytest.mark.parametrize(
    ("name", "groups", "features", "parameters", "cam"),
    [
        ("ResNet50", RESNET, 2048, 23_508_032, ["layer3", "layer4"]),
        ("DenseNet121", DENSENET, 1024, 6_953_856, ["denseblock4"]),  # 7,978,856 of torchvision less 1,025,000
        ("small", RESNET, 10, None, ["layer3", "layer4"]),
        ("bottle", RESNET, 24, None, ["layer3", "layer4"]),
        ("dense", DENSENET, 10, None, ["denseblock4"]),
    ],
)
def test_groups_features_and_parameters(name, groups, features, parameters, cam):
    backbone = shared(name)
    assert (backbone.groups, backbone.features) == (groups, features)
    assert [name for name, _ in backbone.named_children() if not name.startswith("_")] == groups
    assert parameters in (None, count_parameters(backbone))
    assert backbone.cam_layers() == [getattr(backbone, layer) for layer in cam]
    assert backbone(torch.empty(2, 3, 96, 64, device="meta")).shape == (2, features)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ResNet50", "DenseNet121"])
def test_the_numbers_of_torchvision(name):
    """Made once with torchvision 0.28.0: tests/models/backbone_recipe.py."""
    expected = json.loads((backbone_recipe.FOLDER / f"{name}.json").read_text())
    backbone = registry.build(spec(name)).eval()
    theirs = {
        key if name == "ResNet50" else f"features.{key.replace('.layers', '')}": tuple(tensor.shape)
        for key, tensor in backbone.state_dict().items()
    }
    assert len(theirs) == expected["tensors"] - 2  # without the last layer
    tensors = backbone_recipe.planted(theirs, expected["seed"])
    backbone.load_state_dict(backbone_keys.translate(tensors, backbone, "recipe").tensors)
    assert sum(len(row) for row in expected["outputs"]) == 20
    assert backbone_keys.check_outputs(backbone, {**expected, "tolerance": 1e-5}, "recipe") < 1e-5
    wrong = [[1.001 * value for value in row] for row in expected["outputs"]]
    with pytest.raises(StudyError, match=r"outputs differ by 0\.001"):
        backbone_keys.check_outputs(backbone, {**expected, "outputs": wrong, "tolerance": 1e-5}, "recipe")


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIG)
def test_a_run_can_be_cut_anywhere_and_spoils_nothing(name):
    backbone, x = build(name), images()
    whole, last = backbone(x), len(backbone.groups)
    for cut in range(last + 1):
        kept = backbone.run(x, 0, cut)
        copy = kept.clone()
        assert torch.equal(backbone.run(kept, cut, last), whole)
        assert torch.equal(kept, copy)
    assert whole.shape == (2, backbone.features) and whole.std() > 0


@torch.no_grad()
def test_densenet_ends_with_relu_and_mean():
    backbone, x = build("dense"), images()
    maps = backbone.norm5(backbone.run(x, 0, len(backbone.groups) - 1))
    assert (maps < 0).any()
    torch.testing.assert_close(backbone(x), maps.clamp(min=0).mean((2, 3)))


@pytest.mark.parametrize(("first", "last"), [(-1, 3), (4, 3), (0, 10)])
def test_groups_that_are_not_there_are_refused(first, last):
    with pytest.raises(StudyError, match="that has 9"):
        shared("small").run(torch.empty(1, device="meta"), first, last)


def test_a_card_is_enough(tmp_path):
    card = {"input": {}, "intensity": "", "participants": [], "seed": 1, "metrics": {}, "source": ""}
    for name in ("bottle", "dense"):
        backbone = build(name)
        save_weights(backbone, tmp_path / f"{name}.safetensors", card)
        again, _ = load_any(tmp_path / f"{name}.safetensors")
        assert again.architecture == backbone.architecture == spec(name, CONFIG)
        assert not moved(again, snapshot(backbone))
        assert torch.equal(again(images()), backbone(images()))


def test_monai_is_imported_by_those_who_build_a_backbone_only():
    """It costs seconds: no module has it at its top, and one alone has it inside functions."""
    users = {}
    for file in Path(backbones.__file__).parent.glob("*.py"):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom) and "monai" in ast.unparse(node):
                users.setdefault(file.name, []).append(node in tree.body)
    assert set(users) == {"backbones.py"} and not any(users["backbones.py"])
    assert set(registry.LAZY) == {"Backbone", "Classifier"} and not set(registry.LAZY) & set(registry.NETWORKS)


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("ResNet18", {}, "'ResNet18' is unknown; there are DenseNet121, ResNet50"),
        ("ResNet50", {"ResNet50": {"family": "DenseNet"}}, "'ResNet50' is built in"),
        ("x", {"x": {"layers": [1, 1, 1, 1]}}, "family 'None': there are ResNet, DenseNet"),
        ("x", {"x": {"family": "ResNet", "width": 3}}, "no size 'width'; it has layers, planes, bottleneck"),
        ("x", {"x": {"family": "ResNet", "layers": [1, 1, 1]}}, r"layers \[1, 1, 1\]: expected"),
        ("x", {"x": {"family": "ResNet", "planes": [1, 2, 3, 0]}}, "planes"),
        ("x", {"x": {"family": "ResNet", "bottleneck": 1}}, "bottleneck 1"),
        ("x", {"x": {"family": "DenseNet", "blocks": []}}, "blocks"),
        ("x", {"x": {"family": "DenseNet", "growth": True}}, "growth True"),
    ],
)
def test_wrong_backbones_are_refused(name, config, message):
    with pytest.raises(StudyError, match=message):
        spec(name, config)


# a changed default of MONAI; what the refusal must name
@pytest.mark.parametrize(
    ("switch", "value", "message"),
    [
        ("conv1_t_stride", 1, r"conv1 is convolution 3 -> 4, kernel 7, stride 1.*expected.*stride 2"),
        ("bias_downsample", True, r"layer2.0.downsample.0 is .*, with bias"),
        ("conv1_t_size", 3, "conv1 is convolution 3 -> 4, kernel 3"),
        ("norm", ("batch", {"eps": 1.001e-5}), "bn1 is batch normalisation of 4, eps 1.001e-05"),
        ("norm", ("group", {"num_groups": 1}), "bn1 is absent"),
        ("shortcut_type", "A", "layer2.0.downsample.0 is absent"),
    ],
)
def test_another_network_of_the_same_tensors_is_not_built(monkeypatch, switch, value, message):
    monkeypatch.setitem(backbones.RESNET_SWITCHES, switch, value)
    with pytest.raises(StudyError, match=f"is not the published network.*{message}"):
        empty("small")


def swap_strides(backbone):
    """Put the stride of a bottleneck where Keras has it: the same tensors, another network."""
    block = backbone.layer2[0]
    block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("bottle", swap_strides, "layer2.0.conv1 is .*, kernel 1, stride 2"),
        ("bottle", lambda net: setattr(net, "maxpool", nn.Identity()), "maxpool is absent"),
        ("bottle", lambda net: setattr(net.maxpool, "ceil_mode", True), "maps of maxpool is 3 x 65 x 65"),
        ("small", lambda net: net.layer1.append(nn.Upsample(scale_factor=2)), "maps of layer1 is 4 x 128 x 128"),
        ("dense", lambda net: setattr(net.transition2, "pool", nn.MaxPool2d(2)), "transition2.pool is MaxPool2d"),
        ("dense", lambda net: setattr(net.norm5, "eps", 1e-3), "norm5 is .*eps 0.001"),
        ("dense", lambda net: setattr(net, "_tail", nn.AdaptiveAvgPool2d(1)), "output is 10 x 1 x 1, expected 10"),
    ],
)
def test_every_difference_of_geometry_is_seen(name, change, message):
    backbone = empty(name)
    change(backbone)
    with pytest.raises(StudyError, match=message):
        backbone_geometry.check(backbone)


def test_the_check_changes_nothing():
    backbone = build("bottle").train()
    backbone.bn1.eval()
    before = snapshot(backbone)
    backbone_geometry.check(backbone)
    assert not moved(backbone, before)
    assert [backbone.training, backbone.bn1.training, backbone.layer1[0].bn1.training] == [True, False, True]
