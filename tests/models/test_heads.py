import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from workflow_scripts.lib.models.heads import HEADS, count_parameters, make_head, weigh
from workflow_scripts.lib.study.errors import StudyError

RESNET50, DENSENET121 = 2048, 1024


def meta(name, features, **arguments):
    with torch.device("meta"):
        return make_head(name, features, **arguments)


@pytest.mark.parametrize(
    ("features", "name", "arguments", "published", "exact"),
    [
        (RESNET50, "Conv", {"filters": 16, "ratio": 0.5}, "536 M", 536_412_322),
        (RESNET50, "ConvSkip", {"filters": 16, "ratio": 0.5}, "604 M", 603_553_922),
        (RESNET50, "ConvSkip", {"filters": 16, "ratio": 1.0}, "1,140 M", 1_139_966_178),
        (RESNET50, "Conv", {"filters": 4}, "33.5 M", 33_538_066),
        (RESNET50, "ConvSkip", {"filters": 4}, "50.3 M", 50_323_466),
        (RESNET50, "NonLinear", {"ratio": 0.5}, "2.1 M", 2_101_250),
        (RESNET50, "Linear", {}, "4,098", 4_098),
        (DENSENET121, "Conv", {"filters": 16}, "134 M", 133_988_514),
        (DENSENET121, "ConvSkip", {"filters": 16}, "151 M", 150_782_082),
    ],
)
def test_parameters_are_those_of_the_published_heads(features, name, arguments, published, exact):
    found = count_parameters(meta(name, features, **arguments))
    assert found == exact
    digits = len(published.split(".")[1].split()[0]) if "." in published else 0
    assert published == (f"{found / 1e6:,.{digits}f} M" if published.endswith("M") else f"{found:,}")


@pytest.mark.parametrize("features", [RESNET50, 10])
@pytest.mark.parametrize("match", ["Conv", "ConvSkip"])
def test_an_mlp_is_as_large_as_a_whole_width_allows(features, match):
    for filters, kernel, ratio, classes in itertools.product((1, 16), (2, 5), (0.25, 1.0), (3,)):
        arguments = {"filters": filters, "kernel": kernel, "ratio": ratio, "classes": classes}
        wanted = count_parameters(meta(match, features, **arguments))
        mlp = meta("MLP", features, match=match, **arguments)
        assert len([layer for layer in mlp if isinstance(layer, nn.Linear)]) == 2
        # one unit more or less is further away
        assert abs(count_parameters(mlp) - wanted) <= (features + 2 + classes) / 2


def test_an_mlp_matches_convskip_unless_told():
    assert meta("MLP", 64).settings["match"] == "ConvSkip"
    assert count_parameters(meta("MLP", 64, match="Conv")) < count_parameters(meta("MLP", 64))


CHANGES = {"filters": 5, "kernel": 4, "ratio": 1.0, "dropout": 0.1, "classes": 3}
MATTERS = {
    "Linear": {"classes"},
    "NonLinear": {"ratio", "dropout", "classes"},
    "Conv": set(CHANGES),
    "ConvSkip": set(CHANGES),
    "MLP": set(CHANGES),
}
# what the published code overrode
DEAF = {"kernel", "ratio", "dropout"}


def shows(name, argument, faithful):
    """Whether an argument changes the shapes of a head, or which of its numbers are dropped."""
    seen = []
    for change in ({}, {argument: CHANGES[argument]}):
        torch.manual_seed(3)
        head = make_head(name, 12, faithful=faithful, **change).train()
        x = torch.randn(6, 12, generator=torch.Generator().manual_seed(4))
        torch.manual_seed(5)
        seen.append(([tuple(tensor.shape) for tensor in head.state_dict().values()], head(x).tolist()))
    return seen[0] != seen[1]


@pytest.mark.parametrize("name", HEADS)
def test_each_argument_does_what_it_says(name):
    assert {argument for argument in CHANGES if shows(name, argument, faithful=False)} == MATTERS[name]


@pytest.mark.parametrize("name", HEADS)
def test_faithful_heads_are_deaf_as_published(name):
    deaf = DEAF if name in ("Conv", "ConvSkip", "MLP") else set()
    assert {argument for argument in CHANGES if shows(name, argument, faithful=True)} == MATTERS[name] - deaf


def test_a_faithful_head_is_the_default_one_whatever_is_asked():
    for name in ("Conv", "ConvSkip"):
        faithful = make_head(name, 12, kernel=4, ratio=1.0, dropout=0.1, faithful=True)
        plain = make_head(name, 12, kernel=2, ratio=0.5, dropout=0.5)
        assert str(faithful) == str(plain)
        assert faithful.settings["kernel"] == 4 and faithful.settings["faithful"]


def normalise(x, layer):
    return (x - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + 1e-5) * layer.weight.detach().numpy()


@pytest.mark.parametrize("name", ["Conv", "ConvSkip"])
def test_a_convolved_head_by_hand(name):
    torch.manual_seed(1)
    features, filters, kernel = 7, 3, 2
    head = make_head(name, features, filters=filters, kernel=kernel, ratio=0.4)
    for layer in head.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 2)
    head.eval()
    x = np.random.default_rng(2).normal(size=(4, features)).astype("float32")
    kernels = head.conv[0].weight.detach().numpy()[:, 0]
    slid = np.stack([[np.convolve(row, k[::-1], "valid") for k in kernels] for row in x])
    slid = np.stack([normalise(place, head.conv[1]) for place in np.moveaxis(slid, 2, 0)], axis=2)
    wide = np.where(slid > 0, slid, 0.01 * slid).reshape(4, -1)
    assert wide.shape[1] == filters * (features - kernel + 1)
    if name == "ConvSkip":
        wide = wide + np.maximum(normalise(x @ head.skip[0].weight.detach().numpy().T, head.skip[1]), 0)
    hidden = normalise(wide @ head.hidden[0].weight.detach().numpy().T, head.hidden[1])
    assert hidden.shape[1] == int(18 * 0.4)
    hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    expected = hidden @ head.last.weight.detach().numpy().T + head.last.bias.detach().numpy()
    np.testing.assert_allclose(head(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def linears(head):
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear | nn.Conv1d)]


@pytest.mark.parametrize("name", HEADS)
def test_initialisation_is_the_published_one(name):
    torch.manual_seed(1)
    head = make_head(name, 80, classes=40, filters=40, kernel=20, ratio=0.2)
    for layer in linears(head):
        fan_in = layer.weight[0].numel()
        if name == "ConvSkip" and layer is head.skip[0]:  # torch's own: uniform up to the root of 1 / fan_in
            assert layer.weight.abs().max() <= 1 / math.sqrt(fan_in)
            assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(3 * fan_in), rel=0.05)
        else:
            assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.1)
            assert layer.weight.abs().max() > 2.5 * math.sqrt(2 / fan_in)  # normal, not uniform
    *others, last = linears(head)
    assert all(layer.bias is None for layer in others)
    assert (last.bias == 0).all() == (name != "ConvSkip")


def test_layers_stand_in_the_published_order():
    order = ["Conv1d", "BatchNorm1d", "LeakyReLU", "Dropout", "Flatten"]
    head = make_head("ConvSkip", 9, dropout=0.3)
    assert [type(layer).__name__ for layer in head.conv] == order
    assert [type(layer).__name__ for layer in head.skip] == ["Linear", "BatchNorm1d", "ReLU"]
    assert [type(layer).__name__ for layer in head.hidden] == ["Linear", *order[1:4]]
    assert {layer.p for layer in head.modules() if isinstance(layer, nn.Dropout)} == {0.3}
    assert {layer.negative_slope for layer in head.modules() if isinstance(layer, nn.LeakyReLU)} == {0.01}


def test_none_is_the_default():
    left_out = make_head("MLP", 12, filters=None, kernel=None, ratio=None, dropout=None)
    assert left_out.settings == make_head("MLP", 12).settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Wide"}, "'Wide' is unknown; there are Linear, NonLinear"),
        ({"name": "Linear", "classes": 1}, "classes 1"),
        ({"name": "Conv", "kernel": 13}, r"kernel 13: expected 1 to 12"),
        ({"name": "Conv", "filters": 0}, "filters 0"),
        ({"name": "NonLinear", "ratio": 0}, "ratio 0"),
        ({"name": "NonLinear", "dropout": 1.0}, "dropout 1.0"),
        ({"name": "MLP", "match": "Linear"}, "match 'Linear'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(StudyError, match=message):
        make_head(features=12, **arguments)


def test_a_head_that_outweighs_its_images_is_said():
    assert weigh(4_098, 585) is None
    assert weigh(585_000, 585) is None
    said = weigh(603_553_922, 585)
    assert "603,553,922 parameters for 585 training images (1,031,716 an image)" in said and "MLP" in said
