import numpy as np
import pandas as pd
import pytest

from workflow_scripts.lib.imaging.stats.lists import LISTS
from workflow_scripts.lib.pretrain import data, source
from workflow_scripts.lib.study.errors import StudyError


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


def test_the_source_is_found_here_too():
    assert data.PatchSource is source.PatchSource


@pytest.mark.parametrize(
    ("features", "kind", "count"),
    [
        ("published", "all", 104),
        ("published", "thickness", 68),
        ("published", "volumes", 36),
        ("published", "none", 0),
        ("volumes", "volumes", 104),
        ("volumes", "aseg", 36),
        ("published", "aseg", 36),
        ("dkt", "thickness", 62),
        ("thickness", "thickness", 68),
        ("meshnet", "volumes", 101),
    ],
)
def test_kinds_of_auxiliary_features(features, kind, count):
    columns = ["scan_id", "participant_id", "icv", *LISTS[features]]
    chosen = data.select_auxiliary(pd.Index(columns), kind)
    assert len(chosen) == count
    assert chosen == [name for name in LISTS[features] if name in set(chosen)]  # the table's order
    thick = {name.endswith("_thickness") for name in chosen}
    assert thick <= {"thickness": {True}, "volumes": {False}}.get(kind, {True, False})


def test_auxiliary_features_by_name_keep_the_order_of_the_table():
    columns = ["scan_id", "icv", "lh_cuneus_thickness", "Left-Hippocampus", "CC_Central"]
    assert data.select_auxiliary(columns, ["CC_Central", "lh_cuneus_thickness"]) == [
        "lh_cuneus_thickness",
        "CC_Central",
    ]
    assert data.select_auxiliary(columns, []) == []


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("volume", "found 'volume', expected one of all, volumes, thickness, aseg, none or a list"),
        ("thickness", "none of the 2 features of the study is of the kind 'thickness'.*config: features"),
        (["Left-Hippocampus", "Left-Amygdala"], "'Left-Amygdala' is not among the 2 features"),
        (["icv"], "'icv' is not among"),
    ],
)
def test_auxiliary_features_that_are_not_there_are_refused(kind, message):
    with pytest.raises(StudyError, match=message):
        data.select_auxiliary(["scan_id", "icv", "Left-Hippocampus", "lh_cuneus_volume"], kind)
