import numpy as np
import pytest
import torch

from workflow_scripts.lib.pretrain.loop import Schedule, train
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")


def fit(tmp_path, step, model=None, scans=10, **changes):
    schedule = Schedule(**{"epochs": 3, "batch": 4, "learning_rate": 0.1, **changes})
    model = model or torch.nn.Linear(1, 1)
    return train(model, step, scans, schedule, (1, "m", "patch", "p"), CPU, tmp_path / "c.safetensors", {})


def test_each_epoch_takes_full_batches_in_a_new_order(tmp_path):
    model, seen = torch.nn.Linear(1, 1), []

    def step(rows, _):
        seen.append(rows)
        return model.weight.sum(), {}

    rows = fit(tmp_path, step, model)
    assert [row["steps"] for row in rows] == [2, 2, 2]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    epochs = np.array(seen).reshape(3, 8)
    assert all(len(set(epoch)) == 8 for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3


def test_fewer_scans_than_a_batch_are_one_batch(tmp_path):
    model, seen = torch.nn.Linear(1, 1), []
    fit(tmp_path, lambda rows, _: (seen.append(len(rows)), (model.weight.sum(), {}))[1], model, scans=3)
    assert seen == [3, 3, 3]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_it_minimises(tmp_path, optimizer):
    model = torch.nn.Linear(2, 1)
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([[1.0], [-2.0]]) + 0.5

    def step(rows, _):
        return (model(x[rows]) - y[rows]).square().mean(), {}

    rows = fit(tmp_path, step, model, epochs=80, batch=10, optimizer=optimizer, weight_decay=0)
    assert rows[-1]["loss"] < 0.01 * rows[0]["loss"]


def test_rate_rises_then_falls_to_nothing():
    schedule = Schedule(epochs=1, batch=2, learning_rate=0.5, warmup=0.1)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert int(np.argmax(rates)) in (9, 10)
    assert max(rates) == pytest.approx(0.5)
    assert (np.diff(rates[10:]) < 0).all()
    assert 0 < rates[-1] < 0.001
    assert all(Schedule(epochs=1, batch=2, learning_rate=0.5).rate(0, steps) > 0 for steps in (1, 2, 3))


def test_biases_do_not_decay():
    decays = {
        parameter.dim(): group["weight_decay"]
        for group in Schedule(epochs=1, batch=2, learning_rate=1, weight_decay=0.3)
        .make_optimizer(torch.nn.Linear(2, 2))
        .param_groups
        for parameter in group["params"]
    }
    assert decays == {2: 0.3, 1: 0.0}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_with_its_place(tmp_path, value):
    model, calls = torch.nn.Linear(1, 1), []

    def step(rows, _):
        calls.append(1)
        return model.weight.sum() * (value if len(calls) == 4 else 1.0), {}

    with pytest.raises(StudyError, match=r"epoch 2, step 2: the loss is (nan|-?inf)"):
        fit(tmp_path, step, model)


def test_a_failed_projection_is_an_error_with_its_place(tmp_path):
    with pytest.raises(StudyError, match="epoch 1, step 1: the projection failed"):
        fit(tmp_path, lambda *_: torch.linalg.cholesky(-torch.eye(3)))


def test_collapse_is_warned_of_and_an_error_at_the_end(tmp_path, caplog):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(StudyError, match="collapse"):
        fit(tmp_path, lambda *_: (model.weight.sum(), {"uniformity": 0.0}), model)
    assert caplog.text.count("the same representation in epoch") == 3


@pytest.mark.parametrize("wrong", [{"optimizer": "lbfgs"}, {"epochs": 0}, {"batch": 1}, {"checkpoint_epochs": 0}])
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(StudyError):
        Schedule(**{"epochs": 1, "batch": 2, "learning_rate": 1, **wrong})
