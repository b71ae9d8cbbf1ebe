import pandas as pd
import pytest
import torch

from tests.radiology import small_grid
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.radiology import augment, sources
from workflow_scripts.lib.radiology.job import people
from workflow_scripts.lib.study.errors import LeakageError, StudyError

ENTRY = {"kind": "trained", "dataset": "textures", "epochs": 4, "batch": 16, "learning_rate": 0.01}


def trained(folder, name="weights", data=None, **changes):
    data = data or small_grid.make_dataset("textures", classes=3)
    entry = {**ENTRY, **changes}
    source = sources.Source("textures", "tiny", entry, small_grid.BACKBONES, augment.Moves(), 1)
    splits = small_grid.make_splits(data)
    output = folder / f"{name}.safetensors"
    log = sources.train_backbone(source, data, splits, folder / f"{name}.ck.safetensors", output, small_grid.CPU)
    return log, output, data


def test_a_backbone_is_trained_and_kept_without_its_head(tmp_path):
    log, file, data = trained(tmp_path)
    network, card = weights.load_any(file)
    assert card["architecture"]["name"] == "Backbone" and not any("head" in name for name in network.state_dict())
    assert list(log.columns) == list(sources.LOG) and log["chosen"].sum() == 1
    best = log.sort_values(["valid_accuracy", "valid_loss"], ascending=[False, True]).iloc[0]
    assert best["chosen"] and card["metrics"]["valid_accuracy"] == best["valid_accuracy"]
    assert card["preprocessing"] == "imagenet_rgb" and "3 classes of dataset textures" in card["source"]
    assert not any(person in str(card) for person in people(data)[:5])
    with pytest.raises(LeakageError, match="'textures-p003'"):
        weights.refuse_seen(card, ["textures-p003", "another"], "textures")
    weights.refuse_seen(card, ["another"], "textures")


def test_it_learns_and_all_layers_do(tmp_path):
    log, file, _ = trained(tmp_path, epochs=12)
    assert log["valid_accuracy"].max() > 0.55  # of three classes, one of which is easy to tell
    torch.manual_seed(0)
    first, _ = weights.load_any(trained(tmp_path, "short", epochs=1, learning_rate=1e-12)[1])
    last, _ = weights.load_any(file)
    moved = [name for name, value in first.state_dict().items() if not torch.equal(value, last.state_dict()[name])]
    assert len(moved) == len(first.state_dict())


def test_the_same_again_and_another_with_another_seed_of_names(tmp_path):
    one, two = trained(tmp_path, "one")[0], trained(tmp_path, "two")[0]
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_an_unknown_patient_is_known_by_the_image(tmp_path):
    data = small_grid.make_dataset("textures")
    object.__setattr__(data, "images", data.images.assign(patient_id=None))
    assert people(data) == data.images["sha256"].tolist()


def test_unknown_preprocessing_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"radiology.weights.textures.preprocessing is keras"):
        trained(tmp_path, preprocessing="keras")
