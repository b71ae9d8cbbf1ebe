import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from tests.models.backbone_recipe import planted
from tests.models.small_backbones import CONFIG, build, images, moved, shared, snapshot
from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.backbone_keys import check_outputs, read_backbone, recipe_images, translate
from workflow_scripts.lib.models.backbone_weights import import_backbone
from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.weights import load_any
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.radiology.import_backbone import main

ORDER = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]
HEAD = {"bottle": "fc", "small": "fc", "dense": "classifier"}


class Evil:
    """Leaves a trace if it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return exec, (f"open({str(self.trace)!r}, 'w').close()",)


def torchvision(backbone):
    """Name a backbone's tensors as torchvision does, the last layer with them."""
    dense = backbone.family == "DenseNet"
    state = {
        f"features.{name.replace('.layers.', '.')}" if dense else name: tensor
        for name, tensor in backbone.state_dict().items()
    }
    head = "classifier" if dense else "fc"
    return {**state, f"{head}.weight": torch.ones(7, backbone.features), f"{head}.bias": torch.ones(7)}


def wrapped(state):
    """Name them as RadImageNet's wrapper does: the place among torchvision's children, no last layer."""
    places = {"features": 0} | {name: place for place, name in enumerate(ORDER)}
    split = {name: name.split(".", 1) for name in state if not name.startswith(("fc.", "classifier."))}
    return {f"backbone.{places[child]}.{rest}": state[name] for name, (child, rest) in split.items()}


def module(state):
    return {f"module.{name}": tensor for name, tensor in state.items()}


def inner_module(state):
    return {name.replace("backbone.", "backbone.module."): tensor for name, tensor in state.items()}


def of_2017(state):
    """Name dense layers as torchvision's files do: a dot before the number, and no counters."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


NAMINGS = {
    "torchvision": (dict, "torchvision"),
    "module": (module, "torchvision"),
    "old": (of_2017, "torchvision"),
    "backbone.N": (wrapped, "backbone.N (RadImageNet)"),
    "module.backbone.N": (lambda state: module(wrapped(state)), "backbone.N (RadImageNet)"),
    "backbone.module.N": (lambda state: inner_module(wrapped(state)), "backbone.N (RadImageNet)"),
    "module twice": (lambda state: module(module(of_2017(state))), "torchvision"),
}


@torch.no_grad()
@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("name", CONFIG)
def test_every_naming_loads_into_the_same_outputs(name, naming):
    trained, (rename, said) = build(name, seed=3), NAMINGS[naming]
    fresh = build(name, seed=4)
    assert not torch.equal(fresh(images()), trained(images()))
    adapted = translate(rename(torchvision(trained)), fresh, "file")
    fresh.load_state_dict(adapted.tensors)
    assert torch.equal(fresh(images()), trained(images()))
    assert adapted.naming == said
    counted = sum(key.endswith("num_batches_tracked") for key in trained.state_dict())
    assert adapted.counters == (counted if naming in ("old", "module twice") else 0)
    heads = 0 if "backbone" in naming else 2
    assert len(adapted.dropped) == heads and all(HEAD[name] in head for head in adapted.dropped)


def test_names_of_the_published_wrapper():
    """318 and 725 tensors, whose names RadImageNet's loading notebook shows."""
    for name, count, shown in (
        (
            "ResNet50",
            318,
            {"backbone.0.weight", "backbone.1.running_mean", "backbone.4.0.conv1.weight", "backbone.7.2.bn3.bias"},
        ),
        ("DenseNet121", 725, {"backbone.0.conv0.weight", "backbone.0.norm5.weight"}),
    ):
        backbone = shared(name)
        names = wrapped(torchvision(backbone))
        assert len(names) == count and shown <= set(names)
        zeros = {key: torch.zeros(()).expand(tensor.shape) for key, tensor in names.items()}
        assert set(translate(zeros, backbone, "file").tensors) == set(backbone.state_dict())


def test_what_falls_away_is_said(caplog):
    caplog.set_level("INFO")
    backbone = build("small")
    state = {**torchvision(backbone), "AuxLogits.fc.weight": torch.ones(1)}
    assert translate(state, backbone, "file").dropped == ("fc.weight", "fc.bias", "AuxLogits.fc.weight")
    assert "file: 3 tensors of the last layers fall away: fc.weight, fc.bias" in caplog.text


def test_half_precision_becomes_single():
    backbone = build("small")
    state = {name: tensor.half() if tensor.ndim else tensor for name, tensor in torchvision(backbone).items()}
    tensors = translate(state, backbone, "file").tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}


def without(*names):
    return lambda state: {name: tensor for name, tensor in state.items() if name not in names}


def with_bias(state):
    return {**state, "conv1.bias": torch.ones(4), "layer1.0.conv1.bias": torch.ones(4)}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "small",
            without("layer2.0.bn1.weight"),
            "1 tensors are missing, the first: layer2.0.bn1.weight. Expected the n",
        ),
        (
            "small",
            lambda s: {**s, "conv9.weight": s["conv1.weight"]},
            "1 tensors are left over, the first: conv9.weight",
        ),
        ("small", lambda s: {**s, "conv1.weight": torch.ones(4, 1, 7, 7)}, r"conv1.weight \(4, 1, 7, 7\) where \(4, 3"),
        ("small", with_bias, r"2 tensors are left over.*have a bias \('conv1.bias'\).*Keras v1.*first 1 x 1"),
        (
            "small",
            lambda s: {**s, "module.conv1.weight": s["conv1.weight"]},
            "'conv1.weight' and 'module.conv1.weight' are both",
        ),
        ("small", lambda s: {}, "no ResNet of layers .*60 tensors are missing"),
        ("small", lambda s: {"Mixed_5b.branch1x1.conv.weight": torch.ones(1)}, "looks like a Inception"),
        (
            "small",
            lambda s: {**s, "bn1.bias": s["bn1.bias"] * torch.nan},
            "'bn1.bias' holds numbers that are not finite",
        ),
        ("small", lambda s: {**s, "bn1.bias": s["bn1.bias"].to(torch.int8)}, "torch.int8, expected floating"),
        (
            "dense",
            lambda s: wrapped(s) | {"backbone.1.weight": torch.ones(1)},
            "left over, the first: backbone.1.weight",
        ),
    ],
)
def test_anything_that_does_not_fit_is_refused(name, change, message):
    backbone = build(name)
    before = snapshot(backbone)
    with pytest.raises(StudyError, match=message):
        backbone.load_state_dict(translate(change(torchvision(backbone)), backbone, "file").tensors)
    assert not moved(backbone, before)


DEEPER = {
    "bottle": {**CONFIG["bottle"], "layers": [1, 2, 3, 1]},
    "dense": {**CONFIG["dense"], "blocks": [2, 2, 1, 4]},
    "wider": {**CONFIG["bottle"], "planes": [3, 4, 5, 7]},
    "small": {**CONFIG["bottle"], "bottleneck": False},
}


@pytest.mark.parametrize(
    ("name", "other", "message"),
    [
        (
            "bottle",
            spec("bottle", DEEPER),
            r"Its blocks are \[1, 2, 3, 1\], the backbone's \[1, 2, 1, 1\]: another depth",
        ),
        ("dense", spec("dense", DEEPER), r"Its blocks are \[2, 2, 1, 4\], the backbone's \[2, 2, 1, 2\]"),
        (
            "bottle",
            spec("wider", DEEPER),
            r"tensors are of another shape, the first: \S*[47].0.conv1.weight \(7, 20, 1, 1\)",
        ),
        ("bottle", spec("small", DEEPER), r"missing.*layer1.0.conv3.weight"),
        ("bottle", spec("dense", CONFIG), "It looks like a DenseNet. Name it under a backbone of that family"),
        ("dense", spec("bottle", CONFIG), "It looks like a ResNet"),
    ],
)
@pytest.mark.parametrize("rename", [dict, wrapped, module], ids=["torchvision", "backbone.N", "module"])
def test_weights_of_another_network_are_refused(name, other, message, rename):
    state = rename(torchvision(registry.build(other)))
    with pytest.raises(StudyError, match=message):
        translate(state, shared(name), "file")


def test_files_are_read_without_running_them(tmp_path):
    backbone = build("small")
    trace = tmp_path / "trace"
    torch.save({**torchvision(backbone), "conv1.weight": Evil(trace)}, tmp_path / "evil.pt")
    with pytest.raises(StudyError, match="without running what it holds"):
        read_backbone(tmp_path / "evil.pt", backbone)
    assert not trace.exists()
    torch.save({"state_dict": torchvision(backbone)}, tmp_path / "checkpoint.pt")
    with pytest.raises(StudyError, match="Save the state dict alone"):
        read_backbone(tmp_path / "checkpoint.pt", backbone)


def expectation(backbone, path, **changes):
    with torch.no_grad():
        outputs = backbone(recipe_images(2, 64))[:, :5].tolist()
    path.write_text(json.dumps({"images": 2, "pixels": 64, "outputs": outputs, **changes}))
    return path


def test_strides_elsewhere_are_seen_by_the_outputs(tmp_path):
    """A network whose stride sits in the first convolution has the same tensors: numbers alone tell it."""
    theirs = build("bottle")
    torch.save(torchvision(theirs), tmp_path / "weights.pt")
    right = expectation(theirs, tmp_path / "right.json")
    for layer in (theirs.layer2, theirs.layer3, theirs.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = layer[0].conv2.stride, layer[0].conv1.stride
    wrong = expectation(theirs, tmp_path / "wrong.json")
    ours, said = read_backbone(tmp_path / "weights.pt", build("bottle", seed=9), right)
    assert said["outputs_checked"] and check_outputs(ours, json.loads(right.read_text()), "file") < 1e-6
    with pytest.raises(StudyError, match=r"weights.pt against .*wrong.json: outputs differ by .* strides elsewhere"):
        read_backbone(tmp_path / "weights.pt", build("bottle", seed=9), wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": [[1.0, 2.0]]}, r"outputs of \(1, 2\), expected 2 images x 1 to 10 features"),
        ({"outputs": [[1.0] * 11] * 2}, "1 to 10 features"),
        ({"outputs": [[float("nan")] * 5] * 2}, "outputs differ by nan"),
    ],
)
def test_expected_outputs_that_are_none_are_refused(tmp_path, changes, message):
    backbone = build("small")
    expected = json.loads(expectation(backbone, tmp_path / "expect.json", **changes).read_text())
    with pytest.raises(StudyError, match=message):
        check_outputs(backbone, expected, "file")
    del expected["pixels"]
    with pytest.raises(StudyError, match="'pixels' is missing"):
        check_outputs(backbone, expected, "file")


def test_the_recipe_of_images_by_hand():
    found = recipe_images(2, 64)
    assert (found.shape, found.dtype) == ((2, 3, 64, 64), torch.float32)
    for b, c, i, j in ((0, 0, 0, 0), (1, 2, 3, 5), (0, 1, 63, 63)):
        assert found[b, c, i, j].item() == pytest.approx(
            ((37 * b + 101 * c + 17 * i + 31 * j + i * j) % 256) / 127.5 - 1
        )


@torch.no_grad()
def test_import_from_a_file(tmp_path):
    trained = build("dense")
    save_file({k: v.clone() for k, v in wrapped(torchvision(trained)).items()}, tmp_path / "radimagenet.safetensors")
    entry = {
        "kind": "files",
        "preprocessing": "radimagenet_pm1",
        "files": {"dense": str(tmp_path / "radimagenet.safetensors")},
        "source": "RadImageNet, by request",
        "expect": {"dense": str(expectation(trained, tmp_path / "expect.json"))},
    }
    main(
        SimpleNamespace(
            params=SimpleNamespace(entry=entry, backbone=CONFIG["dense"], seed=1),
            wildcards=SimpleNamespace(weights="radimagenet", backbone="dense"),
            output=SimpleNamespace(weights=tmp_path / "dense.safetensors"),
        )
    )
    again, card = load_any(tmp_path / "dense.safetensors")
    assert torch.equal(again(images()), trained(images()))
    assert card["read"]["file"] == "radimagenet.safetensors" and len(card["read"]["sha256"]) == 64
    assert card["read"]["naming"] == "backbone.N (RadImageNet)" and card["read"]["outputs_checked"]
    assert (card["preprocessing"], card["participants"], card["participants_known"]) == ("radimagenet_pm1", [], False)
    assert card["source"] == "RadImageNet, by request"
    assert str(tmp_path) not in json.dumps(card)  # paths may name people


def test_random_weights_depend_on_seed_and_names():
    entry = {"kind": "random"}
    state = torch.random.get_rng_state()
    backbone, card = import_backbone(entry, "none", "small", CONFIG["small"], 1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (card["preprocessing"], card["participants_known"]) == ("imagenet_rgb", True)
    again = import_backbone(entry, "none", "small", CONFIG["small"], 1)[0]
    assert not moved(again, snapshot(backbone))
    for other in (
        import_backbone(entry, "none", "small", CONFIG["small"], 2)[0],
        import_backbone(entry, "other", "small", CONFIG["small"], 1)[0],
        import_backbone(entry, "none", "twin", CONFIG["small"], 1)[0],
    ):
        assert "conv1.weight" in moved(other, snapshot(backbone))


FILES = {"kind": "files", "preprocessing": "caffe_seed", "files": {"dense": "nowhere.pt"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "download"}, "radimagenet.kind is 'download', expected random or files"),
        ({"preprocessing": None}, "preprocessing is None, expected caffe_seed, imagenet_rgb, radimagenet_pm1"),
        ({"preprocessing": "caffe"}, "preprocessing is caffe"),
        ({"files": {"ResNet50": "x.pt"}}, "radimagenet.files has no 'dense'; it has ResNet50"),
        ({}, "nowhere.pt: no such file"),
    ],
)
def test_entries_that_lack_something_are_refused(change, message):
    with pytest.raises(StudyError, match=message):
        import_backbone({**FILES, **change}, "radimagenet", "dense", CONFIG["dense"], 1)


def test_planted_weights_are_those_of_their_names():
    shapes = {"conv1.weight": (2, 3, 7, 7), "bn1.weight": (2,), "bn1.running_var": (2,), "bn1.num_batches_tracked": ()}
    first, second = planted(shapes), planted(dict(reversed(shapes.items())))
    assert all(torch.equal(first[name], second[name]) for name in shapes)
    assert Path(__file__).with_name("backbone_recipe.py").is_file()
