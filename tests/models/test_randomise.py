"""Cascading randomisation: which weights are fresh at which stage, seeds, and the network that is left alone."""

import pytest
import torch
from torch import nn

from workflow_scripts.lib.models.backbones import spec
from workflow_scripts.lib.models.classifier import Classifier
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.randomise import cascade, stages, untrained
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study.errors import StudyError

SMALL = {"small": {"family": "ResNet", "layers": [1, 1, 1, 1], "planes": [2, 2, 3, 4], "bottleneck": False}}
MAKERS = {
    "classifier": lambda: Classifier(spec("small", SMALL), {"name": "Linear", "classes": 2}),
    "sfcn": lambda: SFCN(2, channels=(2, 2, 2, 2, 2, 3)),
    "encoder": lambda: PatchEncoder(3),
}


@pytest.fixture(params=MAKERS)
def network(request):
    torch.manual_seed(1)
    made = MAKERS[request.param]()
    if hasattr(made, "set_intensity"):
        made.set_intensity(3.0, 2.0)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor += 1 if tensor.is_floating_point() else 3  # so that no tensor is what it would be when fresh
    return made.eval()


def test_stages_run_from_the_output_and_hold_every_parameter_once(network):
    found = stages(network)
    assert found[0][0] in ("head", "linear")
    held = [id(p) for _, parts in found for part in parts for p in network.get_submodule(part).parameters()]
    assert sorted(held) == sorted(id(p) for p in network.parameters())
    if hasattr(network, "backbone"):
        assert [name for name, _ in found] == ["head", "layer4", "layer3", "layer2", "layer1", "bn1", "conv1"]


def test_each_stage_is_fresh_when_its_turn_has_come_and_not_before(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fresh = untrained(network, 7, "fit").state_dict()
    names, done = [name for name, _ in stages(network)], []
    for name, changed in cascade(network, 7, "fit"):
        done.append(name)
        parts = tuple(f"{part}." for stage, parts in stages(network) if stage in done for part in parts)
        for key, tensor in changed.state_dict().items():
            assert torch.equal(tensor, fresh[key] if key.startswith(parts) else before[key]), (name, key)
        assert not changed.training
    assert done == names
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_draws_follow_their_names_and_leave_the_global_generator(network):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, same, other = (untrained(network, 7, "fit", key) for key in ("a", "a", "b"))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)
    if hasattr(network, "intensity"):
        assert torch.equal(one.intensity, network.intensity)


def test_an_unknown_network_is_refused():
    with pytest.raises(StudyError, match="Linear is cut into stages"):
        stages(nn.Linear(2, 2))
