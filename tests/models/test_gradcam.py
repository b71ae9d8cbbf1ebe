"""Grad-CAM against numbers worked out by loops, against two other implementations, and what it leaves untouched."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.gradcam import cam_layers, combine, grad_cam
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study.errors import StudyError


class Tiny(nn.Module):
    """Two convolutions with in-place ReLU, batch normalisation that has seen data, a mean and a linear layer."""

    def __init__(self, axes: int, channels: int = 2, classes: int = 3):
        super().__init__()
        torch.manual_seed(axes)
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if axes == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.first = nn.Sequential(conv(channels, 4, 3, padding=1), norm(4), nn.ReLU(inplace=True))
        self.second = nn.Sequential(conv(4, 5, 2, stride=2), norm(5), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.head = nn.Linear(5, classes)
        self.axes = axes
        self(torch.randn(16, channels, *([6] * axes)))

    def forward(self, x):
        return self.head(self.second(self.first(x)).flatten(2).mean(2))


def inputs(axes, batch=5, seed=1):
    return torch.randn(batch, 2, *([6] * axes), generator=torch.Generator().manual_seed(seed))


# -- worked out by hand


def slow_resize(image, size):
    """Linear interpolation of one axis after the other, cell centres aligned."""
    for axis, wanted in enumerate(size):
        image = np.moveaxis(image, axis, 0)
        rows = []
        for place in range(wanted):
            at = min(max((place + 0.5) * len(image) / wanted - 0.5, 0.0), len(image) - 1.0)
            low = int(at)
            high = min(low + 1, len(image) - 1)
            rows.append(image[low] * (1 - (at - low)) + image[high] * (at - low))
        image = np.moveaxis(np.stack(rows), 0, axis)
    return image


def slow_scale(image):
    return (image - image.min()) / (image.max() - image.min()) if image.max() > image.min() else image * 0


@pytest.mark.parametrize("axes", [2, 3])
def test_a_linear_network_by_hand(axes):
    """For mean(A) @ w the gradient at every place is w_k / places, whatever A: no autograd is needed."""
    kernel = torch.tensor([[1.0, -2.0], [0.5, 1.5], [-1.0, 1.0]])  # 3 channels from 2
    weights = torch.tensor([[0.2, -0.7, 1.0], [1.0, 0.4, -0.3]])  # 2 classes
    convolution = (nn.Conv2d if axes == 2 else nn.Conv3d)(2, 3, 1, bias=False)
    linear = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        convolution.weight.copy_(kernel.reshape(3, 2, *([1] * axes)))
        linear.weight.copy_(weights)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.linear = convolution, linear

        def forward(self, x):
            return self.linear(self.convolution(x).flatten(2).mean(2))

    grid = (2, 3) if axes == 2 else (2, 3, 2)
    x = torch.randn(2, 2, *grid, generator=torch.Generator().manual_seed(0))
    size = (4, 7) if axes == 2 else (4, 5, 3)
    found = grad_cam(Net(), x, [convolution], torch.tensor([0, 1]), size)
    for image, label in ((0, 0), (1, 1)):
        expected = np.zeros(grid)
        for place in itertools.product(*map(range, grid)):
            for channel in range(3):
                activation = sum(float(kernel[channel, c]) * float(x[(image, c, *place)]) for c in range(2))
                expected[place] += float(weights[label, channel]) / np.prod(grid) * activation
        expected = np.maximum(expected, 0)
        assert 0 < (expected == 0).sum() < expected.size
        np.testing.assert_allclose(found.native[0][image], expected, atol=1e-6)
        shown = slow_scale(slow_resize(slow_scale(expected), size))
        np.testing.assert_allclose(found.maps[image], shown, atol=2e-6)


@pytest.mark.parametrize("axes", [2, 3])
def test_two_layers_by_finite_differences(axes):
    """Gradients by moving one activation at a time, behind an in-place ReLU, scaled and averaged by loops."""
    net = Tiny(axes).double().eval()
    x = inputs(axes, batch=1).double()
    layers = [net.first[0], net.second]
    found = grad_cam(net, x, layers, 2)
    parts = []
    rest = [lambda a: net.head(net.second(net.first[2](net.first[1](a)))[0].flatten(1).mean(1)),
            lambda a: net.head(a[0].flatten(1).mean(1))]  # fmt: skip
    with torch.no_grad():
        for values, after in zip((net.first[0](x), net.second(net.first(x))), rest, strict=True):
            gradient = torch.zeros_like(values)
            for place in itertools.product(*map(range, values.shape)):
                moved = [values.clone(), values.clone()]
                moved[0][place] += 1e-6
                moved[1][place] -= 1e-6
                gradient[place] = (after(moved[0])[2] - after(moved[1])[2]) / 2e-6
            weights = gradient[0].flatten(1).mean(1).numpy()
            parts.append(np.maximum(np.tensordot(weights, values[0].numpy(), 1), 0))
    for native, part in zip(found.native, parts, strict=True):
        np.testing.assert_allclose(native[0], part, rtol=1e-4, atol=1e-6)
    mean = np.mean([slow_resize(slow_scale(part), x.shape[2:]) for part in parts], axis=0)
    np.testing.assert_allclose(found.maps[0], slow_scale(mean), atol=1e-4)
    assert not found.empty.any()


# -- other implementations


@pytest.mark.parametrize("axes", [2, 3])
def test_equal_to_captum(axes):
    attribution = pytest.importorskip("captum.attr", reason="captum is not installed")
    net, x = Tiny(axes).eval(), inputs(axes)
    classes = torch.tensor([0, 1, 2, 1, 0])
    # captum must see a layer that nothing changes afterwards: the convolution before the normalisation
    for layer in (net.first[0], net.second[0]):
        reference = attribution.LayerGradCam(net, layer).attribute(x, classes, relu_attributions=True)
        found = grad_cam(net, x, [layer], classes)
        torch.testing.assert_close(found.native[0], reference[:, 0].detach(), atol=1e-7, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("axes", [2, 3])
def test_equal_to_monai(axes):
    visualize = pytest.importorskip("monai.visualize", reason="MONAI is not installed")
    net, x = Tiny(axes).eval(), inputs(axes)
    cam = visualize.GradCAM(nn_module=net, target_layers="second.0")
    for label in range(3):
        # without a class of its own, or in its default scaling, MONAI's map is another one
        reference = cam.compute_map(x, class_idx=label, retain_graph=False)
        found = grad_cam(net, x, [net.second[0]], label)
        torch.testing.assert_close(found.native[0], reference[:, 0].detach(), atol=1e-7, rtol=1e-6)


# -- properties


@pytest.mark.parametrize("axes", [2, 3])
def test_an_image_does_not_depend_on_its_batch(axes):
    net, x = Tiny(axes).train(), inputs(axes)
    layers = [net.first, net.second]
    classes = torch.tensor([0, 1, 2, 1, 0])
    together = grad_cam(net, x, layers, classes)
    assert len({tuple(row.flatten().tolist()) for row in together.maps}) == 5
    for number in range(5):
        alone = grad_cam(net, x[number : number + 1], layers, int(classes[number]))
        torch.testing.assert_close(alone.maps[0], together.maps[number], atol=2e-6, rtol=1e-5)
        assert alone.empty[0] == together.empty[number]


def test_the_network_is_left_as_it_was():
    net, x = Tiny(2), inputs(2)
    net.train()
    net.second[1].eval()  # a frozen normalisation in a network that trains
    net.first[0].weight.requires_grad_(False)
    net.head.weight.grad = torch.ones_like(net.head.weight)
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    modes = [part.training for part in net.modules()]
    before = x.clone()
    with torch.no_grad():
        grad_cam(net, x, [net.first, net.second], 1)
        with pytest.raises(StudyError):
            grad_cam(net, x, [net.first], 7)
    assert [part.training for part in net.modules()] == modes
    assert all(not part._forward_hooks for part in net.modules())
    assert not net.first[0].weight.requires_grad and net.second[0].weight.requires_grad
    assert torch.equal(net.head.weight.grad, torch.ones_like(net.head.weight))
    assert all(part.grad is None for name, part in net.named_parameters() if name != "head.weight")
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert torch.equal(x, before) and not x.requires_grad


@pytest.mark.parametrize("axes", [2, 3])
def test_frozen_networks_have_the_same_maps(axes):
    net, x = Tiny(axes), inputs(axes)
    layers = [net.first, net.second]
    free = grad_cam(net, x, layers, 1)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    with torch.inference_mode():
        frozen = grad_cam(net, x, layers, 1)
    torch.testing.assert_close(frozen.maps, free.maps, atol=0, rtol=0)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.parameters())


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-2, 1e3), st.integers(0, 2), st.sampled_from([2, 3]))
def test_a_positive_factor_changes_no_map(factor, label, axes):
    net, x = Tiny(axes), inputs(axes, batch=2)
    layers = [net.first, net.second]
    one = grad_cam(net, x, layers, lambda output: output[:, label])
    other = grad_cam(net, x, layers, lambda output: factor * output[:, label])
    torch.testing.assert_close(one.maps, other.maps, atol=1e-5, rtol=0)
    assert torch.equal(one.empty, other.empty)
    torch.testing.assert_close(one.maps, grad_cam(net, x, layers, label).maps, atol=0, rtol=0)


def test_a_class_without_evidence_is_empty_and_not_rescaled():
    net, x = Tiny(2), inputs(2, batch=2)
    with torch.no_grad():
        net.head.weight[1] = -net.head.weight[0].abs()  # after a ReLU, class 1 has evidence against it only
    found = grad_cam(net, x, [net.second], torch.tensor([1, 1]))
    assert found.empty.all()
    assert (found.maps == 0).all() and torch.isfinite(found.native[0]).all()


def test_a_flat_map_is_empty_and_one_layer_with_a_pattern_is_enough():
    flat, pattern = torch.full((1, 2, 2), 0.3), torch.tensor([[[0.0, 2.0], [1.0, 0.0]]])
    assert combine([flat], (4, 4)).empty.tolist() == [True]
    assert combine([flat * (1 + 1e-8 * pattern)], (4, 4)).maps.abs().max() == 0
    found = combine([flat, pattern], (2, 2))
    torch.testing.assert_close(found.maps, pattern / 2)
    assert found.empty.tolist() == [False]


# -- networks of this project


def test_an_age_from_soft_bins_has_a_map_at_the_grid_of_the_last_block():
    torch.manual_seed(0)
    net = SFCN(4, channels=(2, 2, 3, 3, 3, 4))
    volumes = torch.rand(2, 1, 64, 96, 64)
    centres = torch.tensor([45.0, 55.0, 65.0, 75.0])
    found = grad_cam(net, volumes, cam_layers(net), lambda output: output.softmax(1) @ centres)
    assert found.maps.shape == (2, 64, 96, 64)
    assert found.native[0].shape == (2, 2, 3, 2)
    # the mean over the grid and the linear layer: the weights are those of the head, seen through the softmax
    net.eval()
    with torch.no_grad():
        maps = volumes
        for block in net.blocks:
            maps = block(maps)
        p = net.head(maps.mean((2, 3, 4))).softmax(1)
        slope = p * (centres - (p * centres).sum(1, keepdim=True))  # d age / d logits
        expected = torch.einsum("bk,bk...->b...", slope @ net.head.weight / 12, maps).relu()
    torch.testing.assert_close(found.native[0], expected, atol=1e-6, rtol=1e-4)


def test_a_direction_of_a_patch_encoder_has_a_map():
    torch.manual_seed(0)
    net = PatchEncoder(4).eval()
    patches = torch.rand(2, 1, 34, 40, 33)
    direction = torch.tensor([1.0, -1.0, 0.5, 0.0])
    found = grad_cam(net, patches, cam_layers(net), lambda z: z @ direction)
    assert found.native[0].shape == (2, 2, 2, 2)
    assert found.maps.shape == (2, 34, 40, 33)
    back = grad_cam(net, patches, cam_layers(net), lambda z: -(z @ direction))
    assert not torch.equal(found.maps, back.maps)


# -- refusals


def test_what_has_no_map_is_refused():
    net, x = Tiny(2), inputs(2)
    with pytest.raises(StudyError, match="needs at least one layer"):
        grad_cam(net, x, [], 0)
    with pytest.raises(StudyError, match=r"Linear gives \(5, 3\), expected batch x channels x grid"):
        grad_cam(net, x, [net.head], 0)
    with pytest.raises(StudyError, match="ran 0 times"):
        grad_cam(net, x, [nn.Conv2d(1, 1, 1)], 0)
    with pytest.raises(StudyError, match="from 0 to below"):
        grad_cam(net, x, [net.first], torch.tensor([0, 1, 2, 3, 0]))
    with pytest.raises(StudyError, match="one number for each of 5 inputs"):
        grad_cam(net, x, [net.first], lambda output: output)
    with pytest.raises(StudyError, match="does not depend on every layer"):
        grad_cam(net, x, [net.first], lambda output: output.detach()[:, 0])
    with pytest.raises(StudyError, match="has no layer of its own"):
        cam_layers(net)
    with pytest.raises(StudyError, match="as many axes"):
        grad_cam(net, x, [net.first], 0, size=(4, 4, 4))


def test_a_layer_that_runs_twice_is_refused():
    class Twice(Tiny):
        def forward(self, x):
            return self.head(self.second(self.first[2](self.first(x))).flatten(2).mean(2))

    net = Twice(2)
    with pytest.raises(StudyError, match="ran 2 times"):
        grad_cam(net, inputs(2), [net.first[2]], 0)
