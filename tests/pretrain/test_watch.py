import io
import logging
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from workflow_scripts.lib.pretrain import parallel
from workflow_scripts.lib.pretrain.watch import MOST_ROWS, Watch, diagnose


def row(epoch, loss):
    return {"epoch": epoch, "steps": 2, "learning_rate": 0.1, "loss": loss, "valid_criterion": 2 * loss}


def points(folder, tag):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(tag)}, events.Tags()["scalars"]


def test_a_resumed_run_replaces_its_points(tmp_path):
    with Watch("m p", 8, 0, tmp_path) as watch:
        for epoch in (1, 2, 3):
            watch.epoch(row(epoch, 1.0 * epoch), 4)
    # killed; the last checkpoint is of epoch 1
    with Watch("m p", 8, 2, tmp_path) as watch:
        for epoch in (2, 3, 4):
            watch.epoch(row(epoch, 10.0 * epoch), 4)
    found, tags = points(tmp_path, "train/loss")
    assert found == {1: 1, 2: 20, 3: 30, 4: 40}
    assert set(tags) == {"train/learning_rate", "train/loss", "valid/criterion"}
    assert points(tmp_path, "valid/criterion")[0] == {1: 2, 2: 40, 3: 60, 4: 80}


def test_points_are_on_the_disk_at_once_and_nothing_is_written_for_nothing(tmp_path):
    with Watch("m p", 8, 0, tmp_path / "curves") as watch:
        watch.epoch(row(1, 1.0), 4)
        assert points(tmp_path / "curves", "train/loss")[0] == {1: 1}
    with Watch("m p", 8, 8, tmp_path / "finished"), Watch("m p", 8, 0, None) as watch:
        watch.epoch(row(1, 1.0), 4)
    assert not (tmp_path / "finished").exists()


def test_only_the_first_process_draws(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "is_first", lambda: False)
    with Watch("m p", 8, 0, tmp_path / "curves") as watch:
        watch.epoch(row(1, 1.0), 4)
    assert not (tmp_path / "curves").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_a_terminal_and_log_lines_always(monkeypatch, caplog, terminal):
    caplog.set_level(logging.INFO)
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Watch("simclr patch p", 8, 6, None) as watch:
        watch.step(0.5)
        watch.epoch({"epoch": 4, "steps": 2, "loss": 0.123456}, 4)
        watch.step(0.25)
    assert "simclr patch p: epoch 4 of 4: loss 0.1235" in caplog.text
    if terminal:
        assert "simclr patch p" in stream.getvalue() and "8/8" in stream.getvalue()
        assert "loss=0.25" in stream.getvalue()
    else:
        assert stream.getvalue() == ""


def test_the_diagnosis_names_what_is_largest():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    for number, layer in enumerate(model):
        torch.nn.init.constant_(layer.weight, number + 1.0)
        torch.nn.init.constant_(layer.bias, -0.5)
        layer.weight.grad = torch.full((2, 2), -10.0 * number)
    model[0].weight.grad[0, 1] = float("nan")
    said = diagnose(model, {"loss": 1.0, "nce": float("nan")}, 0.01, np.arange(MOST_ROWS + 5))
    assert "Not finite: nce nan. Learning rate 0.01. " in said
    assert "Largest gradients: 0.weight (nan), 2.weight (20), 1.weight (10). " in said
    assert "before the step: 2.weight (3), 1.weight (2), 0.weight (1). " in said
    assert said.endswith("198, 199 and 5 more.")
    assert "nothing that was reported" in diagnose(torch.nn.Linear(1, 1), {}, 0.1, np.arange(2))
