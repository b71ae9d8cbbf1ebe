"""Optimisers and rates of the 2D transfer arm: torch's own, written out beside the schedule's."""

import numpy as np
import pytest
import torch

from workflow_scripts.lib.pretrain.loop import train
from workflow_scripts.lib.pretrain.optimize import Schedule
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

BASE = {"epochs": 5, "batch": 4, "learning_rate": 0.01, "warmup": 0.0, "decay_all": True, "keep_last": True}
DECAYS = {
    "beta": lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
    "epoch cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5, 0.01 / 5),
    "none": lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0),
}
OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1, momentum=0.9, nesterov=True),
}


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 1))


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_is_what_torch_would_do(tmp_path, optimizer, decay):
    """Epochs of 4, 4 and 2 of 10 scans; torch's optimiser and its scheduler, stepped each epoch."""
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(1))
    y = x.sum(1, keepdim=True)
    schedule = Schedule(**BASE, optimizer=optimizer, weight_decay=0.1, nesterov=optimizer == "sgd", decay=decay)
    model, plain = network(), network()
    keys, file = (1, "m"), tmp_path / "c.safetensors"
    log = train(
        model,
        lambda rows, _: ((model(x[rows]) - y[rows]).square().mean(), {}),
        10,
        schedule,
        keys,
        torch.device("cpu"),
        file,
        {},
    )
    right = OPTIMIZERS[optimizer](plain.parameters())
    falls = DECAYS[decay](right)
    for epoch in range(5):
        assert log[epoch]["learning_rate"] == pytest.approx(right.param_groups[0]["lr"], rel=1e-12)
        order = seeds.generator(*keys, "order", epoch).permutation(10)
        for rows in (order[:4], order[4:8], order[8:]):
            right.zero_grad()
            (plain(x[rows]) - y[rows]).square().mean().backward()
            right.step()
        falls.step()
    assert [row["steps"] for row in log] == [3] * 5
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("scans", "steps"), [(8, 2), (9, 2), (10, 3), (3, 1), (4, 1), (5, 1)])
def test_a_last_batch_counts_unless_it_is_a_single_image(scans, steps):
    assert Schedule(**BASE).steps(scans) == steps
    assert Schedule(**{**BASE, "keep_last": False}).steps(scans) == max(1, scans // 4)


def test_frozen_parameters_are_left_alone(tmp_path):
    model = network()
    model[0].requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    schedule = Schedule(**BASE, optimizer="adam", weight_decay=0.5)
    made = schedule.make_optimizer(model)
    assert sum(p.numel() for group in made.param_groups for p in group["params"]) == 5 + 5 + 6
    x = torch.randn(8, 3)
    train(
        model,
        lambda rows, _: (model(x[rows]).mean(), {}),
        8,
        schedule,
        (1,),
        torch.device("cpu"),
        tmp_path / "c.safetensors",
        {},
    )
    after = model.state_dict()
    assert torch.equal(before["0.weight"], after["0.weight"]) and not torch.equal(before["2.weight"], after["2.weight"])


def test_cosine_by_epochs_stays_above_a_fifth_and_beta_does_not():
    """Of the peak summed over five epochs: 3.40 and 1.94, as counted from the published code."""
    sums = {}
    for decay in ("epoch cosine", "beta"):
        schedule = Schedule(**BASE, decay=decay)
        rates = np.array([schedule.rate(step, 50) for step in range(50)]).reshape(5, 10)
        assert (np.ptp(rates, axis=1) == 0).all() and rates[0, 0] == 0.01
        sums[decay] = rates[:, 0].sum() / 0.01
    assert sums == {"epoch cosine": pytest.approx(3.40, abs=0.005), "beta": pytest.approx(1.94, abs=0.005)}


def test_warm_up_goes_before_a_rate_by_epochs():
    schedule = Schedule(**{**BASE, "warmup": 0.1}, decay="none")
    assert [schedule.rate(step, 50) for step in (0, 1, 4, 5, 49)] == pytest.approx([0.002, 0.004, 0.01, 0.01, 0.01])


def test_schedules_of_before_keep_their_identity():
    """Checkpoints and fits made before these settings existed are still known: none of them is in the hash."""
    found = Schedule(epochs=1, batch=2, learning_rate=1.0).identity
    assert set(found) == {
        *("epochs", "batch", "learning_rate", "optimizer", "weight_decay", "momentum", "warmup", "clip", "ema"),
        *("compile", "validate_epochs", "patience"),
    }
    for change in ({"nesterov": True}, {"decay": "beta"}, {"beta": 0.9}, {"decay_all": True}, {"keep_last": True}):
        assert Schedule(epochs=1, batch=2, learning_rate=1.0, **change).identity == {**found, **change}


def test_the_end_needs_no_checkpoint(tmp_path):
    model, x = network(), torch.randn(8, 3)
    for end in (True, False):
        schedule, file = Schedule(**BASE, checkpoint_end=end), tmp_path / f"{end}.safetensors"
        train(model, lambda rows, _: (model(x[rows]).mean(), {}), 8, schedule, (1,), torch.device("cpu"), file, {})
        assert file.exists() == end


def test_each_step_is_told_its_epoch(tmp_path):
    model, x, told = network(), torch.randn(8, 3), []
    schedule = Schedule(**{**BASE, "epochs": 2})
    step = lambda rows, _: (model(x[rows]).mean(), {})  # noqa: E731
    train(model, step, 8, schedule, (1,), torch.device("cpu"), tmp_path / "c.safetensors", {}, tell=told.append)
    assert told == [0, 0, 1, 1]


@pytest.mark.parametrize("wrong", [{"decay": "step"}, {"beta": 0.0}, {"beta": 1.5}])
def test_impossible_rates_are_refused(wrong):
    with pytest.raises(StudyError, match="decay must be one of"):
        Schedule(**{**BASE, **wrong})


@pytest.mark.parametrize("momentum", [0.0, 0])
def test_nesterov_without_momentum_is_refused(momentum):
    with pytest.raises(StudyError, match="nesterov needs a momentum above 0, found 0"):
        Schedule(**BASE, optimizer="sgd", nesterov=True, momentum=momentum)
    for change in ({"nesterov": False}, {"nesterov": True, "momentum": 0.5}, {"nesterov": True, "optimizer": "adam"}):
        made = Schedule(**{**BASE, "optimizer": "sgd", "momentum": momentum, **change}).make_optimizer(network())
        assert type(made).__name__.lower() == change.get("optimizer", "sgd")
