import pytest
import torch
from torch import nn

from tests.models.published import trained, volumes
from workflow_scripts.lib.models.unet import UNet
from workflow_scripts.lib.study.errors import StudyError


def count_by_hand(width):
    """Weights and biases of convolutions, and two numbers a channel for each normalisation."""

    def pair(before, middle, after):
        return 27 * (before * middle + middle * after) + 3 * (middle + after)

    outs = [2 * width, 4 * width, 8 * width, 16 * width]
    down = sum(pair(before, after // 2, after) for before, after in zip([1, *outs], outs, strict=False))
    up, lower = 0, outs[-1]
    for skip in outs[-2::-1]:
        up += 8 * lower * lower + lower + pair(lower + skip, skip, skip)
        lower = skip
    return down + up + lower + 1


def test_channels_and_parameters_are_those_published():
    network = UNet()
    down = [module.out_channels for module in network.down.modules() if isinstance(module, nn.Conv3d)]
    assert down == [32, 64, 64, 128, 128, 256, 256, 512]
    assert sum(p.numel() for p in network.parameters()) == count_by_hand(32) == 19_073_665
    assert sum(p.numel() for p in UNet(2).parameters()) == count_by_hand(2)


@torch.no_grad()
@pytest.mark.parametrize("grid", [(8, 8, 8), (24, 24, 24), (16, 8, 40)])
def test_shapes(grid):
    network = UNet(2).eval()
    restored = network(volumes(2, grid))
    assert restored.shape == (2, 1, *grid)
    assert restored.min() > 0 and restored.max() < 1
    assert network.features(volumes(2, grid)).shape == (2, 32)


@torch.no_grad()
def test_numbers_are_those_of_the_layers_applied_one_by_one():
    network = trained(UNet(1))
    pool, images = nn.MaxPool3d(2), volumes(2, (16, 8, 8))
    one = network.down[0](images)
    two = network.down[1](pool(one))
    three = network.down[2](pool(two))
    four = network.down[3](pool(three))
    maps = network.up[0](torch.cat([network.doubling[0](four), three], 1))
    maps = network.up[1](torch.cat([network.doubling[1](maps), two], 1))
    maps = network.up[2](torch.cat([network.doubling[2](maps), one], 1))
    torch.testing.assert_close(network(images), network.last(maps).sigmoid())
    torch.testing.assert_close(network.features(images), four.flatten(2).mean(2))


@pytest.mark.parametrize("grid", [(12, 8, 8), (8, 8, 4), (38, 38, 38)])
def test_grids_that_cannot_be_halved_thrice_are_refused(grid):
    for method in (UNet(1), UNet(1).features):
        with pytest.raises(StudyError, match="multiple of 8"):
            method(volumes(1, grid))


@torch.no_grad()
def test_a_frozen_network_does_not_mix_scans():
    network, images = trained(UNet(2)), volumes(3, (8, 16, 8))
    torch.testing.assert_close(network.features(images)[1:2], network.features(images[1:2]), rtol=1e-4, atol=1e-6)


def test_gradient_reaches_every_parameter():
    network = UNet(2)
    network(volumes(2, (16, 16, 16))).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.down[0][0].weight.grad.abs().sum() > 0


def test_architecture_and_refusal():
    assert UNet(3).architecture == {"name": "UNet", "width": 3}
    with pytest.raises(StudyError, match="at least 1"):
        UNet(0)
