import logging
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from tests.finetune import small_fits
from workflow_scripts.lib.finetune import chunk, level, resident, starts
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import LeakageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    fits, scores = small_fits.fit(folder)
    return folder, fits, scores


def contents(folder):
    return {name: (folder / name).read_bytes() for name in ("fits.tsv", "scores.tsv")}


def count_fits(monkeypatch):
    """Count the fits that are begun from now on, in this process."""
    begun = []
    monkeypatch.setattr(
        chunk, "run_fit", lambda shared, fit, run=chunk.run_fit: (begun.append(fit), run(shared, fit))[1]
    )
    return begun


def test_tables_fit_their_schemas_and_each_other(undisturbed):
    _, fits, scores = undisturbed
    tables.check_table(fits, "curve_fits", "fits")
    tables.check_table(scores, "curve_scores", "scores")
    assert len(fits) == 2 * 2 and fits["chosen"].sum() == 2
    assert (fits["epochs"] == 2).all() and fits["reason"].isna().all()
    table = small_fits.samples()
    expected = table[table["set"] == "test"].sort_values(["repeat", "scan_id"], ignore_index=True)
    for column in ("repeat", "scan_id", "participant_id", "y"):
        assert scores[column].tolist() == expected[column].tolist()
    for repeat, members in scores.groupby("repeat"):
        chosen = fits[(fits["repeat"] == repeat) & fits["chosen"]]
        assert chosen["test_auc"].item() == roc_auc_score(members["y"], members["score"])
        mine = fits.loc[fits["repeat"] == repeat, "validation_auc"]
        assert chosen["validation_auc"].item() == mine.max()


def test_a_planted_difference_is_found(tmp_path):
    fits, _ = small_fits.fit(tmp_path, small_fits.samples([0], n=16), epochs=12, learning_rate=[0.02], dropout=[0.0])
    assert fits["test_auc"].tolist() == [1.0]


def test_numbers_do_not_depend_on_jobs_or_order(tmp_path, undisturbed):
    _, fits, scores = undisturbed
    parts = [small_fits.fit(tmp_path / str(one), small_fits.samples([one])) for one in (1, 0)]
    shuffled = small_fits.samples().sample(frac=1, random_state=1)
    assert pd.concat([part[0] for part in reversed(parts)], ignore_index=True).equals(fits)
    assert pd.concat([part[1] for part in reversed(parts)], ignore_index=True).equals(scores)
    fewer = small_fits.fit(tmp_path / "fewer", shuffled[shuffled["repeat"] == 1], dropout=[0.3])[0]
    same = fits[(fits["repeat"] == 1) & fits["parameters"].isin(fewer["parameters"])]
    assert fewer["validation_auc"].tolist() == same["validation_auc"].tolist()
    assert fewer["test_auc"].tolist() == same["test_auc"].tolist()


def test_numbers_do_not_depend_on_how_many_run_at_once(tmp_path, undisturbed, caplog):
    caplog.set_level(logging.INFO)
    small_fits.fit(tmp_path, fits_at_once=2)
    assert contents(tmp_path) == contents(undisturbed[0])
    assert caplog.text.count("a fit so far") == 4 and "fit 4 of 4" in caplog.text


def test_kill_9_leaves_no_trace(tmp_path, undisturbed, caplog, monkeypatch):
    """Two steps an epoch, two epochs: the second fit dies after its first epoch."""
    command = [sys.executable, "-m", "tests.finetune.small_fits", str(tmp_path), "7"]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    records, checkpoints = (list((tmp_path / "checkpoints").glob(form)) for form in ("*.json", "*.safetensors"))
    assert len(records) == 1 and len(checkpoints) == 1
    caplog.set_level(logging.INFO)
    begun = count_fits(monkeypatch)
    small_fits.fit(tmp_path)
    assert "1 of 4 fits were done before" in caplog.text and len(begun) == 3
    assert f"{checkpoints[0]}: resumed at epoch 1, step 0" in caplog.text
    assert contents(tmp_path) == contents(undisturbed[0])
    assert not list((tmp_path / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("change", "again"), [({}, 0), ({"fits_at_once": 1, "checkpoint_epochs": 2}, 0), ({"seed": 2}, 2)]
)
def test_what_is_done_is_not_done_again_unless_something_changed(tmp_path, undisturbed, monkeypatch, change, again):
    (tmp_path / "checkpoints").mkdir()
    for file in (undisturbed[0] / "checkpoints").iterdir():
        (tmp_path / "checkpoints" / file.name).write_bytes(file.read_bytes())
    begun = count_fits(monkeypatch)
    fits, _ = small_fits.fit(tmp_path, small_fits.samples([1]), **change)
    assert len(begun) == again
    if not again:
        assert fits.equals(undisturbed[1].query("repeat == 1").reset_index(drop=True))


def test_other_labels_and_a_damaged_record_are_fitted_anew(tmp_path, monkeypatch):
    only = {"learning_rate": [0.01], "dropout": [0.0], "epochs": 1}
    table = small_fits.samples([0])
    small_fits.fit(tmp_path, table, **only)
    begun = count_fits(monkeypatch)
    small_fits.fit(tmp_path, table.assign(y=1 - table["y"]), **only)
    assert len(begun) == 1
    for file in (tmp_path / "checkpoints").iterdir():
        file.write_text(file.read_text()[:20])
    small_fits.fit(tmp_path, table, **only)
    assert len(begun) == 2


def diverge(monkeypatch, when):
    """Let the loss of some settings be no number from the second epoch on."""
    take_step, steps = level.FitLevel.step, {}

    def step(self, rows, generator):
        loss, report = take_step(self, rows, generator)
        steps[id(self)] = steps.get(id(self), 0) + 1
        return (loss * math.nan if when(self) and steps[id(self)] > 2 else loss), report

    monkeypatch.setattr(level.FitLevel, "step", step)


def test_a_fit_that_diverges_costs_itself_alone(tmp_path, undisturbed, monkeypatch, caplog):
    diverge(monkeypatch, lambda one: one.network.dropout.p == 0.3)
    fits, scores = small_fits.fit(tmp_path)
    tables.check_table(fits, "curve_fits", "fits")
    bad = fits["parameters"].str.contains("dropout=0.3")
    assert fits.loc[bad, ["validation_auc", "test_auc", "epochs"]].isna().all(axis=None)
    assert fits.loc[bad, "reason"].str.contains("epoch 2, step 1: the loss is nan").all()
    assert not fits.loc[bad, "chosen"].any() and fits["chosen"].sum() == 2 and len(scores) == 12
    good = undisturbed[1][~bad.to_numpy()]
    assert fits.loc[~bad, "validation_auc"].tolist() == good["validation_auc"].tolist()
    assert "the loss is nan" in caplog.text
    monkeypatch.undo()
    begun = count_fits(monkeypatch)
    assert small_fits.fit(tmp_path)[0].equals(fits) and begun == []  # nor does a rerun try them again


def test_a_repeat_without_any_fit_is_missing_with_its_reason(tmp_path, monkeypatch, caplog):
    diverge(monkeypatch, lambda one: one.rows["test"].sum() == wrong)
    ids = small_fits.scan_order(small_fits.samples())
    table = small_fits.samples()
    wrong = sum(ids.index(scan) for scan in table.query("repeat == 0 and set == 'test'")["scan_id"])
    fits, scores = small_fits.fit(tmp_path)
    assert not fits.query("repeat == 0")["chosen"].any() and fits.query("repeat == 0")["reason"].notna().all()
    assert set(scores["repeat"]) == {1}
    assert "sfcn_random ad_cn, n 8, repeat 0 is missing: no setting is left" in caplog.text


def test_a_repeat_without_both_classes_is_missing_and_costs_nothing(tmp_path, monkeypatch):
    table = small_fits.samples([0])
    table.loc[table["set"] == "validation", "y"] = 0
    begun = count_fits(monkeypatch)
    fits, scores = small_fits.fit(tmp_path, table)
    assert begun == [] and len(fits) == 2 and scores.empty
    assert set(fits["reason"]) == {"all 6 validation scans have the same label"}
    tables.check_table(scores, "curve_scores", "scores")


def test_leaks_are_refused_before_any_volume_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(resident.ResidentSource, "__init__", lambda *_: pytest.fail("volumes were read"))
    table = small_fits.samples([0])
    files = small_fits.write_weights(tmp_path, [table["participant_id"].iloc[-1]], patches=False)
    start = starts.pretrained_volume(files["whole"])
    with pytest.raises(LeakageError, match=f"were used to train .*'{table['participant_id'].iloc[-1]}'"):
        small_fits.fit(tmp_path, table, start)
    table["participant_id"] = "p00"
    with pytest.raises(LeakageError, match="p00"):
        small_fits.fit(tmp_path, table)


def test_early_stopping_stops_before_the_last_epoch(tmp_path):
    only = {"learning_rate": [0.02], "dropout": [0.0], "epochs": 30, "early_stopping": 2}
    fits, _ = small_fits.fit(tmp_path, small_fits.samples([0]), **only)
    assert fits["epochs"].item() < 30


@pytest.mark.parametrize("model", ["volume", "patches"])
def test_pretrained_networks_are_finetuned(tmp_path, model):
    whole = model == "volume"
    files = small_fits.write_weights(tmp_path, patches=not whole)
    if whole:
        start = starts.pretrained_volume(files["whole"])
    else:
        start = starts.pretrained_patches({patch: files[patch] for patch in small_fits.PATCHES}, files["image"])
    only = {"learning_rate": [0.01], "dropout": [0.0], "epochs": 1, "model": model}
    fits, scores = small_fits.fit(tmp_path, small_fits.samples([0]), start, **only)
    assert fits["validation_auc"].notna().all() and np.isfinite(scores["score"]).all()
    assert set(scores["model"]) == {model}


def record(auc, loss):
    return {"validation_auc": auc, "validation_loss": loss}


@pytest.mark.parametrize(
    ("records", "best"),
    [
        ([record(0.7, 0.1), record(0.8, 0.9), record(0.8, 0.9)], 1),
        ([record(0.8, 0.9), record(0.8, 0.5), record(0.7, 0.1)], 1),
        ([record(None, None), record(0.1, 3.0)], 1),
        ([record(None, None)] * 2, None),
    ],
)
def test_the_setting_is_chosen_by_auc_then_loss_then_order(records, best):
    assert chunk.choose(records) == best
