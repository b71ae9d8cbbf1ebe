import pytest
import torch
from torch import nn

from tests.models.published import SMALL, PublishedSFCN, trained, volumes
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study.errors import StudyError


def copy_in_order(source, target):
    """Copy tensors one after the other: both networks apply the same layers in the same order."""
    ours = {name: tensor for name, tensor in target.state_dict().items() if name != "intensity"}
    state = {
        name: tensor.reshape(ours[name].shape) for name, tensor in zip(ours, source.state_dict().values(), strict=True)
    }
    target.load_state_dict(state, strict=False)
    return target.eval()


# counts of the published architecture, with the heads of 40 bins, one target, six targets and 93 classes
@pytest.mark.parametrize(("outputs", "count"), [(40, 2_952_936), (1, 2_950_401), (6, 2_950_726), (93, 2_956_381)])
def test_parameters_are_those_published(outputs, count):
    network = SFCN(outputs)
    assert sum(p.numel() for p in network.parameters()) == count
    assert sum(p.numel() for p in PublishedSFCN(outputs=outputs).parameters()) == count


@torch.no_grad()
@pytest.mark.parametrize("grid", [(160, 192, 160), (64, 96, 64)])
def test_numbers_are_those_of_the_published_network(grid):
    window = tuple(n // 32 for n in grid)
    channels = (1, 2, 2, 3, 3, 4)
    published = trained(PublishedSFCN(channels, 7, window))
    network = copy_in_order(published, SFCN(7, channels))
    images = volumes(1, grid)
    extracted = published.feature_extractor(images)
    features = network.features(images)
    torch.testing.assert_close(features, extracted.mean(dim=(2, 3, 4)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network.head(features), published.classifier(extracted).flatten(1), rtol=1e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("grid", [(32, 32, 32), (33, 40, 63), (64, 32, 95)])
def test_any_grid_of_32_voxels_or_more_is_taken(grid):
    network = SFCN(5, SMALL).eval()
    assert network(volumes(2, grid)).shape == (2, 5)
    assert network.features(volumes(2, grid)).shape == (2, 6)


@pytest.mark.parametrize("grid", [(31, 64, 64), (64, 64, 16)])
def test_a_grid_that_would_vanish_is_refused(grid):
    with pytest.raises(StudyError, match=r"32 or more along each axis"):
        SFCN(5, SMALL)(volumes(1, grid))


def test_dropout_acts_while_training_only_and_after_the_features():
    network = SFCN(4, SMALL, dropout=0.5).eval()
    images = volumes(2, (32, 32, 32))
    with torch.no_grad():
        torch.testing.assert_close(network(images), network.head(network.features(images)))
    network.dropout.train()
    torch.manual_seed(0)
    with torch.no_grad():
        assert len({tuple(network(images)[0].tolist()) for _ in range(8)}) > 1


def test_intensity_scale_is_taken_out_by_the_statistics():
    one, other = trained(SFCN(3, SMALL)), SFCN(3, SMALL).eval()
    other.load_state_dict(one.state_dict())
    one.set_intensity(0.5, 0.2)
    other.set_intensity(55.0, 22.0)
    images = volumes(2, (32, 32, 32))
    with torch.no_grad():
        torch.testing.assert_close(one(images), other(110 * images), rtol=1e-4, atol=1e-5)
    with pytest.raises(StudyError, match="one value only"):
        one.set_intensity(1.0, 0.0)


def test_gradient_reaches_every_parameter():
    network = SFCN(3, SMALL)
    network(volumes(3, (32, 40, 32))).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert all(block.conv.weight.grad.abs().sum() > 0 for block in network.blocks)


def test_recomputing_the_first_block_changes_no_number():
    torch.manual_seed(0)
    plain, frugal = SFCN(3, SMALL, dropout=0), SFCN(3, SMALL, dropout=0, recompute=True)
    frugal.load_state_dict(plain.state_dict())
    kept = []
    for network in (plain, frugal):
        largest = 0

        def pack(tensor):
            nonlocal largest
            largest = max(largest, tensor.numel())
            return tensor

        for seed in (1, 2):
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                loss = network(volumes(2, (64, 32, 32), seed)).square().sum()
            loss.backward()
        kept.append(largest)
    for (name, one), other in zip(plain.state_dict().items(), frugal.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    for one, other in zip(plain.parameters(), frugal.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)
    assert plain.blocks[0].norm.num_batches_tracked == 2
    # the maps of the first block at full resolution are not kept
    assert kept[0] == 2 * SMALL[0] * 64 * 32 * 32
    assert kept[1] < kept[0]


def test_architecture_says_what_the_constructor_was_told():
    arguments = {"outputs": 2, "channels": [28, 58, 128, 256, 256, 64], "dropout": 0.25, "eps": 1e-3}
    network = SFCN(**arguments, recompute=True)
    assert network.architecture == {"name": "SFCN", **arguments}
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm3d)} == {1e-3}


@pytest.mark.parametrize(
    "arguments",
    [{"outputs": 0}, {"channels": (1, 2, 3)}, {"channels": (1, 2, 3, 4, 5, 0)}, {"dropout": 1.0}, {"eps": 0.0}],
)
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(StudyError, match="expected"):
        SFCN(**arguments)
