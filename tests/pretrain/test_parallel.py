import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pretrain import parallel_jobs as jobs
from workflow_scripts.lib.pretrain import parallel, processes
from workflow_scripts.lib.study.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return jobs.everything(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The same in two processes over gloo; one start for all tests, since it takes seconds."""
    return parallel.launch(jobs.everything, 2, tmp_path_factory.mktemp("two"))


@pytest.mark.parametrize("loss", jobs.LOSSES)
def test_two_processes_train_as_one_with_the_joint_batch(one, two, loss):
    (rows, state), (other_rows, other_state) = one["runs"][loss], two["runs"][loss]
    assert [row.keys() for row in rows] == [row.keys() for row in other_rows]
    for row, other in zip(rows, other_rows, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-5)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1  # it has moved, and so have all weights
    start = jobs.Views(loss).state_dict()
    for name, value in state.items():
        if name == "head.1.running_var" and loss != "mean of own rows":
            continue  # behind gather: see synchronise_norms
        torch.testing.assert_close(value, other_state[name], rtol=0, atol=1e-5)
        # a bias in front of a normalisation, or of centring, has no gradient
        assert not torch.equal(value, start[name]) or name in ("head.0.bias", "encoder.4.bias")


def test_normalisations_see_the_joint_batch(one, two):
    for name, results in one["norms"].items():
        for single, joint in zip(results, two["norms"][name], strict=True):
            torch.testing.assert_close(single, joint, rtol=1e-5, atol=1e-5, msg=lambda text, name=name: name + text)


def test_gather_keeps_order_and_kind(two):
    found = two["gathered"]
    assert found["rows"].tolist() == [0, 1, 2, 10, 11, 12]
    assert found["flags"].tolist() == [True, False]
    assert found["matrix"].tolist() == [[0, 3], [1, 4], [2, 5], [10, 13], [11, 14], [12, 15]]
    assert found["share"].tolist() == list(range(10))


def test_shared_draws_are_the_same_and_own_draws_differ(two):
    same, different = two["gathered"]["same"], two["gathered"]["different"]
    assert torch.equal(same[:2], same[2:])
    assert len(different.unique()) == 4


def test_flags_numbers_and_gradients_are_agreed_on(two):
    found = two["gathered"]
    assert found["agreed"] == [True, False]
    assert found["average"] == {"a": 0.5, "b": pytest.approx(0.1, rel=1e-15)}
    weight, bias = found["gradient"]
    assert weight.tolist() == [[0.5, 0.5]] and bias is None
    assert "the checkpoint x is not the same in all processes" in found["refused"]


def test_one_process_changes_nothing(monkeypatch):
    rows, x, generator = np.arange(3), torch.ones(2, requires_grad=True), torch.Generator()
    assert parallel.share(rows) is not None and parallel.share(rows).tolist() == [0, 1, 2]
    assert parallel.gather(x) is x
    assert parallel.local_generator(generator) is generator
    assert (parallel.world_size(), parallel.rank(), parallel.is_first()) == (1, 0, True)
    norm = torch.nn.BatchNorm1d(2)
    parallel.synchronise_norms(norm)
    assert type(norm) is torch.nn.BatchNorm1d
    monkeypatch.delenv("RANK", raising=False)
    parallel.start()
    assert not torch.distributed.is_initialized()
    assert parallel.launch(max, 1, 2, 3) == 3


def test_gpus_have_the_normalisation_of_torch(monkeypatch):
    """Its class takes the place of the module's; without other processes it computes what the module did."""
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    monkeypatch.setattr(parallel.distributed, "get_backend", lambda: "nccl")
    models = [torch.nn.Sequential(torch.nn.Conv3d(1, 3, 3), torch.nn.BatchNorm3d(3)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    parallel.synchronise_norms(models[0])
    parallel.synchronise_norms(models[0])  # a second time changes nothing
    assert type(models[0][1]) is torch.nn.SyncBatchNorm
    x = jobs.draws(2, 1, 4, 4, 4)
    assert torch.equal(models[0](x), models[1](x))
    assert list(models[0].state_dict()) == list(models[1].state_dict())
    parallel.restore_norms(models[0])
    assert type(models[0][1]) is torch.nn.BatchNorm3d and vars(models[0][1]).keys() == vars(models[1][1]).keys()
    assert torch.equal(models[0].eval()(x), models[1].eval()(x))


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(parallel, "world_size", lambda: 2)
    with pytest.raises(StudyError, match=r"batch of 9 images .* 2 processes. Set batch to a multiple of 2"):
        parallel.share(np.arange(9))


def test_each_process_needs_its_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(StudyError, match="4 processes were asked for, but there are 2 GPUs"):
        parallel.launch(max, 4, 1, 2)


@pytest.mark.slow
def test_an_error_the_user_can_mend_comes_back_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StudyError) as found:
        parallel.launch(jobs.fail, 2, "study")
    assert str(found.value) == "batch: found 3: expected 4"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_another_error_comes_back_with_its_traceback():
    with pytest.raises(RuntimeError, match=r"(?s)parallel_jobs.py.*RuntimeError: broken"):
        parallel.launch(jobs.fail, 2, "other")


@pytest.mark.slow
def test_sigterm_is_passed_on_and_the_run_resumes(tmp_path):
    command = [sys.executable, "-m", "tests.pretrain.parallel_jobs", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "epoch 2 of 60" in line:
                process.terminate()
        assert process.wait() == processes.STOPPED, "".join(seen)
    assert (tmp_path / "nt_xent.safetensors").exists()
    assert any("asked to stop" in line for line in seen)
    # what is logged from here on by the first process goes to the log file of this one
    log = tmp_path / "log.txt"
    handler = logging.FileHandler(log)
    logging.getLogger().addHandler(handler)
    try:
        rows, state = parallel.launch(jobs.go_on, 2, tmp_path, 0.0)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    assert "resumed at epoch" in log.read_text() and "epoch 60 of 60" in log.read_text()
    assert "torchelastic" not in log.read_text()
    (tmp_path / "one").mkdir()
    expected_rows, expected = jobs.fit("nt_xent", tmp_path / "one", 60, checkpoint_epochs=60)
    assert len(rows) == len(expected_rows) == 60
    for name, value in expected.items():
        if name != "head.1.running_var":
            torch.testing.assert_close(state[name], value, rtol=0, atol=1e-3, msg=lambda text, name=name: name + text)


@pytest.mark.slow
def test_torchrun_itself_starts_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nimport numpy as np\n"
        "from workflow_scripts.lib.pretrain import parallel\n"
        "def work(): return parallel.share(np.arange(4)).tolist()\n"
        "found = parallel.launch(work, 8)\n"  # the number is torchrun's now
        # a file each: lines of two processes may mix
        "Path(sys.argv[1], f'rank{parallel.rank()}').write_text(f'{parallel.world_size()} {found}')\n"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)] == ["2 [0, 1]", "2 [2, 3]"]
