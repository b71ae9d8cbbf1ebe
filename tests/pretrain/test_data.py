import numpy as np
import pandas as pd
import pytest
import torch

from tests.pretrain import small_study
from workflow_scripts.lib.pretrain import data
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")


@pytest.fixture
def store(tmp_path):
    return small_study.write_store(tmp_path)


def expected(scan):
    """Intensities of a scan of the small study, straight from how it is written."""
    numbers = np.random.default_rng([0, scan]).integers(0, 255, small_study.SHAPE, dtype=np.uint8)
    return numbers * np.float32(0.01 + 0.0001 * scan)


@pytest.mark.parametrize("budget", [10**9, 0], ids=["resident", "streamed"])
def test_rows_are_the_scans_that_were_asked_for(store, budget):
    source = data.PatchSource(store, "one", ["s07_1", "s31_1", "s00_1", "s19_1"], CPU, budget)
    assert (source._resident is None) == (budget == 0)
    batch = source.batch(np.array([3, 0, 0, 1]))
    assert batch.shape == (4, 1, *small_study.SHAPE)
    assert batch.dtype == torch.float32
    for found, scan in zip(batch[:, 0], (19, 7, 7, 31), strict=True):
        np.testing.assert_allclose(found.numpy(), expected(scan), rtol=1e-5)


def test_sharding_changes_nothing(tmp_path):
    ids = small_study.scans()["scan_id"].tolist()
    sources = [data.PatchSource(small_study.write_store(tmp_path / str(n), shards=n), "two", ids, CPU) for n in (1, 3)]
    rows = np.arange(len(ids))
    assert torch.equal(sources[0].batch(rows), sources[1].batch(rows))
    assert sources[0].fingerprint() == sources[1].fingerprint()


def test_fingerprint_sees_scans_and_patch(store):
    prints = {
        data.PatchSource(store, patch, ids, CPU).fingerprint()
        for patch in ("one", "two")
        for ids in (["s01_1", "s02_1"], ["s02_1", "s01_1"], ["s01_1"])
    }
    assert len(prints) == 6


def test_intensity_statistics(store):
    ids = small_study.scans()["scan_id"].tolist()
    values = np.stack([expected(scan) for scan in range(len(ids))])
    mean, std = data.PatchSource(store, "one", ids, CPU).intensity()
    assert mean == pytest.approx(values.mean(), rel=1e-5)
    assert std == pytest.approx(values.std(), rel=1e-5)


@pytest.mark.parametrize("ids", [["s01_1", "nobody_1"], []])
def test_missing_scans_are_named(store, ids):
    with pytest.raises(StudyError, match=r"nobody_1|no scan"):
        data.PatchSource(store, "one", ids, CPU)


def test_shards_of_different_sizes_are_refused(store):
    np.save(store[0] / "one.npy", np.zeros((20, 3, 3, 3), dtype=np.uint8))
    with pytest.raises(StudyError, match="different sizes"):
        data.PatchSource(store, "one", ["s01_1"], CPU)


def test_training_scans_are_included_of_split_train_and_of_the_role():
    scans = pd.DataFrame(
        {
            "scan_id": ["b_1", "a_1", "a_2", "c_1", "d_1"],
            "participant_id": ["b", "a", "a", "c", "d"],
            "split": ["train", "train", "train", "test", "train"],
        }
    )
    roles = pd.DataFrame({"participant_id": ["a", "b", "c", "b", "d"], "role": ["pretrain"] * 3 + ["gwas", "evaluate"]})
    included = scans.loc[scans["scan_id"] != "a_2", ["scan_id", "participant_id"]]
    assert data.training_scans(scans, roles, included)["scan_id"].tolist() == ["a_1", "b_1"]
    with pytest.raises(StudyError, match="no scan to pretrain on"):
        data.training_scans(scans, roles[roles["role"] == "gwas"], included)


def test_covers_reads_the_assignment():
    assignment = pd.DataFrame(
        {"feature": ["x", "y", "y", "z", "gone"], "patch": ["left", "left", "right", None, "left"]}
    )
    found = data.covers(assignment, ["left", "right"], ["scan_id", "x", "y", "z"])
    assert found.tolist() == [[False, True, True, False], [False, False, True, False]]
    with pytest.raises(StudyError, match="'up'; known: left, right"):
        data.covers(assignment.assign(patch="up"), ["left", "right"], ["x"])


def test_only_training_scans_standardise():
    features = pd.DataFrame(
        {"scan_id": list("abcd"), "x": [1.0, 3.0, 5.0, 1e6], "y": [0.1 + 0.2, 0.3, 0.3, 7.0], "other": np.nan}
    )
    found = data.auxiliary_features(features, ["c", "a", "b"], ["x", "y"])
    np.testing.assert_allclose(found[:, 0], [np.sqrt(1.5), -np.sqrt(1.5), 0], rtol=1e-6, atol=1e-7)
    assert (found[:, 1] == 0).all()  # constant up to rounding
    with pytest.raises(StudyError, match="'e'"):
        data.auxiliary_features(features, ["a", "e"], ["x"])


def test_missing_values_become_the_mean(caplog):
    features = pd.DataFrame({"scan_id": list("abc"), "x": [1.0, np.nan, 3.0]})
    np.testing.assert_allclose(data.auxiliary_features(features, list("abc"), ["x"])[:, 0], [-1, 0, 1])
    assert "1 auxiliary values are missing" in caplog.text
