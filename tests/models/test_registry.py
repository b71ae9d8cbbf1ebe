import pytest
import torch

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.study.errors import StudyError

ARCHITECTURES = [
    {"name": "PatchEncoder", "representation": 5},
    {"name": "Aggregator", "locations": 4, "width": 6},
    {"name": "SFCN", "outputs": 2, "channels": [2, 3, 4, 5, 6, 7], "dropout": 0.25, "eps": 1e-3},
    {"name": "UNet", "width": 2},
    {"name": "Autoencoder", "grid": [16, 17, 18], "width": 3},
]


def test_every_network_is_tried_here():
    assert {architecture["name"] for architecture in ARCHITECTURES} == set(registry.NETWORKS)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a["name"])
def test_a_card_is_enough(architecture):
    network = registry.build(architecture)
    assert type(network).__name__ == architecture["name"]
    assert network.architecture == architecture
    again = registry.build(network.architecture)
    assert [tensor.shape for tensor in again.state_dict().values()] == [
        tensor.shape for tensor in network.state_dict().values()
    ]


@pytest.mark.parametrize("name", sorted(registry.NETWORKS))
def test_arguments_left_out_have_their_defaults(name):
    assert registry.build({"name": name}).architecture == registry.NETWORKS[name]().architecture


@torch.no_grad()
@pytest.mark.parametrize(
    "architecture", [a for a in ARCHITECTURES if a["name"] != "Aggregator"], ids=lambda a: a["name"]
)
def test_networks_of_volumes_give_features(architecture):
    grid = architecture.get("grid", [32, 32, 32])
    vectors = registry.build(architecture).eval().features(torch.rand(2, 1, *grid))
    assert vectors.ndim == 2 and len(vectors) == 2


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"name": "ResNet"}, "'ResNet' is unknown; there are PatchEncoder"),
        ({}, "'None' is unknown"),
        ({"name": "UNet", "depth": 3}, "UNet has no argument 'depth'; it has width"),
        ({"name": "SFCN", "channels": [1, 2]}, "6 numbers of channels"),
        ({"name": "SFCN", "outputs": "forty"}, "SFCN cannot be built"),
        ({"name": "UNet", "width": None}, "UNet cannot be built"),
        ({"name": "Autoencoder", "grid": 96}, "Autoencoder cannot be built"),
        ({"name": "Aggregator", "width": 7}, "even"),
    ],
)
def test_wrong_architectures_are_refused(architecture, message):
    with pytest.raises(StudyError, match=message):
        registry.build(architecture)
