"""Reading the store: the right rows in the right order, and what is refused."""

import itertools
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.imaging.store_files import COUNT, IDS, SHAPE, numbers, scale, thresholds, write_store
from workflow_scripts.lib.imaging import store_reader
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.patch_store import write_shard
from workflow_scripts.lib.imaging.store_reader import StoreReader
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json, write_json


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store")


def read(reader, rows):
    out = np.full((len(rows), *SHAPE), 99, np.uint8)
    reader.read(np.array(rows, int), out)
    return out


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scans=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=20), data=st.data())
def test_rows_are_the_scans_that_were_asked_for(store, scans, data):
    reader = StoreReader(store, "one", [IDS[scan] for scan in scans])
    assert (len(reader), reader.shape) == (len(scans), SHAPE)
    np.testing.assert_array_equal(reader.scale, [scale(scan) for scan in scans])
    np.testing.assert_array_equal(reader.thresholds, [thresholds(scan) for scan in scans])
    rows = data.draw(st.lists(st.integers(0, len(scans) - 1), max_size=30))
    for found, row in zip(read(reader, rows), rows, strict=True):
        np.testing.assert_array_equal(found, numbers(scans[row]))


def test_what_was_written_is_read(tmp_path):
    random = np.random.default_rng(4)
    contract = store_reader.from_json(read_json(write_store(tmp_path / "x")[0] / "contract.json"), "contract")
    volumes = [random.gamma(2, 30, Grid(8).shape).astype(np.float32) for _ in range(3)]
    write_shard(["a_1", "b_1"], volumes[:2], contract, tmp_path / "000", ["cube"])
    write_shard([], [], contract, tmp_path / "001", ["cube"])
    write_shard(["c_1"], volumes[2:], contract, tmp_path / "002", ["cube"])
    reader = StoreReader([tmp_path / name for name in ("000", "001", "002")], "cube", ["c_1", "a_1"])
    assert (reader.contract, reader.shape) == (contract, (24, 24, 24))
    out = np.empty((2, 24, 24, 24), np.uint8)
    reader.read(np.arange(2), out)
    expected = [np.load(tmp_path / place / "cube.npy")[0] for place in ("002", "000")]
    np.testing.assert_array_equal(out, expected)


def test_files_are_read_in_their_order(store, monkeypatch):
    reader = StoreReader(store, "one", IDS)
    places, preadv = [], store_reader.os.preadv

    def record(file, views, offset):
        places.append((file, offset))
        return preadv(file, views, offset)

    monkeypatch.setattr(store_reader.os, "preadv", record)
    read(reader, np.random.default_rng(1).permutation(COUNT))
    assert len(places) == COUNT
    files = [file for file, _ in places]
    assert len({(a, b) for a, b in itertools.pairwise(files) if a != b}) == 1  # one change of file
    for file in set(files):
        offsets = [offset for other, offset in places if other == file]
        assert offsets == sorted(offsets)


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(store_reader, "OPEN_FILES", 3)
    reader = StoreReader(write_store(tmp_path, shards=8), "one", IDS)
    for _ in range(2):
        rows = np.random.default_rng(2).permutation(COUNT)
        np.testing.assert_array_equal(read(reader, rows), [numbers(scan) for scan in rows])
        assert len(reader._open) == 3
    opened = list(reader._open.values())
    del reader
    assert all(file.closed for file in opened)


def test_threads_may_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(store_reader, "OPEN_FILES", 1)  # each read closes the file of the one before
    reader, wrong = StoreReader(write_store(tmp_path, shards=5), "one", IDS), []

    def work(seed):
        for _ in range(20):
            rows = np.random.default_rng(seed).permutation(COUNT)[:9]
            if not np.array_equal(read(reader, rows), [numbers(scan) for scan in rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_short_reads_are_taken_up_again(store, monkeypatch):
    preadv = store_reader.os.preadv
    monkeypatch.setattr(store_reader.os, "preadv", lambda file, views, at: preadv(file, [views[0][:100]], at))
    np.testing.assert_array_equal(read(StoreReader(store, "two", IDS), [5, 3]), [numbers(5, "two"), numbers(3, "two")])


def test_a_store_of_an_earlier_version_has_no_thresholds(tmp_path):
    assert StoreReader(write_store(tmp_path, with_thresholds=False), "one", IDS).thresholds is None


def break_contract(store, **change):
    path = store[1] / "contract.json"
    write_json(path, read_json(path) | change)


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("spacing_mm", 4.0, "spacing_mm: found 4, expected 8"),
        ("shape", [5, 5, 5], "shape: found 5, 5, 5, expected 25, 29, 25"),
        ("intensity", "raw", "intensity: found raw, expected white matter 110"),
        ("registration", "none", "registration: found none, expected similarity"),
    ],
)
def test_shards_of_other_volumes_are_refused_by_the_field(store, field, value, found):
    break_contract(store, **{field: value})
    with pytest.raises(StudyError, match=f"001.*{found}"):
        StoreReader(store, "one", IDS)


def test_missing_scans_are_counted_and_named(store):
    with pytest.raises(StudyError, match=r"2 scans are in no shard, the first is 'x_1'.*Rerun extract_patches"):
        StoreReader(store, "one", [IDS[0], "x_1", "y_1"])
    with pytest.raises(StudyError, match=r"no scan is given.*extract_volumes"):
        StoreReader(store, "whole", [])


def test_a_scan_in_two_shards_is_refused(store):
    table = pd.read_csv(store[0] / "scans.tsv", sep="\t")
    twice = pd.read_csv(store[1] / "scans.tsv", sep="\t")["scan_id"][2]
    table.loc[0, "scan_id"] = twice
    table.to_csv(store[0] / "scans.tsv", sep="\t", index=False)
    with pytest.raises(StudyError, match=rf"'{twice}' is in more than one shard.*Rerun extract_patches"):
        StoreReader(store, "one", [IDS[3], twice])


def replace(file, array):
    np.save(file, array)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), r"one\.npy: no such file; the shard has two, whole\. Rerun extract_patches"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "damaged or cut off"),
        (lambda file: replace(file, np.zeros((20, 3, 3, 3), np.uint8)), r"different sizes: \[\(3, 3, 3\), \(6, 7, 8\)"),
        (lambda file: replace(file, np.zeros((20, *SHAPE))), "found 4 axes of float64, expected scans x D x H x W"),
        (lambda file: replace(file, np.zeros((3, *SHAPE), np.uint8)), r"has no row \d+, which its scans\.tsv names"),
    ],
)
def test_damaged_arrays_are_refused_before_training(store, damage, message):
    damage(store[0] / "one.npy")
    with pytest.raises(StudyError, match=message):
        StoreReader(store, "one", IDS)


def test_an_array_that_shrinks_while_it_is_read_is_reported(store):
    reader = StoreReader(store, "one", IDS)
    for shard in store:
        (shard / "one.npy").write_bytes(b"")
    with pytest.raises(StudyError, match=r"one\.npy: ends within row"):
        read(reader, [0])
