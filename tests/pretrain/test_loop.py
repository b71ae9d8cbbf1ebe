import copy
import functools
import math

import numpy as np
import pytest
import torch

from workflow_scripts.lib.pretrain import checkpoint as checkpoints
from workflow_scripts.lib.pretrain import loop
from workflow_scripts.lib.pretrain.loop import Diverged, Schedule, train
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")


def fit(tmp_path, step, model=None, scans=10, hooks=None, **changes):
    schedule = Schedule(**{"epochs": 3, "batch": 4, "learning_rate": 0.1, **changes})
    model = model or torch.nn.Linear(1, 1)
    keys, file = (1, "m", "patch", "p"), tmp_path / "c.safetensors"
    return train(model, step, scans, schedule, keys, CPU, file, {}, **(hooks or {}))


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


def test_the_rows_of_the_next_step_are_announced_after_those_of_this_one_were_used(tmp_path):
    model, events = torch.nn.Linear(1, 1), []

    def step(rows, _):
        events.append(("used", rows.tolist()))
        return model.weight.sum(), {}

    fit(tmp_path, step, model, hooks={"prefetch": lambda rows: events.append(("announced", rows.tolist()))})
    assert [kind for kind, _ in events] == ["used", "announced"] * 5 + ["used"]
    assert [rows for kind, rows in events if kind == "used"][1:] == [rows for kind, rows in events if kind != "used"]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lars"])
def test_it_minimises(tmp_path, optimizer):
    model = torch.nn.Linear(2, 1, bias=optimizer != "lars")  # one step of LARS changes weights by a share of themselves
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([[1.0], [-2.0]])

    def step(rows, _):
        return (model(x[rows]) - y[rows]).square().mean(), {}

    rate = 10.0 if optimizer == "lars" else 0.1
    rows = fit(tmp_path, step, model, epochs=200, batch=10, optimizer=optimizer, weight_decay=0, learning_rate=rate)
    assert rows[-1]["loss"] < 0.01 * rows[0]["loss"]


def test_gradients_are_clipped_together(tmp_path):
    model = torch.nn.Linear(3, 2)
    start = copy.deepcopy(model.state_dict())

    def step(*_):
        return 30 * model.weight.sum() + 40 * model.bias.sum(), {}

    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "learning_rate": 1.0, "warmup": 0.0}
    rows = fit(tmp_path, step, model, scans=4, epochs=1, clip=0.5, **plain)
    norm = math.sqrt(6 * 30**2 + 2 * 40**2)
    assert rows[0]["gradient_norm"] == pytest.approx(norm, rel=1e-6)
    for name, slope in (("weight", 30), ("bias", 40)):
        expected = torch.full_like(start[name], -slope * 0.5 / norm)
        torch.testing.assert_close(model.state_dict()[name] - start[name], expected)
    assert "gradient_norm" not in fit(tmp_path / "off", step, model, scans=4, **plain)[0]


def quadratic(model, noise=1.0):
    """A loss whose gradient jumps about, so that weights, their average and the best of them differ."""

    def step(rows, generator):
        target = noise * torch.randn((), generator=generator)
        return (model.weight - target).square().sum(), {}

    return step


def test_the_average_of_the_weights_is_kept(tmp_path):
    model, seen = torch.nn.Linear(1, 1), []
    inner = quadratic(model)

    def step(rows, generator):
        seen.append(model.weight.item())  # before the step: the first is the start
        return inner(rows, generator)

    run = functools.partial(fit, tmp_path, step, model, optimizer="sgd", learning_rate=0.4, ema=0.3)
    last = copy.deepcopy(model)
    fit(tmp_path / "none", quadratic(last), last, optimizer="sgd", learning_rate=0.4)
    run()
    expected = seen[0]
    for number, weight in enumerate([*seen[1:], last.weight.item()]):
        decay = min(0.3, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight
    assert model.weight.item() == pytest.approx(expected, rel=1e-5)
    assert model.weight.item() != pytest.approx(last.weight.item(), rel=1e-3)
    again = model.weight.item()
    model.weight.data.zero_()
    run()  # from the finished checkpoint
    assert model.weight.item() == again and len(seen) == 6


class Validation:
    """Gives criteria one after the other, and keeps what it saw of the network."""

    def __init__(self, model, criteria):
        self.model, self.criteria, self.weights, self.modes = model, list(criteria), [], []

    def __call__(self):
        assert not torch.is_grad_enabled()
        self.weights.append(self.model.weight.item())
        self.modes.append(self.model.training)
        return {"criterion": self.criteria.pop(0), "mae": torch.tensor(2.5)}


@pytest.mark.parametrize(
    ("criteria", "best"),
    [([3, 1, 2], 2), ([1, 1, 1], 1), ([2, 1, 1], 2), ([math.nan, 5, math.nan], 2), ([math.inf, math.nan, 7], 3)],
)
@pytest.mark.parametrize("ema", [0.0, 0.3])
def test_the_weights_of_the_best_epoch_are_kept(tmp_path, criteria, best, ema):
    model = torch.nn.Linear(1, 1)
    validate, modes, inner = Validation(model, map(float, criteria)), [], quadratic(model)

    def step(rows, generator):
        modes.append(model.training)
        return inner(rows, generator)

    run = functools.partial(fit, tmp_path, step, model, ema=ema, hooks={"validate": validate})
    rows = run()
    assert [row["chosen"] for row in rows] == [epoch == best for epoch in (1, 2, 3)]
    assert [row["valid_criterion"] for row in rows] == pytest.approx(criteria, nan_ok=True)
    assert [row["valid_mae"] for row in rows] == [2.5] * 3
    assert len(set(validate.weights)) == 3
    assert model.weight.item() == validate.weights[best - 1]
    assert validate.modes == [False] * 3 and modes == [True] * 6
    model.weight.data.zero_()
    assert str(run()) == str(rows)  # from the finished checkpoint
    assert model.weight.item() == validate.weights[best - 1]


def test_validation_sees_the_average_and_training_goes_on_without_it(tmp_path):
    models = [torch.nn.Linear(1, 1) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    ends = []
    for number, model in enumerate(models):
        hooks = {} if number else {"validate": Validation(model, [1.0, 2.0, 3.0])}
        rows = fit(tmp_path / str(number), quadratic(model), model, ema=0.9, hooks=hooks)
        ends.append([row["loss"] for row in rows])
    assert ends[0] == ends[1]


def test_validation_every_few_epochs_and_after_the_last(tmp_path):
    model = torch.nn.Linear(1, 1)
    validate = Validation(model, [2.0, 1.0, 3.0])
    rows = fit(tmp_path, quadratic(model), model, epochs=5, validate_epochs=2, hooks={"validate": validate})
    assert [row["epoch"] for row in rows if "valid_criterion" in row] == [2, 4, 5]
    assert [row["epoch"] for row in rows if row["chosen"]] == [4]


@pytest.mark.parametrize(
    ("criteria", "options", "trained", "best"),
    [
        ((3, 2, 2, 1, 0, 0), {"patience": 2}, 6, 5),  # an equal epoch is no better one, but patience is not over
        ((3, 2, 2, 4, 0, 0), {"patience": 2}, 4, 2),
        ((3, 2, 2, 4, 0, 0), {"patience": 1}, 3, 2),
        ((3, math.nan, 4, 0, 0, 0), {"patience": 2}, 3, 1),
        ((3, 4, 0), {"patience": 3, "validate_epochs": 2}, 6, 6),  # validated after 2, 4 and 6
        ((3, 4, 0), {"patience": 1, "validate_epochs": 2}, 4, 2),  # not over in between
        ((3, 4, 5, 6, 7, 8), {"patience": None}, 6, 1),
    ],
)
def test_training_stops_early_only_if_asked_to(tmp_path, criteria, options, trained, best):
    model = torch.nn.Linear(1, 1)
    validate = Validation(model, map(float, criteria))
    run = functools.partial(fit, tmp_path, quadratic(model), model, epochs=6, checkpoint_epochs=9, **options)
    rows = run(hooks={"validate": validate})
    assert [row["epoch"] for row in rows] == list(range(1, trained + 1))
    assert [row["epoch"] for row in rows if row["chosen"]] == [best]
    weight = model.weight.item()
    model.weight.data.zero_()
    assert str(run(hooks={"validate": pytest.fail})) == str(rows)  # its checkpoint knows that it is over
    assert model.weight.item() == weight


def test_up_to_an_early_stop_nothing_is_different(tmp_path):
    logs = []
    for patience in (None, 2):
        model = torch.nn.Linear(1, 1, dtype=torch.float64)
        torch.nn.init.ones_(model.weight)
        validate = Validation(model, iter([3.0, 2.0, 4.0, 4.0, 5.0, 5.0]))
        hooks = {"validate": validate}
        logs.append(fit(tmp_path / str(patience), quadratic(model), model, epochs=6, hooks=hooks, patience=patience))
    assert [len(rows) for rows in logs] == [6, 4]
    assert logs[0][:4] == logs[1]


def test_patience_without_validation_is_refused(tmp_path):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(StudyError, match="needs validation"):
        fit(tmp_path, quadratic(model), model, patience=2)


def test_no_epoch_to_choose_is_an_error(tmp_path):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(Diverged, match=r"m patch p: the validation criterion was finite in no epoch"):
        fit(tmp_path, quadratic(model), model, hooks={"validate": Validation(model, [math.nan] * 3)})


def test_dropout_does_not_depend_on_what_was_drawn_before(tmp_path):
    seen = []
    for number in range(2):
        model, masks = torch.nn.Linear(1, 1), []

        def step(*_, model=model, masks=masks, number=number):
            masks.append(torch.nn.functional.dropout(torch.ones(64), 0.5).tolist())
            torch.rand(number)  # draws of another length must not move the next step's
            return model.weight.sum(), {}

        torch.manual_seed(number)
        fit(tmp_path / str(number), step, model)
        seen.append(masks)
    assert seen[0] == seen[1]
    assert len({tuple(mask) for mask in seen[0]}) == 6


def test_a_batch_without_labels_changes_nothing_and_is_counted(tmp_path):
    model, calls = torch.nn.Linear(1, 1), []

    def step(*_):
        calls.append(model.weight.item())
        if len(calls) in (3, 4, 5):
            return torch.tensor(0.0), {}
        return model.weight.sum() + 5, {"number": 2.0 if len(calls) > 1 else float("nan")}

    rows = fit(tmp_path, step, model, scans=12, epochs=2, optimizer="sgd", weight_decay=0.1)
    assert [row.get("skipped") for row in rows] == [1, 2]
    assert calls[2] == calls[3] == calls[4] == calls[5]  # neither momentum nor decay moves the weights
    assert len(set(calls)) == 3
    # means are over the steps that have the number
    assert rows[0]["loss"] == pytest.approx(5 + (calls[0] + calls[1]) / 2)
    assert rows[0]["number"] == 2.0
    with pytest.raises(StudyError, match="epoch 1: no batch had a loss to learn from"):
        fit(tmp_path / "none", lambda *_: (torch.tensor(0.0), {}), model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error_with_its_place(tmp_path, value):
    model, calls = torch.nn.Linear(1, 1), []

    def step(rows, _):
        calls.append(1)
        return model.weight.sum() * (value if len(calls) == 4 else 1.0), {}

    with pytest.raises(Diverged, match=r"epoch 2, step 2: the loss is (nan|-?inf)"):
        fit(tmp_path, step, model)


def test_a_step_that_is_not_finite_leaves_the_last_checkpoint_and_says_why(tmp_path):
    """The gradient of a root at 0: the loss is finite, its gradient is not."""
    model = torch.nn.ModuleDict({"good": torch.nn.Linear(1, 1), "bad": torch.nn.Linear(2, 1)})
    file, calls, rows_seen = tmp_path / "c.safetensors", [], []

    def step(rows, _):
        calls.append({name: value.clone() for name, value in model.state_dict().items()})
        rows_seen.append(rows)
        loss = model["good"].weight.sum() + (0 * model["bad"].weight).sum()
        if len(calls) == 6:
            loss = loss + (0 * model["bad"].weight).square().sum().sqrt()
        return loss, {"fine": torch.tensor(1.0), "odd": torch.tensor(float("inf") if len(calls) == 6 else 0.0)}

    kept = []
    save = checkpoints.save

    def remember(*args):
        save(*args)
        kept.append(file.read_bytes())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "save", remember)
        with pytest.raises(Diverged) as found:
            fit(tmp_path, step, model, checkpoint_epochs=1)
    message = str(found.value)
    assert "m patch p, epoch 3, step 2: the norm of the gradient is nan" in message
    assert "Not finite: odd inf, gradient_norm nan." in message
    assert "Learning rate " in message and "Largest gradients: bad.weight (nan), good.weight (1)" in message
    assert f"from 0: {', '.join(map(str, rows_seen[-1]))}." in message
    assert f"the last good checkpoint, {file}, is of epoch 2, step 0." in message
    assert "lower learning_rate, set clip" in message
    assert len(kept) == 2 and file.read_bytes() == kept[-1]
    assert all(torch.equal(value, calls[-1][name]) for name, value in model.state_dict().items())


def test_a_failed_projection_is_an_error_with_its_place(tmp_path):
    with pytest.raises(StudyError, match=r"epoch 1, step 1: the projection failed.*there is no checkpoint yet"):
        fit(tmp_path, lambda *_: torch.linalg.cholesky(-torch.eye(3)))


def test_collapse_is_warned_of_and_an_error_at_the_end(tmp_path, caplog):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(StudyError, match="collapse"):
        fit(tmp_path, lambda *_: (model.weight.sum(), {"uniformity": 0.0}), model)
    assert caplog.text.count("the same representation in epoch") == 3


def test_a_checkpoint_every_so_many_minutes(tmp_path, monkeypatch):
    now, places = [0.0], []
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints, "save", lambda path, run, _: places.append((run.at.epoch, run.at.step)))
    model = torch.nn.Linear(1, 1)

    def step(*_):
        now[0] += 60.0
        return model.weight.sum(), {}

    fit(tmp_path / "each", step, model, scans=20, epochs=2, checkpoint_minutes=2.0)
    assert places == [(0, 2), (0, 4), (1, 1), (1, 3), (1, 5), (2, 0)]
    places.clear()
    fit(tmp_path / "none", step, model, scans=20, epochs=2, checkpoint_minutes=0)
    assert places == [(2, 0)]


def test_compiled_networks_learn_the_same_under_the_same_names(tmp_path, monkeypatch):
    compiled = []

    def remember(function, **options):
        compiled.append(function)
        return compile_(function, backend="eager", **options)

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", remember)
    ends = []
    for number, wanted in enumerate((False, True)):
        torch.manual_seed(0)
        model = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 3), "b": torch.nn.Linear(3, 1)})
        names = list(model.state_dict())
        x = torch.randn(10, 2)

        def step(rows, _, model=model, x=x, names=names):
            assert list(model.state_dict()) == names
            return model["b"](model["a"](x[rows]).relu()).square().mean(), {}

        fit(tmp_path / str(number), step, model, compile=wanted)
        assert all(module._compiled_call_impl is None for module in model.modules())
        ends.append(model.state_dict())
    assert len(compiled) == 2
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name])
