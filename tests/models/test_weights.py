import json
import pickle

import pytest
import torch

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.autoencoder import Autoencoder
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.models.unet import UNet
from workflow_scripts.lib.study import ids
from workflow_scripts.lib.study.errors import LeakageError, StudyError


def make_card(people=("sub-1", "sub-2")):
    return {
        "input": {"grid": [4, 5, 6]},
        "intensity": "as stored",
        "participants": ids.participant_hashes(people),
        "seed": 1,
        "metrics": {"loss": 0.5},
        "source": "a test",
    }


@pytest.fixture
def saved(tmp_path):
    encoder = PatchEncoder(8)
    encoder.set_intensity(0.3, 0.1)
    path = tmp_path / "one.safetensors"
    weights.save_weights(encoder, path, make_card())
    return encoder, path


def test_round_trip(saved):
    encoder, path = saved
    other = PatchEncoder(8)
    card = weights.load_weights(other, path)
    assert card["architecture"] == {"name": "PatchEncoder", "representation": 8}
    assert card["metrics"] == {"loss": 0.5}
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


def test_same_weights_give_the_same_bytes(saved, tmp_path):
    encoder, path = saved
    weights.save_weights(encoder, tmp_path / "two.safetensors", make_card())
    assert (tmp_path / "two.safetensors").read_bytes() == path.read_bytes()
    assert (tmp_path / "two.json").read_bytes() == path.with_suffix(".json").read_bytes()


@pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "weights.pkl", "weights"])
def test_anything_but_safetensors_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(StudyError, match=r"\.safetensors only"):
        weights.load_weights(PatchEncoder(8), path)
    with pytest.raises(StudyError, match=r"\.safetensors only"):
        weights.save_weights(PatchEncoder(8), path, make_card())


def test_a_pickle_with_the_right_name_is_refused_unread(saved):
    _, path = saved
    data = pickle.dumps({"weight": [1.0]})
    path.write_bytes(data)
    card = json.loads(path.with_suffix(".json").read_text())
    with pytest.raises(StudyError, match="is not the file"):
        weights.load_weights(PatchEncoder(8), path)
    card["sha256"] = weights.hashlib.sha256(data).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(StudyError, match="not a readable safetensors"):
        weights.load_weights(PatchEncoder(8), path)


def test_another_architecture_is_refused(saved):
    _, path = saved
    with pytest.raises(StudyError, match=r"'representation': 8.*'representation': 9"):
        weights.load_weights(PatchEncoder(9), path)
    with pytest.raises(StudyError, match="Aggregator"):
        weights.load_weights(Aggregator(18, 8), path)


def test_other_tensors_behind_an_honest_name_are_refused(saved):
    _, path = saved

    class Impostor(PatchEncoder):
        def __init__(self):
            super().__init__(8)
            self.linear = torch.nn.Linear(3, 8)

    with pytest.raises(StudyError, match=r"tensor 'linear\.weight'"):
        weights.load_weights(Impostor(), path)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_both_files_are_needed(saved, suffix):
    _, path = saved
    path.with_suffix(suffix).unlink()
    with pytest.raises(StudyError, match="no such file"):
        weights.load_weights(PatchEncoder(8), path)


def test_an_incomplete_card_is_not_written(tmp_path):
    card = make_card()
    del card["participants"]
    with pytest.raises(StudyError, match="lacks participants"):
        weights.save_weights(PatchEncoder(8), tmp_path / "one.safetensors", card)


def test_cards_hold_no_ids(saved):
    _, path = saved
    text = path.with_suffix(".json").read_text()
    assert "sub-1" not in text
    assert ids.participant_hash("sub-1") in text


def test_hashes_are_stable_distinct_and_unordered():
    # the salt is part of the format: cards of today must guard the studies of tomorrow
    assert ids.participant_hash("sub-1") == "d5d14f1819b909c8"
    assert ids.participant_hashes(["b", "a", "b"]) == ids.participant_hashes(["a", "b"])
    assert len(ids.participant_hashes(map(str, range(1000)))) == 1000


def test_participants_that_trained_may_not_be_evaluated(saved):
    _, path = saved
    card = weights.read_card(path)
    weights.refuse_seen(card, ["sub-3", "sub-4"], "one")
    with pytest.raises(LeakageError, match=r"1 participants .* 'sub-2'"):
        weights.refuse_seen(card, ["sub-3", "sub-2"], "one")


NETWORKS = {
    "PatchEncoder": lambda: PatchEncoder(6),
    "Aggregator": lambda: Aggregator(4, 6),
    "SFCN": lambda: SFCN(2, (2, 3, 4, 5, 5, 6), dropout=0.25, eps=1e-3),
    "UNet": lambda: UNet(1),
    "Autoencoder": lambda: Autoencoder((16, 17, 18), 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_comes_back_from_its_file_alone(tmp_path, name):
    network = NETWORKS[name]()
    weights.save_weights(network, tmp_path / "one.safetensors", make_card())
    again, card = weights.load_any(tmp_path / "one.safetensors")
    assert type(again) is type(network) and not again.training
    assert card["architecture"] == network.architecture == again.architecture
    assert all(torch.equal(again.state_dict()[key], tensor) for key, tensor in network.state_dict().items())
    weights.save_weights(again, tmp_path / "two.safetensors", make_card())
    assert (tmp_path / "two.safetensors").read_bytes() == (tmp_path / "one.safetensors").read_bytes()
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_a_card_of_an_unknown_network_is_refused(saved):
    _, path = saved
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"architecture": {"name": "os.system"}}))
    with pytest.raises(StudyError, match=r"'os\.system' is unknown"):
        weights.load_any(path)
    with pytest.raises(StudyError, match=r"\.safetensors only"):
        weights.load_any(path.with_suffix(".pt"))
