"""The scripts of interpretation on files as the study has them, from tokens and tables to tables and figures."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from workflow_scripts.figures import region_importance, variance_explained
from workflow_scripts.lib.evaluate.probe import ProbeOptions, run_tasks
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.pretrain import tokens
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.probe import explain_features, rank_regions

CARRIER = "cingulate_R"
PROBE = {"n_test": 8, "test_fraction": 0.25, "stratify": True, "c": 0.1, "alpha": 10.0}
INTERPRET = {"tasks": ["ill", "rare"], "n_resamples": 20, "reading": "fitted", "level": 0.95}
CARD = {"input": {}, "intensity": "", "participants": [], "seed": 1, "metrics": {}, "source": "test"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """60 people with a token at 18 locations, one of which knows who is ill; a third of them trained the network."""
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(0)
    people = [f"p{i:02}" for i in range(60)]
    keys = pd.DataFrame({"scan_id": [f"{person}_1" for person in people], "participant_id": people})
    ill = np.arange(60) % 2
    values = 0.1 * rng.normal(size=(60, 18, 16)).astype(np.float32)
    values[:, PATCHES.index(CARRIER)] += (2 * ill[:, None] - 1) * rng.choice([-1, 1], 16)
    torch.manual_seed(0)
    aggregator = Aggregator(18, 16)
    aggregator.token_std.fill_(0.1)
    weights.save_weights(aggregator, folder / "weights.safetensors", CARD)
    save_file({patch: values[:, place].copy() for place, patch in enumerate(PATCHES)}, folder / "00.safetensors")
    tables.write_table(keys, folder / "00.tsv", "included")
    representation = keys.join(tokens.embed(aggregator, values, torch.device("cpu"), "rnce"))
    tables.write_table(representation, folder / "rnce.tsv", "representation")
    features = keys.join(pd.DataFrame(rng.normal(size=(60, 5)), columns=list("abcde")))
    features["a"] = representation["rnce_03"] * 2000
    tables.write_table(features, folder / "features.tsv", "representation")
    tasks = keys.assign(task="ill", kind="binary", y=ill * 1.0).iloc[20:]
    scores = run_tasks(representation, tasks, ProbeOptions(n_resamples=30, **PROBE), 1)
    tables.write_table(scores.assign(representation="rnce"), folder / "rnce.parquet", "probe_scores")
    rare = tasks.assign(task="rare").iloc[:3]
    tables.write_table(pd.concat([tasks, rare]), folder / "tasks.tsv", "tasks")
    roles = keys[["participant_id"]].assign(role=["pretrain"] * 20 + ["evaluate"] * 40)
    tables.write_table(roles, folder / "roles.tsv", "roles")
    return folder


def rank(folder, **changes):
    given = {
        "tokens": [folder / "00.safetensors"],
        "token_scans": [folder / "00.tsv"],
        "included": folder / "00.tsv",
        "weights": folder / "weights.safetensors",
        "tasks": folder / "tasks.tsv",
        "scores": folder / "rnce.parquet",
    }
    params = {"interpret": INTERPRET | changes, "probe": PROBE, "continuous_metric": "r2_pool", "representation": 16}
    rank_regions.main(
        SimpleNamespace(
            input=SimpleNamespace(**given),
            params=SimpleNamespace(**params),
            output=SimpleNamespace(ranked=folder / "ranked.tsv"),
            wildcards=SimpleNamespace(method="rnce"),
            threads=1,
        )
    )
    return tables.read_table(folder / "ranked.tsv", "region_importance")


@pytest.mark.parametrize("reading", ["fitted", "refitted"])
def test_regions_are_ranked_from_the_study_s_files(files, reading):
    table = rank(files, reading=reading)
    assert table["location"].tolist() == PATCHES
    assert set(table["task"]) == {"ill"}  # the other is too rare, and the probe passed it over
    rows = table.set_index("location")
    assert rows["drop"].idxmax() == CARRIER
    assert rows.loc[CARRIER, "low"] > 0.1
    assert rows[["attention", "rollout"]].sum().to_numpy() == pytest.approx([1, 1])
    assert (rows["n_resamples"] == 20).all()


def test_what_was_ranked_is_drawn(files):
    rank(files)
    figure = SimpleNamespace(
        input=SimpleNamespace(ranked=[files / "ranked.tsv"]),
        params=SimpleNamespace(methods=["rnce"], tasks={"ill": {"title": "Ill"}}, level=0.95),
        output=SimpleNamespace(png=str(files / "region_importance.png")),
    )
    region_importance.main(figure)
    for suffix in ("png", "pdf", "csv"):
        assert (files / f"region_importance.{suffix}").stat().st_size > 100


def test_tasks_that_nobody_has_are_refused(files):
    with pytest.raises(StudyError, match=r"tasks nothing\. Name others in interpret: tasks"):
        rank(files, tasks=["nothing"])
    with pytest.raises(StudyError, match="none of the tasks rare was scored"):
        rank(files, tasks=["rare"])


def test_variance_is_explained_in_people_who_did_not_train_the_network(files):
    study = SimpleNamespace(
        input=SimpleNamespace(
            roles=files / "roles.tsv", features=files / "features.tsv", representations=[files / "rnce.tsv"]
        ),
        params=SimpleNamespace(
            names=["rnce"], interpret={"alpha": "auto", "folds": 5, "n_bootstrap": 100, "level": 0.95}, seed=1
        ),
        output=SimpleNamespace(explained=files / "explained.tsv"),
    )
    explain_features.main(study)
    table = tables.read_table(files / "explained.tsv", "explained")
    assert (table["n_people"] == 40).all()
    forth = table[table["direction"] == "features_from_representation"].set_index("feature")["r2"]
    assert forth["a"] > 0.9
    assert (forth[list("bcde")] < 0.3).all()
    figure = SimpleNamespace(
        input=SimpleNamespace(explained=files / "explained.tsv"),
        params=SimpleNamespace(level=0.95),
        output=SimpleNamespace(png=str(files / "variance_explained.png")),
    )
    variance_explained.main(figure)
    for suffix in ("png", "pdf", "csv"):
        assert (files / f"variance_explained.{suffix}").stat().st_size > 100
