import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pretrain import small_study
from workflow_scripts.lib.pretrain import checkpoint, levels

ROOT = Path(__file__).resolve().parents[2]
NEVER = 10**6


class Stopped(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def messages(caplog, monkeypatch):
    monkeypatch.setattr(levels.PatchLevel, "step", levels.PatchLevel.step)  # restored afterwards
    caplog.set_level(logging.INFO)
    return caplog


def run_process(folder, method, at=NEVER):
    """Train in another process that kills itself when it begins a step."""
    command = [sys.executable, "-m", "tests.pretrain.small_study", str(folder), method, str(at), "4"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def train_until(folder, at, method="rnce", **changes):
    """Train here and stop without warning when a step begins."""
    original = levels.PatchLevel.step

    def stop():
        raise Stopped

    small_study.interrupt(at, stop)
    with pytest.raises(Stopped):
        small_study.train(folder, method, **changes)
    levels.PatchLevel.step = original


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.glob("one.*"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of trainings that nothing happened to: method -> file name -> bytes."""
    results = {}
    for method in ("rnce", "simclr"):
        folder = tmp_path_factory.mktemp(method)
        small_study.train(folder, method)
        results[method] = contents(folder)
        assert set(results[method]) == {"one.safetensors", "one.json", "one.tsv"}
    return results


# two steps an epoch, a checkpoint every second epoch: after steps 4 and 8
@pytest.mark.parametrize("method", ["rnce", "simclr"])
def test_kill_9_leaves_no_trace(tmp_path, undisturbed, method):
    killed = run_process(tmp_path, method, at=6)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.glob("checkpoints/*"))
    assert not contents(tmp_path)
    resumed = run_process(tmp_path, method)
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at epoch 2, step 0" in resumed.stdout
    assert contents(tmp_path) == undisturbed[method]


def test_a_run_without_checkpoint_starts_anew(tmp_path, undisturbed):
    train_until(tmp_path, at=3)
    assert not list(tmp_path.glob("checkpoints/*"))
    small_study.train(tmp_path, "rnce")
    assert contents(tmp_path) == undisturbed["rnce"]


def test_sigterm_writes_a_checkpoint_in_the_middle_of_an_epoch(tmp_path, undisturbed, messages):
    def ask():
        os.kill(os.getpid(), signal.SIGTERM)

    for at, found in ((3, None), (3, "resumed at epoch 1, step 1"), (NEVER, "resumed at epoch 2, step 2")):
        messages.clear()
        original = levels.PatchLevel.step
        small_study.interrupt(at, ask)
        if at == NEVER:
            small_study.train(tmp_path, "rnce")
        else:
            with pytest.raises(SystemExit) as stopped:
                small_study.train(tmp_path, "rnce")
            assert stopped.value.code == 143
        levels.PatchLevel.step = original
        assert found is None or found in messages.text
    assert contents(tmp_path) == undisturbed["rnce"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_finished_training_repeats_itself_at_no_cost(tmp_path, undisturbed):
    small_study.train(tmp_path, "rnce")
    for file in tmp_path.glob("one.*"):
        file.unlink()
    small_study.interrupt(1, lambda: pytest.fail("a step was taken"))
    small_study.train(tmp_path, "rnce")
    assert contents(tmp_path) == undisturbed["rnce"]


@pytest.mark.parametrize("change", [{"epochs": 3}, {"seed": 2}, {"learning_rate": 0.001}, {"batch": 17}])
def test_another_config_does_not_resume(tmp_path, undisturbed, messages, change):
    train_until(tmp_path, at=6, **change)
    small_study.train(tmp_path, "rnce")
    assert "training starts anew" in messages.text
    assert contents(tmp_path) == undisturbed["rnce"]


def test_other_patches_do_not_resume(tmp_path, undisturbed, messages, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(small_study, "SHAPE", (6, 7, 9))
        train_until(tmp_path, at=6)
    small_study.train(tmp_path, "rnce")
    assert "training starts anew" in messages.text
    assert contents(tmp_path) == undisturbed["rnce"]


def test_a_damaged_checkpoint_is_set_aside(tmp_path, undisturbed, messages):
    train_until(tmp_path, at=6)
    (file,) = tmp_path.glob("checkpoints/*")
    file.write_bytes(file.read_bytes()[:1000])
    small_study.train(tmp_path, "rnce")
    assert "is damaged" in messages.text
    assert contents(tmp_path) == undisturbed["rnce"]


def test_seed_decides(tmp_path, undisturbed):
    small_study.train(tmp_path, "rnce", seed=2)
    for name in ("one.safetensors", "one.tsv"):
        assert contents(tmp_path)[name] != undisturbed["rnce"][name]


def test_methods_differ(undisturbed):
    assert undisturbed["rnce"]["one.safetensors"] != undisturbed["simclr"]["one.safetensors"]


@pytest.mark.parametrize("key", ["config", "code", "scans"])
def test_identity_sees_every_part(key):
    identity = {"config": {"batch": 96}, "code": "abc", "scans": ["a_1", "b_1"]}
    changed = {**identity, key: "other"}
    assert checkpoint.identity_hash(identity) != checkpoint.identity_hash(changed)
    assert checkpoint.identity_hash(identity) == checkpoint.identity_hash(dict(reversed(identity.items())))
