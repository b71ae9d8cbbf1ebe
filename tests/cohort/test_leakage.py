"""Attempts to let a participant train and test at once, each through what the study runs, each refused by name."""

import gzip
import logging
import shutil
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from tests.imaging.qc.qc_study import study
from tests.imaging.qc.test_collect import collect
from workflow_scripts.cohort import make_cohort
from workflow_scripts.lib.cohort.guard import refuse_duplicates
from workflow_scripts.lib.cohort.participants import make_scans, read_participants
from workflow_scripts.lib.cohort.same_files import find_same_files
from workflow_scripts.lib.evaluate.probe import ProbeOptions, run_task
from workflow_scripts.lib.evaluate.resample import refuse_leakage
from workflow_scripts.lib.models.weights import refuse_seen
from workflow_scripts.lib.pretrain import volume_runs
from workflow_scripts.lib.pretrain.data import training_scans
from workflow_scripts.lib.pretrain.targets import name_sets
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import LeakageError
from workflow_scripts.lib.study.ids import participant_hashes

ROLES = {"pretrain": ["ukb"], "evaluate": ["adni"]}
HEADER = "participant_id\tsession_id\tcohort\tsite\tage\tdiagnosis\tsplit\tt1w"


class Given(dict):
    __getattr__ = dict.__getitem__


def write(folder, *rows):
    """Make a participants table and its volumes, each of its own content."""
    lines = [HEADER, *("\t".join(row.split()) for row in rows)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    for number, row in enumerate(rows):
        path = folder / row.split()[-1]
        if not path.exists():
            with gzip.GzipFile(path, "wb", mtime=0) as file:
                file.write(bytes([number]) * 4000)
    return folder / "participants.tsv"


def run(folder, table, roles=ROLES):
    """Run rule make_cohort on a table; returns its scans."""
    scans = read_participants(table).assign(input="mine", batch="000")
    tables.write_table(scans, folder / "index.tsv", "scans")
    names = ("scans", "roles", "tasks", "task_counts")
    output = Given({name: folder / "out" / f"{name}.tsv" for name in names})
    cohort = {"scans_per_job": 9, "label_columns": [], "roles": roles}
    tasks = {"ad_cn": {"kind": "binary", "column": "diagnosis", "positive": ["AD"], "negative": ["CN"]}}
    params = SimpleNamespace(cohort=cohort, phantom=None, tasks=tasks, min_participants=1)
    given = SimpleNamespace(phantom=[], index=folder / "index.tsv")
    make_cohort.main(SimpleNamespace(input=given, output=output, params=params))
    return tables.read_table(output.scans, "scans")


FINE = ("u1 1 ukb s 60 CN n/a a.nii.gz", "e1 1 adni s 70 AD n/a b.nii.gz", "e2 1 adni s 71 CN n/a c.nii.gz")


def test_an_honest_study_passes_and_shows_its_counts(tmp_path, capsys):
    assert run(tmp_path, write(tmp_path, *FINE))["split"].tolist() == ["train", "test", "test"]
    said = capsys.readouterr().err
    assert "Tasks, before quality control, of 2 scans of 2 people to evaluate:" in said
    assert "ad_cn         0 CN               1      1" in said


# 1 and 2: a participant in two splits, a second session in the test


def test_a_participant_in_two_splits_is_refused(tmp_path):
    rows = ("u1 1 ukb s 60 CN train a.nii.gz", "u1 2 ukb s 62 CN test d.nii.gz", *FINE[1:])
    with pytest.raises(LeakageError, match=r"participants in both split train and split test: u1\."):
        run(tmp_path, write(tmp_path, *rows))
    assert not (tmp_path / "out").exists()


def test_a_second_session_under_a_cohort_of_the_evaluation_is_refused(tmp_path):
    with pytest.raises(LeakageError, match=r"in both pretraining and evaluation: u1\."):
        run(tmp_path, write(tmp_path, *FINE, "u1 2 adni s 62 AD n/a d.nii.gz"))


def test_a_second_session_forced_into_training_is_refused(tmp_path):
    with pytest.raises(LeakageError, match=r"in both split train and split test: e1\."):
        run(tmp_path, write(tmp_path, *FINE, "e1 2 adni s 72 AD train d.nii.gz"))


def test_a_second_session_in_a_resamples_test_is_refused_and_no_probe_draws_one():
    ids = np.array(["a", "a", "b", "c"])
    train = np.array([[True, False, True, False]])
    with pytest.raises(
        LeakageError, match=r"resample 0: participant a is in training and in test \(1 and 1 of its scans\)"
    ):
        refuse_leakage(ids, train, ~train)
    people = [f"p{number // 2}" for number in range(40)]
    task = pd.DataFrame({"task": "t", "kind": "binary", "participant_id": people, "y": [0.0, 0, 1, 1] * 10})
    task["scan_id"] = [f"{person}_{place % 2}" for place, person in enumerate(people)]
    table = task[["scan_id", "participant_id"]].assign(x=np.random.default_rng(0).normal(size=40))
    scores = run_task(table, task, ProbeOptions(20, 5, 0.5, True, 1.0, 1.0), 1)
    # both sessions of whoever is left out, in every resample
    assert (scores.groupby(["resample", "participant_id"]).size() == 2).all()


# 3: a pretraining participant in the test


def test_a_pretraining_participant_among_the_evaluated_is_refused_even_if_the_roles_are_edited(tmp_path):
    scans = run(tmp_path, write(tmp_path, *FINE))
    roles = pd.DataFrame({"participant_id": ["u1", "e1", "u1"], "role": ["pretrain", "evaluate", "evaluate"]})
    with pytest.raises(LeakageError, match=r"both pretraining and evaluation: u1\."):
        training_scans(scans, roles, scans[["scan_id", "participant_id"]])


def test_weights_name_whom_they_have_seen_the_validation_set_included():
    scans = pd.DataFrame({"scan_id": [f"p{n}_1" for n in range(9)], "participant_id": [f"p{n}" for n in range(9)]})
    sets = volume_runs.hold_out(scans, 0.3, 1, "sfcn")
    card = {"participants": participant_hashes(sets["participant_id"])}
    chooser = sets.loc[sets["set"] == "validation", "participant_id"].iloc[0]
    with pytest.raises(
        LeakageError, match=f"1 participants to evaluate were used to train mine, the first is '{chooser}'"
    ):
        refuse_seen(card, ["e1", chooser], "mine")
    refuse_seen(card, ["e1"], "mine")


def test_another_scan_of_a_validation_participant_is_no_test_of_labels():
    scans = pd.DataFrame({"scan_id": ["a_1", "a_2"], "participant_id": "a", "cohort": ["ukb", "adni"]})
    sets = pd.DataFrame({"scan_id": ["a_1"], "participant_id": ["a"], "set": ["validation"]})
    assert name_sets(scans, sets).tolist() == ["validation", "unused"]


# 4: one image under two ids


@pytest.mark.parametrize("how", ["same path", "link", "copy", "plain copy"])
def test_one_file_under_two_participants_is_refused_before_anything_is_computed(tmp_path, how):
    second = "a.nii.gz" if how == "same path" else "z.nii.gz"
    table = write(tmp_path, *FINE, f"e9 1 adni s 60 CN n/a {second}")
    if how == "link":
        (tmp_path / "z.nii.gz").unlink()
        (tmp_path / "z.nii.gz").symlink_to(tmp_path / "a.nii.gz")
    elif how != "same path":
        shutil.copy(tmp_path / "a.nii.gz", tmp_path / "z.nii.gz")
    with pytest.raises(LeakageError, match="u1_1 and e9_1: the same file, under the participants u1 and e9"):
        run(tmp_path, table)
    assert not (tmp_path / "out").exists()


def test_files_of_one_size_are_told_apart(tmp_path):
    contents = {"a": b"x" * 9000, "b": b"x" * 8999 + b"y", "c": b"y" + b"x" * 8999, "d": b"x" * 9000, "e": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    paths = {f"{name}_1": tmp_path / name for name in contents} | {"gone_1": tmp_path / "gone", "f_1": tmp_path}
    assert find_same_files(paths) == [("a_1", "d_1")]


def varied(count=6):
    """A study whose scans differ as people do; see qc_study."""
    scans, made, placed, features = study(count)
    rng = np.random.default_rng(0)
    for name in ("grey_white_contrast", "contrast_to_noise", "noise_percent", "brain_ml"):
        made[name] *= rng.uniform(0.95, 1.05, count)
    made["white_snr"] = rng.uniform(15, 25, count)
    for number in range(20):
        features[f"f{number}"] = rng.uniform(2000, 3000, count)
    return scans, made, placed, features


def test_one_image_under_two_participants_is_refused_by_quality_control(tmp_path):
    """The header says another place, the file is compressed otherwise, and its features came out differently."""
    parts = varied()
    made = parts[1]
    columns = made.columns.drop(["scan_id"])
    made.loc[4, columns] = made.loc[1, columns]
    for folder, scan, suffix in (("000", "sub-2_1", ".nii.gz"), ("001", "sub-5_1", ".nii.gz")):
        affine = np.eye(4)
        affine[:3, 3] = len(folder + scan) * (scan == "sub-5_1")
        (tmp_path / folder).mkdir()
        values = np.random.default_rng(1).gamma(8, 12, (9, 8, 7)).astype(np.float32)
        nib.save(nib.Nifti1Image(values, affine), tmp_path / folder / f"{scan}{suffix}")
    with pytest.raises(
        LeakageError, match="sub-2_1 and sub-5_1: the same image, under the participants sub-2 and sub-5"
    ):
        collect(tmp_path, parts)


def test_one_row_of_features_under_two_participants_is_refused(tmp_path):
    parts = varied()
    features = parts[3]
    names = features.columns.drop(["scan_id", "participant_id"])
    features.loc[5, names] = features.loc[0, names]
    with pytest.raises(LeakageError, match="sub-1_1 and sub-6_1: the same regional features, under the participants"):
        collect(tmp_path, parts)


def test_a_pair_of_which_one_is_excluded_by_hand_goes_on(tmp_path):
    parts = varied()
    features = parts[3]
    names = features.columns.drop(["scan_id", "participant_id"])
    features.loc[5, names] = features.loc[0, names]
    (tmp_path / "overrides.tsv").write_text("scan_id\tdecision\treason\nsub-6_1\texclude\ttwin\n")
    found = collect(tmp_path, parts, overrides=str(tmp_path / "overrides.tsv"))
    assert found["included"]["scan_id"].tolist() == [f"sub-{number}_1" for number in range(1, 6)]


def test_a_visit_that_repeats_another_is_set_aside_by_name(tmp_path, caplog):
    scans, made, placed, features = varied()
    for table in (scans, features):
        table.loc[table["scan_id"] == "sub-6_1", "participant_id"] = "sub-1"
    names = features.columns.drop(["scan_id", "participant_id"])
    features.loc[5, names] = features.loc[0, names]
    with caplog.at_level(logging.WARNING):
        found = collect(tmp_path, (scans, made, placed, features))
    why = "the same regional features as sub-1_1, another visit of this participant; correct its path or drop its row"
    assert found["excluded"].values.tolist() == [["sub-6_1", "qc", why]]
    assert "sub-6_1 set aside by qc: the same regional features as sub-1_1" in caplog.text


def test_many_pairs_are_named_by_the_first_five():
    people = {f"{name}_{visit}": name for name in "abcdefgh" for visit in "12"}
    pairs = [(f"{a}_1", f"{b}_1", "the same image") for a, b in zip("abcdefg", "bcdefgh", strict=True)]
    with pytest.raises(
        LeakageError, match=r"a_1 and b_1: the same image(.|\n)*and 2 more pairs\nDrop one row"
    ) as error:
        refuse_duplicates(pairs, people)
    assert str(error.value).count("the same image") == 5
    with pytest.raises(LeakageError, match="a_1 and a_2: the same image, under two sessions of participant a"):
        refuse_duplicates([("a_1", "a_2", "the same image")], people)
    refuse_duplicates([], people)


def test_scans_table_made_by_hand_is_checked_too():
    table = pd.DataFrame({"participant_id": ["a", "a"], "session_id": ["1", "2"], "cohort": ["ukb", "adni"]})
    with pytest.raises(LeakageError, match="both pretraining and evaluation: a"):
        make_scans(table.assign(split=None), ROLES)
