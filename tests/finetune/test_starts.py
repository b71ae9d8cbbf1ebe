import json

import numpy as np
import pytest
import torch

from tests.finetune import small_fits
from workflow_scripts.lib.finetune import networks, starts
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.weights import load_any
from workflow_scripts.lib.study.errors import LeakageError, StudyError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return small_fits.write_weights(tmp_path_factory.mktemp("weights"), trained_on=("u00", "p03"))


def volume(*shape):
    return torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(1))


def patches_start(files, **changes):
    return starts.pretrained_patches({patch: files[patch] for patch in PATCHES} | changes, files["image"])


def test_a_finetuned_sfcn_is_the_sfcn_with_one_output():
    torch.manual_seed(2)
    network = small_fits.random_start().make(0.3).eval()
    plain = registry.build({**small_fits.ARCHITECTURE, "outputs": 1, "dropout": 0.3}).eval()
    state = {f"backbone.network.{name}": value for name, value in plain.state_dict().items() if "head" not in name}
    state |= {f"head.{name}": value for name, value in plain.head.state_dict().items()}
    network.load_state_dict(state)  # strictly: nothing else is in it
    images = volume(32, 33, 32)
    assert torch.equal(network([images]), plain(images)[:, 0])
    assert network.dropout.p == 0.3


def test_pretrained_weights_are_kept_but_for_the_head(files):
    start = starts.pretrained_volume(files["whole"])
    assert (start.arrays, start.rule, start.pretrained) == (("whole",), "stored", True)
    first, second = start.make(0.0), start.make(0.0)
    source, _ = load_any(files["whole"])
    images = volume(32, 32, 32)
    assert torch.equal(first.eval().backbone([images]), source.features(images))
    assert first.head.out_features == 1 and not torch.equal(first.head.weight, second.head.weight)
    assert all(parameter.requires_grad for parameter in first.parameters())
    with torch.no_grad():
        next(first.parameters()).add_(1)
    assert torch.equal(start.make(0.0).eval().backbone([images]), source.features(images))  # fits share no weights


def test_r_nce_is_finetuned_from_patches_to_label(files):
    start = patches_start(files)
    assert start.arrays == tuple(PATCHES)
    network = start.make(0.0).eval()
    patches = [volume(4, 5, 6) + number for number in range(18)]
    with torch.no_grad():
        tokens = torch.stack([load_any(files[name])[0](x) for name, x in zip(PATCHES, patches, strict=True)], dim=1)
        torch.testing.assert_close(network.backbone(patches), load_any(files["image"])[0](tokens))
    network.train()(patches).sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []  # encoders, aggregator and head all learn


@pytest.mark.parametrize(
    ("objective", "reads", "width"),
    [("multitask", "whole", 1), ("genesis", "cube", 1), ("lssl", "cube", 4), ("rnce", "cube", None), ("rnce", None, 0)],
)
def test_every_method_can_start_from_random_weights(objective, reads, width):
    spacing = 4 if objective == "multitask" else 8
    start = starts.untrained(objective, reads, 4, width, spacing)
    network = start.make(0.5)
    arrays = [volume(*shape) for shape in starts.shapes(start.arrays, spacing)]
    logits = network(arrays)
    assert logits.shape == (3,) and not start.pretrained
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())  # nothing idle is stored or trained


def test_shapes_are_those_of_the_store():
    assert starts.shapes(["whole", "cube"], 1) == [(160, 192, 160), (96, 96, 96)]
    assert starts.shapes(["whole", "cube"], 4) == [(40, 48, 40), (48, 48, 48)]


def test_a_participant_that_pretraining_saw_is_refused_by_name(files):
    for start in (starts.pretrained_volume(files["whole"]), patches_start(files)):
        start.refuse_seen(["p01", "p02"])
        with pytest.raises(LeakageError, match=r"1 participants .*\.safetensors, the first is 'p03'"):
            start.refuse_seen(["p01", "p03"])
    small_fits.random_start().refuse_seen(["p03"])


def test_identity_tells_weights_and_networks_apart(files, tmp_path):
    others = small_fits.write_weights(tmp_path, ["u00", "p03"], patches=False)
    assert starts.pretrained_volume(others["whole"]).identity == starts.pretrained_volume(files["whole"]).identity
    made = [starts.pretrained_volume(files["whole"]), patches_start(files), small_fits.random_start()]
    made.append(starts.untrained("multitask", "whole", 4, 4, 8))
    assert len({json.dumps(one.identity) for one in made}) == 4


def test_weights_of_something_else_are_refused(files):
    with pytest.raises(StudyError, match="Aggregator reads no whole volumes"):
        starts.pretrained_volume(files["image"])
    with pytest.raises(StudyError, match=r"is of location 'parietal_L', expected 'parietal_R'"):
        patches_start(files, parietal_R=files["parietal_L"])
    with pytest.raises(StudyError, match="2 patch encoders for an aggregator of 18 locations"):
        starts.pretrained_patches({name: files[name] for name in PATCHES[:2]}, files["image"])
    with pytest.raises(StudyError, match="Aggregator reads no whole volumes"):
        networks.WholeBackbone(load_any(files["image"])[0])


def test_volumes_of_another_grid_are_refused(files):
    start = starts.pretrained_volume(files["whole"])
    same = ResidentSource.made_up("whole", (32, 32, 32), 2, small_fits.CPU, "stored", np.random.default_rng(1))
    other = ResidentSource.made_up("whole", (32, 40, 32), 2, small_fits.CPU, "stored", np.random.default_rng(1))
    contract = starts.from_json(start.cards[str(files["whole"])]["input"]["volume"], "card")
    same.contract = other.contract = contract
    start.check_sources([same])
    with pytest.raises(StudyError, match=r"trained on arrays of \(32, 32, 32\) voxels; these have \(32, 40, 32\)"):
        start.check_sources([other])
