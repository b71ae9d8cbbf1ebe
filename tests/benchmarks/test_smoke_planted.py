"""The command that shows planted truth runs at a tiny size, and what it plants is where it says."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score, roc_auc_score

from tests.benchmarks import phantom_store, planted_representations, planted_scores
from workflow_scripts.lib.phantom import fields
from workflow_scripts.lib.pretrain import runs

TINY = ["--people", "40", "--spacing", "8", "--epochs", "1", "--image-epochs", "1", "--batch", "20", "--draws", "20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("planted")
    planted_representations.main(["--out", str(place), *TINY, "--representation", "8"])
    return place


def test_the_command_writes_its_tables(folder):
    scores = pd.read_csv(folder / "scores.tsv", sep="\t", keep_default_na=False)
    assert set(scores["table"]) == {"recovered", "outside", "inside"}
    assert set(scores["against"]) == {"", "features", "simclr", "random"}
    assert (scores["lower"] <= scores["upper"]).all() and np.isfinite(scores["value"]).all()
    text = (folder / "tables.md").read_text()
    assert all(f"### {name}, {level} level" in text for name in ("Outside", "Inside") for level in ("patch", "image"))
    assert (folder / "planted_representations.png").stat().st_size > 10_000


def test_nothing_is_done_twice(folder, monkeypatch):
    options = planted_representations.parse(["--out", str(folder), *TINY, "--representation", "8"])
    monkeypatch.setattr(runs, "train_patch", None)
    monkeypatch.setattr(runs, "train_image", None)
    monkeypatch.setattr(phantom_store, "_write_shard", None)
    study = planted_representations.Study.make(options, folder)
    found = planted_representations.represent(study, "rnce", 1)
    assert found["patch"].shape == (40, 2, 8) and found["image"].shape == (40, 8)


def test_who_is_held_out_trained_nothing(folder):
    people = pd.read_csv(folder / "store" / "people.tsv", sep="\t")
    study_people = people.groupby("split")["participant_id"].apply(set)
    assert not study_people["test"] & (study_people["train"] | study_people["validate"])
    assert people["split"].value_counts().to_dict() == {"train": 24, "validate": 4, "test": 12}


def test_hidden_shape_moves_tissue_and_no_volume():
    render = phantom_store.Renderer(phantom_store.Design(people=1, spacing=8.0))
    largest = phantom_store.Design.shape * render.shape
    before, after = (render.volumes(render.places(field)) for field in (0 * largest, largest))
    assert np.abs(np.log(after / before)).max() < 0.03  # people differ by 0.1
    plain = phantom_store.Design.shape * render.anatomy.velocities["shape"]
    moved = [torch.linalg.vector_norm(fields.exponential(field), dim=0).max() for field in (largest, plain)]
    assert moved[0] > 0.5 * moved[1]


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(3)
    y, predicted = random.normal(size=50), random.normal(size=50)
    draws = random.integers(0, 50, (5, 50))
    expected = [r2_score(y[draw], predicted[draw]) for draw in draws]
    np.testing.assert_allclose(planted_scores.r2_draws(y, predicted, draws), expected, rtol=1e-12)
    label = (y > 0).astype(float)
    expected = [roc_auc_score(label[draw], predicted[draw]) for draw in draws]
    np.testing.assert_allclose(planted_scores.auc_draws(label, predicted, draws), expected, rtol=1e-12)
