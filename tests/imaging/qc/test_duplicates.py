"""Copies of scans are found by what was measured of them, whatever the files are called; real people are not."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.imaging.qc import duplicates

TABLES = Path(__file__).resolve().parents[4] / "shared" / "reference" / "tables"


def table(scans=40, features=30, seed=0, digits=3):
    """Thicknesses as FreeSurfer prints them: correlated, three digits."""
    rng = np.random.default_rng(seed)
    values = 2.5 + 0.1 * rng.standard_normal((scans, 1)) + 0.15 * rng.standard_normal((scans, features))
    names = [f"lh_{number}_thickness" for number in range(features)]
    return pd.DataFrame(values.round(digits), [f"s{number}_1" for number in range(scans)], names)


def test_a_copied_row_is_found_and_nothing_else():
    rows = table()
    assert duplicates.equal_rows(rows) == []
    rows.loc["s31_1"] = rows.loc["s7_1"]
    assert duplicates.equal_rows(rows) == [("s7_1", "s31_1")]


def test_copies_with_other_gaps_are_found_by_what_both_have():
    rows = table()
    rows.loc["s31_1"] = rows.loc["s7_1"]
    rows.loc["s31_1", rows.columns[::3]] = np.nan
    rows.loc["s7_1", rows.columns[1:6]] = np.nan
    assert duplicates.equal_rows(rows) == [("s7_1", "s31_1")]
    rows.loc["s31_1", rows.columns[9:]] = np.nan  # too little is left to tell
    assert duplicates.equal_rows(rows) == []


def test_a_row_that_differs_in_one_feature_is_another_person():
    rows = table()
    rows.loc["s31_1"] = rows.loc["s7_1"]
    rows.loc["s31_1", "lh_3_thickness"] += 0.001
    assert duplicates.equal_rows(rows) == []


def test_zeros_and_constants_say_nothing():
    rows = table(20, 12)
    rows.iloc[:, 3:] = 0.0
    rows.iloc[:, :3] = 2.5
    assert duplicates.equal_rows(rows) == []
    assert duplicates.equal_rows(table(20, 9).iloc[:0]) == []


@settings(deadline=None, max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)), max_size=6, unique_by=lambda pair: pair[1]))
def test_all_copies_are_linked_and_only_they(copies):
    rows = table(20, seed=1, digits=1)  # so coarse that many people agree in many features
    for source, target in copies:
        rows.iloc[target] = rows.iloc[source].to_numpy()
    values = rows.to_numpy()
    groups = {name: {name} for name in rows.index}
    for a, b in duplicates.equal_rows(rows):
        merged = groups[a] | groups[b]
        groups |= dict.fromkeys(merged, merged)
    equal = (values[:, None] == values[None]).all(axis=2)
    assert [groups[name] for name in rows.index] == [set(rows.index[row]) for row in equal]


def brain(seed=0):
    rng = np.random.default_rng(seed)
    return np.pad(rng.gamma(8, 12, (12, 14, 10)), 2).astype(np.float32)


def save(path, values, affine=None, kind=np.float32):
    image = nib.Nifti1Image(values.astype(kind), np.eye(4) if affine is None else affine)
    nib.save(image, path)
    return path


def test_voxels_are_compared_whatever_stands_around_them(tmp_path):
    one = save(tmp_path / "a.nii.gz", brain())
    moved = np.diag([1.0, 1.0, 1.0, 1.0])
    moved[:3, 3] = 7
    copies = {
        "plain.nii": save(tmp_path / "plain.nii", brain()),
        "moved": save(tmp_path / "moved.nii.gz", brain(), moved),
        "scaled to 16 bits": save(tmp_path / "scaled.nii.gz", (brain() * 40).round(), kind=np.int16),
    }
    assert {name: duplicates.same_voxels(one, copy) for name, copy in copies.items()} == dict.fromkeys(copies, True)
    rng = np.random.default_rng(1)
    others = {
        "somebody else": brain(2),
        "noisier": brain() + 2 * rng.standard_normal(brain().shape),
        "cropped": brain()[1:],
        "empty": np.zeros_like(brain()),
    }
    for name, values in others.items():
        assert not duplicates.same_voxels(one, save(tmp_path / "other.nii.gz", np.asarray(values))), name


def numbers(scans=30):
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal([-1.5, 0.6, 3.1, 1.1, 7.4], [0.14, 0.08, 0.19, 0.24, 0.08], (scans, 5)))
    return pd.DataFrame(values, [f"s{number}_1" for number in range(scans)], list(duplicates.NUMBERS))


def test_equal_numbers_lead_to_images_and_voxels_decide(tmp_path):
    measured = numbers()
    measured.loc["s9_1"] = measured.loc["s2_1"] * 1.0001  # saved again
    measured.loc["s8_1"] = measured.loc["s1_1"] * 0.9999  # by chance
    assert duplicates.similar_rows(measured) == [("s1_1", "s8_1"), ("s2_1", "s9_1")]
    brains = {
        name: save(tmp_path / f"{name}.nii.gz", brain(seed)) for seed, name in enumerate(["s1_1", "s8_1", "s2_1"])
    }
    brains["s9_1"] = save(tmp_path / "s9_1.nii", brain(2) * 40, kind=np.int16)
    found = duplicates.find_duplicates(measured, table(30), brains)
    assert found.values.tolist() == [["s2_1", "s9_1", "the same image"]]
    assert duplicates.find_duplicates(measured, table(30), {}).empty


def test_numbers_that_say_nothing_lead_nowhere():
    assert duplicates.similar_rows(numbers()) == []
    assert duplicates.similar_rows(numbers()[["white_snr", "brain_ml"]]) == []
    assert duplicates.similar_rows(numbers().assign(white_snr=20.0, brain_ml=1200.0)) == []
    gaps = numbers()
    gaps.iloc[5] = gaps.iloc[4]
    gaps.iloc[5, 0] = np.nan
    assert duplicates.similar_rows(gaps) == []


def test_a_repeated_visit_is_set_aside_and_two_people_are_left_to_the_guard():
    judged = pd.DataFrame({"scan_id": ["a_1", "a_2", "b_1"], "participant_id": ["a", "a", "b"], "included": True})
    judged = judged.assign(stage=pd.Series([None] * 3, dtype=object), reason=pd.Series([None] * 3, dtype=object))
    pairs = pd.DataFrame(
        [("a_1", "a_2", "the same image"), ("a_2", "b_1", "the same image")], columns=["a", "b", "what"]
    )
    found, others = duplicates.set_aside_repeats(judged, pairs)
    assert found["included"].tolist() == [True, False, True]
    assert found["stage"].tolist() == [None, "qc", None]
    assert found["reason"][1].startswith("the same image as a_1, another visit of this participant")
    assert others[["a", "b"]].values.tolist() == [["a_2", "b_1"]]


@pytest.mark.skipif(not TABLES.exists(), reason="the reference tables are not here")
def test_real_tables_hold_the_repeats_that_they_hold():
    ixi = pd.read_csv(TABLES / "ixi_fs_dk_thickness.csv.gz", index_col=0).filter(regex="thickness$")
    assert len(ixi) == 576 and duplicates.equal_rows(ixi) == []
    table = pd.read_csv(TABLES / "openneuro6_fs_destrieux.csv.gz")
    found = duplicates.equal_rows(table.filter(regex="thickness$"))
    # 28 children of ds003416 stand twice, at two ages, with one row of thicknesses
    pairs = np.array(found).astype(int)
    people = table["sub_id"].to_numpy()
    assert len(pairs) == 28
    assert (people[pairs[:, 0]] == people[pairs[:, 1]]).all()
    assert set(table["site"].to_numpy()[pairs.ravel()]) == {"ds003416"}
