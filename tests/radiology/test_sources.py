import dataclasses
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from tests.radiology import small_grid
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.radiology import augment, sources
from workflow_scripts.lib.radiology.job import refuse_shared
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.radiology import pretrain_backbone

ENTRY = {"kind": "trained", "dataset": "textures", "epochs": 4, "batch": 16, "learning_rate": 0.01}


def trained(folder, name="weights", data=None, *, source=None, splits=0, **changes):
    """Train; ``source`` changes what is no part of the entry, ``splits`` is the seed of the split."""
    data = data or small_grid.make_dataset("textures", classes=3)
    names = {"weights": "textures", "backbone": "tiny", "sizes": small_grid.BACKBONES["tiny"], "seed": 1, "code": "a"}
    source = sources.Source(entry={**ENTRY, **changes}, moves=augment.Moves(), **{**names, **(source or {})})
    splits = small_grid.make_splits(data, seed=splits)
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
    assert not any(name in str(card) for name in [*data.images["patient_id"], *data.images["sha256"]])
    assert len(card["participants"]) == 30 + 60  # patients and images
    with pytest.raises(LeakageError, match=r"30 patients, 60 images of dataset 'textures' trained them"):
        refuse_shared(card, data, "them")
    refuse_shared(card, small_grid.make_dataset("other", sha="f"), "them")


def test_it_learns_and_all_layers_do(tmp_path):
    log, file, _ = trained(tmp_path, epochs=12)
    assert log["valid_accuracy"].max() > 0.55  # of three classes, one of which is easy to tell
    torch.manual_seed(0)
    first, _ = weights.load_any(trained(tmp_path, "short", epochs=1, learning_rate=1e-12)[1])
    last, _ = weights.load_any(file)
    moved = [name for name, value in first.state_dict().items() if not torch.equal(value, last.state_dict()[name])]
    assert len(moved) == len(first.state_dict())


def test_the_same_again_and_another_with_another_seed_of_names(tmp_path):
    one, file, _ = trained(tmp_path, "one", epochs=2)
    two, again, _ = trained(tmp_path, "two", epochs=2)
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert file.read_bytes() == again.read_bytes()
    for name, change in (("seed", {"seed": 2}), ("weights", {"weights": "shapes"}), ("backbone", {"backbone": "twin"})):
        other, file, _ = trained(tmp_path, name, epochs=2, source=change)
        assert other["loss"][0] != one["loss"][0] and file.read_bytes() != again.read_bytes(), name


class Killed(BaseException):
    """Nothing catches it."""


def kill(folder, epoch, **changes):
    """Train with a checkpoint an epoch, and die in this epoch or a later one; tells in which."""
    schedule, step = sources.Source.schedule.fget, sources.SourceLevel.step

    def breaking(level, rows, generator):
        if level.epoch >= epoch:
            raise Killed(level.epoch)
        return step(level, rows, generator)

    with pytest.MonkeyPatch.context() as patched:
        often = property(lambda source: dataclasses.replace(schedule(source), checkpoint_epochs=1))
        patched.setattr(sources.Source, "schedule", often)
        patched.setattr(sources.SourceLevel, "step", breaking)
        with pytest.raises(Killed) as died:
            trained(folder, "killed", **changes)
    assert not (folder / "killed.safetensors").exists()
    return died.value.args[0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of the second of four epochs."""
    folder = tmp_path_factory.mktemp("killed")
    assert kill(folder, 2) == 2
    return folder / "killed.ck.safetensors"


def test_an_interrupted_training_goes_on_and_gives_the_same_bytes(tmp_path, checkpoint):
    right, whole, _ = trained(tmp_path, "whole")
    shutil.copy(checkpoint, tmp_path)
    assert kill(tmp_path, 0, title="which no number depends on") == 2  # the first step was of the third epoch
    log, file, _ = trained(tmp_path, "killed")
    pd.testing.assert_frame_equal(log, right, check_exact=True)
    assert file.read_bytes() == whole.read_bytes()
    assert weights.card_path(file).read_text() == weights.card_path(whole).read_text()


def textures(**columns):
    data = small_grid.make_dataset("textures", classes=3)
    return dataclasses.replace(data, images=data.images.assign(**columns))


@pytest.mark.parametrize(
    "change",
    [
        {"splits": 1},  # other images train
        {"source": {"sizes": {**small_grid.BACKBONES["tiny"], "planes": [4, 4, 6, 12]}}},
        {"source": {"code": "b"}},
        {"data": textures(image_id=[f"new{row:03d}" for row in range(60)])},  # other draws of moves
        {"data": textures(y=lambda table: 2 - table["y"])},
        {"weight_decay": 0.5},
    ],
    ids=["rows", "sizes", "code", "image ids", "classes", "entry"],
)
def test_a_checkpoint_of_another_training_is_left_aside(tmp_path, checkpoint, change):
    shutil.copy(checkpoint, tmp_path)
    assert kill(tmp_path, 0, **change) == 0


def test_the_script_reads_what_its_backbone_needs(tmp_path):
    """The same as the library gives, with nothing of the config but its own backbone and source."""
    log, file, data = trained(tmp_path, "library", epochs=1)
    images, splits = small_grid.write_dataset(tmp_path, data, ["a", "b", "c"])
    made = {"weights": tmp_path / "script.safetensors", "rows": tmp_path / "log.tsv"}
    params = {"entry": {**ENTRY, "epochs": 1}, "backbone": small_grid.BACKBONES["tiny"], "seed": 1, "code": "a"}
    params["dataset"] = {"kind": "table", "path": "t.tsv", "classes": {"a": 0, "b": 1, "c": 2}}
    params["augmentation"] = vars(augment.Moves())
    params["checkpoint"] = str(tmp_path / "script.ck.safetensors")
    spaces = {"input": {"images": images, "splits": splits}, "output": made, "params": params}
    spaces["wildcards"] = {"weights": "textures", "backbone": "tiny"}
    spaces = {name: SimpleNamespace(**of) for name, of in spaces.items()}
    pretrain_backbone.main(SimpleNamespace(**spaces, threads=1))
    assert made["weights"].read_bytes() == file.read_bytes()
    assert pd.read_csv(made["rows"], sep="\t")["loss"][0] == pytest.approx(log["loss"][0])


def test_unknown_preprocessing_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"radiology.weights.textures.preprocessing is keras"):
        trained(tmp_path, preprocessing="keras")
