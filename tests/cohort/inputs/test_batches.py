"""Scans keep their batch, and a batch's hash changes with what it reads and with nothing else."""

import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cohort.folders import entry, find, subjects, touch
from workflow_scripts.lib.cohort.inputs.batches import assign_batches, batch_states, row_batches


def scans_of(visits):
    table = pd.DataFrame(visits, columns=["participant_id", "session_id"])
    return table.assign(scan_id=table["participant_id"] + "_" + table["session_id"])


people = st.lists(st.integers(1, 4), min_size=1, max_size=12)
sizes, starts, flags = st.integers(1, 6), st.integers(0, 3), st.booleans()


@given(people, people, sizes, starts, flags, st.randoms())
def test_scans_keep_their_batch_whatever_comes_and_goes(counts, later, per_job, first, together, random):
    visits = [(f"p{i}", str(s)) for i, count in enumerate(counts) for s in range(count)]
    table = scans_of(visits)
    before = dict(zip(table["scan_id"], assign_batches(table, per_job, first, together=together), strict=True))
    stay = random.sample(visits, random.randint(0, len(visits)))
    new = [(f"n{i}", str(s)) for i, count in enumerate(later) for s in range(count)]
    mixed = stay + new
    random.shuffle(mixed)
    after = scans_of(mixed)
    given_ = dict(zip(after["scan_id"], assign_batches(after, per_job, first, before, together), strict=True))
    kept = {scan: batch for scan, batch in before.items() if scan in given_}
    assert {scan: given_[scan] for scan in kept} == kept
    fresh = {batch for scan, batch in given_.items() if scan not in before}
    assert not fresh & set(kept.values())  # a batch that was dealt takes nobody new
    assert all(int(batch) >= first for batch in given_.values())


@given(people, sizes, starts)
def test_without_a_past_batches_are_filled_in_order(counts, per_job, first):
    table = scans_of([(f"p{i}", str(s)) for i, count in enumerate(counts) for s in range(count)])
    batches = assign_batches(table, per_job, first)
    assert batches == [f"{first + row // per_job:03d}" for row in range(len(table))]
    assert assign_batches(table, per_job, 0) == row_batches(len(table), per_job)


@given(people, sizes)
def test_all_visits_of_a_person_may_share_a_batch(counts, per_job):
    visits = [(f"p{i}", str(s)) for s in range(4) for i, count in enumerate(counts) if s < count]
    table = scans_of(visits)
    table["batch"] = assign_batches(table, per_job, together=True)
    assert table.groupby("participant_id")["batch"].nunique().max() == 1
    by_batch = table.groupby("batch")
    over = by_batch.size() > per_job
    assert (by_batch["participant_id"].nunique()[over] == 1).all()


def test_a_new_visit_joins_the_others_if_they_belong_together():
    before = {"a_1": "000", "b_1": "001"}
    table = scans_of([("a", "1"), ("a", "2"), ("b", "1"), ("c", "1")])
    assert assign_batches(table, 1, 0, before, together=True) == ["000", "000", "001", "002"]
    assert assign_batches(table, 1, 0, before) == ["000", "002", "001", "003"]


@pytest.fixture
def study(tmp_path):
    one = entry("freesurfer", subjects(tmp_path / "s", "a", "b"), name="fs")
    two = entry("brains", touch(tmp_path / "v", "c.nii", "d.nii"), name="v")
    touch(tmp_path, "lh.csv")
    three = {"name": "t", "kind": "tables", "tables": [str(tmp_path / "lh.csv")]}

    def state():
        scans, _ = find(one, two, three, rows=["e"])
        return batch_states(scans.assign(batch=["000", "001", "002", "003", "004"]), [one, two, three])

    return tmp_path, state


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("s/a/scripts/recon-all.done", "000"),
        ("s/b/stats/aseg.stats", "001"),
        ("s/b/stats/new.stats", "001"),
        ("v/c.nii", "002"),
        ("lh.csv", "004"),
        ("beside.txt", None),
    ],
)
def test_a_changed_file_changes_its_batch_alone(study, name, changed):
    folder, state = study
    before = state()
    assert list(before) == ["000", "001", "002", "003", "004"]
    assert state() == before
    (folder / name).write_text("new")
    os.utime(folder / name, ns=(1, 10**9))
    after = state()
    assert {batch for batch in before if after[batch] != before[batch]} == ({changed} if changed else set())


def test_what_is_known_of_people_changes_no_batch():
    row = {"scan_id": "a_1", "kind": "t1w", "t1w": None, "image": "auto", "subject": None, "found": False, "input": "x"}
    states = [batch_states(pd.DataFrame([row | {"age": age, "batch": "000"}]), []) for age in (60, 61)]
    assert states[0] == states[1]
    other = batch_states(pd.DataFrame([row | {"found": True, "batch": "000"}]), [])
    assert other != states[0]
