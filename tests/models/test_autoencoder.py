import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.models.published import trained, volumes
from workflow_scripts.lib.models.autoencoder import Autoencoder
from workflow_scripts.lib.study.errors import StudyError


def test_layers_are_those_published():
    network = Autoencoder((64, 64, 64))
    channels = [
        (module.in_channels, module.out_channels)
        for part in (network.down, network.up)
        for module in part.modules()
        if isinstance(module, nn.Conv3d)
    ]
    assert channels == [(1, 16), (16, 32), (32, 64), (64, 16), (16, 64), (64, 32), (32, 16), (16, 16)]
    # the published latent vector is what the last maps hold at this grid
    assert network.to_latent.in_features == network.to_latent.out_features == 16 * 4**3 == 1024


def test_the_default_is_the_cube_of_96():
    network = Autoencoder()
    assert network.architecture == {"name": "Autoencoder", "grid": [96, 96, 96], "width": 1024}
    convolutions = [(1, 16), (16, 32), (32, 64), (64, 16), (16, 64), (64, 32), (32, 16), (16, 16)]
    counted = sum(27 * before * after + 3 * after for before, after in convolutions) + 27 * 16 + 1
    counted += 16 * 6**3 * 1024 + 1024 + 1024 * 16 * 6**3 + 16 * 6**3 + 1024
    assert sum(p.numel() for p in network.parameters()) == counted


@torch.no_grad()
@pytest.mark.parametrize("grid", [(16, 16, 16), (24, 24, 24), (33, 16, 50)])
def test_shapes(grid):
    network = Autoencoder(grid, 11).eval()
    latents = network.encode(volumes(2, grid))
    assert latents.shape == (2, 11)
    assert torch.equal(network.features(volumes(2, grid)), latents)
    assert network.decode(latents, grid).shape == network.decode(latents).shape == (2, 1, *grid)
    torch.testing.assert_close(network(volumes(2, grid)), network.decode(latents))


@torch.no_grad()
def test_numbers_are_those_of_the_layers_applied_in_the_published_order():
    network, maps = trained(Autoencoder((16, 32, 16), 5)), volumes(2, (16, 32, 16))
    for convolution in network.down:
        maps = nn.MaxPool3d(2)(nn.LeakyReLU(0.2)(convolution(maps)))
    latents = network.to_latent(maps.reshape(2, -1))
    torch.testing.assert_close(network.encode(volumes(2, (16, 32, 16))), latents)
    maps = network.from_latent(latents).reshape(2, 16, 1, 2, 1)
    for convolution in network.up:
        maps = nn.LeakyReLU(0.2)(convolution(maps))
        maps = functional.interpolate(maps, scale_factor=2, mode="trilinear", align_corners=True)
    torch.testing.assert_close(network.decode(latents), network.last(maps))


def test_another_grid_is_refused():
    network = Autoencoder((16, 16, 32), 3)
    with pytest.raises(StudyError, match="16 x 16 x 16 voxels was given to an autoencoder of 16 x 16 x 32"):
        network.encode(volumes(1, (16, 16, 16)))
    with pytest.raises(StudyError, match="16 x 16 x 16"):
        network.decode(torch.zeros(1, 3), (16, 16, 16))


@pytest.mark.parametrize("arguments", [{"grid": (15, 16, 16)}, {"grid": (16, 16)}, {"width": 0}])
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(StudyError, match="expected"):
        Autoencoder(**({"grid": (16, 16, 16), "width": 2} | arguments))


def test_the_direction_is_learned_and_has_length_one():
    network = Autoencoder((16, 16, 16), 6)
    assert isinstance(network.direction, nn.Parameter)
    network.direction.data *= 40
    torch.testing.assert_close(network.unit_direction.norm(), torch.tensor(1.0))
    (network.encode(volumes(2, (16, 16, 16))) @ network.unit_direction).sum().backward()
    # a gradient along the direction could only change its length
    assert network.direction.grad.norm() > 0
    assert abs(network.direction.grad @ network.unit_direction) < 1e-4 * network.direction.grad.norm()


def test_gradient_reaches_every_parameter():
    network = Autoencoder((16, 24, 32), 4)
    images = volumes(3, (16, 24, 32))
    loss = (network(images) - images).square().mean() + (network.encode(images) @ network.unit_direction).sum()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.down[0][0].weight.grad.abs().sum() > 0
