"""Networks that read whole volumes: what a step computes, which scans take part, and that a kill leaves no trace."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.pretrain import small_volumes
from workflow_scripts.lib.models.weights import load_any
from workflow_scripts.lib.pretrain import genesis, losses, multitask, targets, volume_runs, volumes
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.pretrain.encoders import Encoder, embed_scans
from workflow_scripts.lib.pretrain.intervals import Bootstrap
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.ids import participant_hash

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
PEOPLE = small_volumes.people()
FILES = ("w.safetensors", "w.json", "w.tsv")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def source(tmp_path, name, shape, rule="stored"):
    shards = small_volumes.write_store(tmp_path / name, name, shape)
    return PatchSource(shards, name, PEOPLE["scan_id"].tolist(), CPU, rule=rule)


def run_process(folder, method, at=small_volumes.NEVER):
    command = [sys.executable, "-m", "tests.pretrain.small_volumes", str(folder), method, str(at)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("method", ["genesis", "lssl", "multitask", "rnce", "barlow"])
def test_kill_9_leaves_no_trace(tmp_path, method):
    small_volumes.train(tmp_path / "undisturbed", method)
    expected = {name: (tmp_path / "undisturbed" / name).read_bytes() for name in FILES}
    folder = tmp_path / "killed"
    # in the second epoch: R-NCE has one step in each, the others two or more
    killed = run_process(folder, method, at={"rnce": 2, "lssl": 3}.get(method, 5))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(folder.glob("checkpoints/*")) and not (folder / "w.safetensors").exists()
    resumed = run_process(folder, method)
    assert resumed.returncode == 0, resumed.stderr
    assert {name: (folder / name).read_bytes() for name in FILES} == expected


def test_genesis_step_is_the_error_of_what_is_rebuilt(tmp_path):
    cubes = source(tmp_path, "cube", (16, 16, 16), "unit")
    level = volumes.GenesisLevel(small_volumes.settings("genesis"), cubes)
    rows = np.array([4, 2, 9])
    loss, report = level.step(rows, generator(3))
    inputs, wanted = genesis.distort(cubes.batch(rows), genesis.Genesis(), generator(3))
    assert not torch.allclose(inputs, wanted)
    expected = functional.mse_loss(level.network(inputs), wanted)
    torch.testing.assert_close(loss, expected)
    assert report["reconstruction"] == pytest.approx(expected.item())


def test_lssl_step_turns_both_scans_of_a_pair_alike(tmp_path):
    cubes = source(tmp_path, "cube", (16, 16, 16), "zscore")
    pairs = np.array([[3, 3], [5, 5]])
    level = volumes.LongitudinalLevel(small_volumes.settings("lssl"), cubes, pairs)
    seen = []
    level.network.encode = lambda images: seen.append(images) or torch.zeros(len(images), 8)
    level.step(np.array([1, 0]), generator())
    earlier, later = seen[0].chunk(2)
    # the same scan twice: turned alike, it is the same still, and it was turned
    torch.testing.assert_close(earlier, later)
    assert not torch.allclose(earlier, cubes.batch(np.array([5, 3])), atol=0.1)


def test_lssl_step_is_the_loss_of_its_pairs(tmp_path):
    cubes = source(tmp_path, "cube", (16, 16, 16), "zscore")
    still = small_volumes.settings("lssl")
    still = type(still)(**{**vars(still), "augmentation": type(still.augmentation)()})
    level = volumes.LongitudinalLevel(still, cubes, np.array([[0, 1], [2, 3], [4, 5]]))
    loss, _ = level.step(np.array([2, 0]), generator())
    earlier, later = cubes.batch(np.array([4, 0])), cubes.batch(np.array([5, 1]))
    both = torch.cat([earlier, later])
    z = level.network.encode(both)
    expected, _ = losses.lssl(*z.chunk(2), level.network.direction, level.network.decode(z), both, 1.0)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)


def test_lssl_uses_pairs_of_one_participant_alone(tmp_path):
    small_volumes.train(tmp_path, "lssl", epochs=1)
    _, card = load_any(tmp_path / "w.safetensors")
    assert card["scans"] == small_volumes.SCANS
    with pytest.raises(StudyError, match="visits"):
        one = PEOPLE.drop_duplicates("participant_id").assign(set="train")
        shards = small_volumes.write_store(tmp_path / "s", "cube", (16, 16, 16))
        volume_runs.train_volume(
            small_volumes.settings("lssl"), "cube", shards, one, None, tmp_path / "c", tmp_path / "x.safetensors"
        )


def test_a_batch_without_labels_changes_nothing(tmp_path):
    whole = source(tmp_path, "whole", (32, 32, 32))
    wanted = small_volumes.settings("multitask")
    values, _ = multitask.encode(PEOPLE, wanted.method.targets)
    level = volumes.MultitaskLevel(wanted, whole, whole, np.full_like(values, np.nan), values)
    loss, report = level.step(np.arange(3), generator())
    assert loss.item() == 0 and set(report) == {"loss_age", "loss_sex", "loss_bmi", "loss_neuroticism"}
    loss.backward()
    assert all(not p.grad.any() for p in level.parameters() if p.grad is not None)


def test_volumes_are_shifted_by_whole_voxels():
    volume = torch.zeros(60, 1, 9, 9, 9)
    volume[:, :, 4, 4, 4] = 1
    moved = volumes.shift(volume, 2, generator())
    places = (moved == 1).nonzero()[:, 2:] - 4
    assert len(places) == 60
    assert places.min() == -2 and places.max() == 2
    assert len(torch.unique(places, dim=0)) > 30


def test_multitask_predicts_every_scan_and_scores_sets(tmp_path):
    rows = small_volumes.train(tmp_path, "multitask")
    assert rows["chosen"].sum() == 1 and rows["valid_criterion"].idxmin() == rows["chosen"].idxmax()
    network, card = load_any(tmp_path / "w.safetensors")
    wanted = small_volumes.settings("multitask").method.targets
    sets = volume_runs.hold_out(PEOPLE.assign(set="train"), 0.3, 1, "multitask")
    # one scan of somebody who trained the network is somebody else's now, whom it has never seen
    scans, own = PEOPLE.assign(cohort="a"), sets.loc[sets["set"] == "train", "scan_id"].iloc[0]
    scans.loc[scans["scan_id"] == own, "participant_id"] = "stranger"
    sets = sets[sets["scan_id"] != own]
    encoder = Encoder.from_card(network, card, "w")
    table = targets.predict_scans(encoder, [tmp_path / "store"], scans, sets, wanted, card["statistics"], CPU)
    assert len(table) == small_volumes.SCANS * 4
    counts = table.groupby("set")["scan_id"].nunique().to_dict()
    assert counts == {"train": 7, "validation": 2, "unused": 2, "test": 1}
    ages = table[table["target"] == "age"]
    assert ages["prediction"].between(42.5, 87.5).all()
    assert table.loc[table["target"] == "sex", "prediction"].between(0, 1).all()
    found = targets.score_sets(table, wanted, card["statistics"], Bootstrap(1, 20))
    scores = found.set_index(["set", "target", "metric"])["value"]
    known = ages[ages["set"] == "train"]
    assert scores["train", "age", "mae"] == pytest.approx((known["y"] - known["prediction"]).abs().mean())
    assert np.isnan(scores["train", "neuroticism", "mae"])
    assert card["participants"] == sorted(map(participant_hash, PEOPLE["participant_id"].unique()))


def test_validation_participants_keep_their_first_scan_and_train_nothing():
    sets = volume_runs.hold_out(PEOPLE, 0.3, 1, "m")
    validation, training = (set(sets.loc[sets["set"] == name, "participant_id"]) for name in ("validation", "train"))
    assert len(validation) == 2 and not validation & training
    held = sets[sets["set"] == "validation"]
    assert held["scan_id"].str.endswith("_1").all() and not held["participant_id"].duplicated().any()
    assert volume_runs.hold_out(PEOPLE, 0.3, 1, "m").equals(sets)
    with pytest.raises(StudyError, match="nobody is left"):
        volume_runs.hold_out(PEOPLE.iloc[:2], 0.3, 1, "m")


def test_untrained_networks_are_a_representation_too(tmp_path):
    rows = small_volumes.train(tmp_path, "random")
    assert rows.empty
    network, card = load_any(tmp_path / "w.safetensors")
    table = embed_scans(Encoder.from_card(network, card, "w"), [tmp_path / "store"], PEOPLE, CPU, "random")
    assert table.shape == (small_volumes.SCANS, 6)
    assert table.filter(like="random_").std().min() > 0
