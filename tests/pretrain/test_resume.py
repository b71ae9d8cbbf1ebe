import contextlib
import io
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.pretrain import small_study
from workflow_scripts.lib.pretrain import checkpoint, levels

ROOT = Path(__file__).resolve().parents[2]
NEVER = 10**6
METHODS = ("rnce", "simclr", "everything")
OWNERS = (levels.PatchLevel, small_study.Everything)


class Stopped(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture(autouse=True)
def messages(caplog, monkeypatch):
    for owner in OWNERS:
        monkeypatch.setattr(owner, "step", owner.step)  # restored afterwards
    caplog.set_level(logging.INFO)
    return caplog


def run_process(folder, method, at):
    """Train in another process that kills itself when it begins a step."""
    command = [sys.executable, "-m", "tests.pretrain.small_study", str(folder), method, str(at), "4"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def train_until(folder, at, method="rnce", **changes):
    """Train here and stop without warning when a step begins."""

    def stop():
        raise Stopped

    with interrupted(at, stop), pytest.raises(Stopped):
        small_study.train(folder, method, **changes)


@contextlib.contextmanager
def interrupted(at, act):
    originals = [owner.step for owner in OWNERS]
    small_study.interrupt(at, act)
    yield
    for owner, original in zip(OWNERS, originals, strict=True):
        owner.step = original


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.glob("one.*"))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The results of trainings that nothing happened to: method -> file name -> bytes."""
    results = {}
    for method in METHODS:
        folder = tmp_path_factory.mktemp(method)
        small_study.train(folder, method)
        results[method] = contents(folder)
        assert set(results[method]) >= {"one.safetensors", "one.tsv"}
    return results


# two steps an epoch, a checkpoint every second epoch: after steps 4 and 8
@pytest.mark.parametrize("method", METHODS)
def test_kill_9_leaves_no_trace(tmp_path, undisturbed, messages, method):
    killed = run_process(tmp_path, method, at=6)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert list(tmp_path.glob("checkpoints/*"))
    assert not contents(tmp_path)
    small_study.train(tmp_path, method)
    assert "resumed at epoch 2, step 0" in messages.text
    assert contents(tmp_path) == undisturbed[method]


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_every_optimizer_goes_on_where_it_was(tmp_path, optimizer):
    small_study.train(tmp_path / "undisturbed", "everything", optimizer=optimizer)
    train_until(tmp_path / "stopped", at=6, method="everything", optimizer=optimizer)
    small_study.train(tmp_path / "stopped", "everything", optimizer=optimizer)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "undisturbed")


@pytest.mark.parametrize("at", [4, 6, 7])
def test_early_stopping_stops_where_it_would_have(tmp_path, at):
    options = {"patience": 2, "epochs": 8, "checkpoint_epochs": 1}
    small_study.train(tmp_path / "undisturbed", "everything", **options)
    rows = pd.read_csv(tmp_path / "undisturbed/one.tsv", sep="\t")
    assert 3 <= len(rows) < 8 and not rows["chosen"].iloc[-2:].any()
    train_until(tmp_path / "stopped", at=min(at, 2 * len(rows)), method="everything", **options)
    small_study.train(tmp_path / "stopped", "everything", **options)
    assert contents(tmp_path / "stopped") == contents(tmp_path / "undisturbed")


def test_what_is_resumed_is_all_needed(tmp_path, undisturbed):
    """Each thing that a checkpoint holds matters: without it the result is another."""
    rows = pd.read_csv(io.BytesIO(undisturbed["everything"]["one.tsv"]), sep="\t")
    assert rows["chosen"].tolist().index(True) < 2  # before the checkpoint from which runs are resumed
    assert rows["skipped"].notna().any()
    train_until(tmp_path, at=6, method="everything")
    (file,) = tmp_path.glob("checkpoints/*")
    with safe_open(file, framework="pt") as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a mapping)
        header = stream.metadata()
    assert {name.split(".")[0] for name in tensors} == {"model", "optimizer", "ema", "best"}
    for part in ("model", "optimizer", "ema", "best"):
        spoilt = {
            name: tensor + 0.01 if name.startswith(part) and tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()
        }
        save_file(spoilt, file, metadata=header)
        small_study.train(tmp_path, "everything")
        spoils_weights = part == "best"  # what comes after an early best epoch shows in the log alone
        for name, shows in (("one.safetensors", spoils_weights), ("one.tsv", not spoils_weights)):
            assert (contents(tmp_path)[name] != undisturbed["everything"][name]) == shows, (part, name)


def test_curves_have_each_epoch_once_after_a_kill(tmp_path):
    train_until(tmp_path, at=6, method="everything", checkpoint_epochs=1)
    train_until(tmp_path, at=2, method="everything", checkpoint_epochs=1)
    small_study.train(tmp_path, "everything", checkpoint_epochs=1)
    events = EventAccumulator(str(tmp_path / "curves"))
    events.Reload()
    assert [event.step for event in events.Scalars("valid/criterion")] == [1, 2, 3, 4]


def test_when_checkpoints_are_written_may_change(tmp_path, undisturbed, messages):
    train_until(tmp_path, at=6, method="everything", checkpoint_epochs=1)
    small_study.train(tmp_path, "everything", checkpoint_minutes=3.0)
    assert "resumed at epoch 2, step 0" in messages.text
    assert contents(tmp_path) == undisturbed["everything"]


def test_a_fused_optimizer_goes_on_where_it_was(tmp_path):
    """As on a GPU, where its step counts are tensors."""

    def make(model):
        return checkpoint.Run(model, torch.optim.AdamW(model.parameters(), lr=0.1, fused=True))

    def step(run, number):
        for place, p in enumerate(run.model.parameters()):
            p.grad = torch.full_like(p, number + place)
        run.optimizer.step()

    runs = [make(torch.nn.Linear(3, 2)) for _ in range(2)]
    for number in range(3):
        step(runs[0], number)
    checkpoint.save(tmp_path / "c", runs[0], "x")
    runs[0].at.epoch = 1
    checkpoint.save(tmp_path / "c", runs[0], "x")
    checkpoint.resume(tmp_path / "c", runs[1], "x")
    for run in runs:
        step(run, 5)
    assert runs[1].at.epoch == 1
    for p, q in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_another_number_of_processes_resumes_with_a_warning(tmp_path, messages):
    model = torch.nn.Linear(1, 1)
    run = checkpoint.Run(model, torch.optim.SGD(model.parameters(), lr=0.1))
    run.at = checkpoint.Progress(epoch=3, processes=4)
    checkpoint.save(tmp_path / "c", run, "x")
    other = checkpoint.Run(torch.nn.Linear(1, 1), run.optimizer)
    checkpoint.resume(tmp_path / "c", other, "x")
    assert torch.equal(other.model.weight, model.weight)
    assert (other.at.epoch, other.at.processes) == (3, 1)
    assert "written by 4 processes, now there are 1" in messages.text


def test_a_run_without_checkpoint_starts_anew(tmp_path, undisturbed):
    train_until(tmp_path, at=3)
    assert not list(tmp_path.glob("checkpoints/*"))
    small_study.train(tmp_path, "rnce")
    assert contents(tmp_path) == undisturbed["rnce"]


@pytest.mark.parametrize("method", ["rnce", "everything"])
def test_sigterm_writes_a_checkpoint_in_the_middle_of_an_epoch(tmp_path, undisturbed, messages, method):
    def ask():
        os.kill(os.getpid(), signal.SIGTERM)

    for at, found in ((3, None), (3, "resumed at epoch 1, step 1"), (NEVER, "resumed at epoch 2, step 2")):
        messages.clear()
        with interrupted(at, ask):
            if at == NEVER:
                small_study.train(tmp_path, method)
            else:
                with pytest.raises(SystemExit) as stopped:
                    small_study.train(tmp_path, method)
                assert stopped.value.code == 143
        assert found is None or found in messages.text
    assert contents(tmp_path) == undisturbed[method]
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
