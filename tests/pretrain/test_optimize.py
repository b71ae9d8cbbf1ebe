import numpy as np
import pytest
import torch

from workflow_scripts.lib.pretrain.optimize import LARS_REST, Lars, Schedule
from workflow_scripts.lib.study.errors import StudyError


def test_rate_rises_then_falls_to_nothing():
    schedule = Schedule(epochs=1, batch=2, learning_rate=0.5, warmup=0.1)
    rates = [schedule.rate(step, 100) for step in range(100)]
    assert int(np.argmax(rates)) in (9, 10)
    assert max(rates) == pytest.approx(0.5)
    assert (np.diff(rates[10:]) < 0).all()
    assert 0 < rates[-1] < 0.001
    assert all(Schedule(epochs=1, batch=2, learning_rate=0.5).rate(0, steps) > 0 for steps in (1, 2, 3))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_biases_do_not_decay(optimizer):
    schedule = Schedule(epochs=1, batch=2, learning_rate=1, weight_decay=0.3, optimizer=optimizer)
    made = schedule.make_optimizer(torch.nn.Linear(2, 2))
    found = {p.dim(): (group["weight_decay"], group["scale"]) for group in made.param_groups for p in group["params"]}
    assert found == {2: (0.3, 1.0), 1: (0.0, LARS_REST if optimizer == "lars" else 1.0)}


def lars_by_hand(weights, gradients, rate, momentum, decay, eta):
    """The algorithm as Barlow Twins' authors use it, one tensor after the other, in float64."""
    velocities = [np.zeros_like(w) for w in weights]
    for step in gradients:
        for place, g in enumerate(step):
            w = weights[place]
            d = g
            if w.ndim > 1:
                d = g + decay * w
                if np.linalg.norm(w) > 0 and np.linalg.norm(d) > 0:
                    d = d * eta * np.linalg.norm(w) / np.linalg.norm(d)
            velocities[place] = momentum * velocities[place] + d
            weights[place] = w - rate * velocities[place]
    return weights


def test_lars_is_the_published_algorithm():
    rng = np.random.default_rng(0)
    shapes = [(4, 3), (2, 3, 3, 3, 3), (4,), (3, 2)]
    start = [rng.standard_normal(shape) for shape in shapes]
    start[3][:] = 0  # weights of norm 0 are not adapted
    gradients = [[rng.standard_normal(shape) for shape in shapes] for _ in range(5)]
    gradients[2][3][:] = 0  # nor are gradients of norm 0
    parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    groups = [{"params": parameters, "weight_decay": 0.01}]
    optimizer = Lars(groups, lr=0.5, momentum=0.9, eta=0.02)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    expected = lars_by_hand(start, gradients, 0.5, 0.9, 0.01, 0.02)
    for parameter, right in zip(parameters, expected, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), right, rtol=1e-12, atol=1e-14)


def test_lars_leaves_gradients_and_what_has_none_alone():
    with_gradient, without = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2))
    with_gradient.grad = torch.full((2, 2), 3.0)
    optimizer = Lars([{"params": [with_gradient, without], "weight_decay": 0.1}], lr=1, momentum=0.9)
    optimizer.step()
    assert (with_gradient.grad == 3).all() and (without == 1).all() and (with_gradient != 1).all()


def test_only_bookkeeping_is_left_out_of_the_identity():
    base = Schedule(epochs=1, batch=2, learning_rate=1)
    for change in ({"checkpoint_epochs": 3}, {"checkpoint_minutes": 1.0}):
        assert Schedule(**{**vars(base), **change}).identity == base.identity
    changes = {"clip": 1.0, "ema": 0.9, "compile": True, "validate_epochs": 2, "optimizer": "lars"}
    changes |= {"epochs": 2, "patience": 3}
    for name, value in changes.items():
        assert Schedule(**{**vars(base), name: value}).identity != base.identity


@pytest.mark.parametrize(
    "wrong",
    [
        {"optimizer": "lbfgs"},
        {"epochs": 0},
        {"batch": 1},
        {"checkpoint_epochs": 0},
        {"validate_epochs": 0},
        {"checkpoint_minutes": -1},
        {"clip": -0.1},
        {"ema": 1.0},
        {"ema": -0.1},
        {"patience": 0},
    ],
)
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(StudyError):
        Schedule(**{"epochs": 1, "batch": 2, "learning_rate": 1, **wrong})
