"""Batches from the store: equal whether resident, streamed or read ahead, and intensities as the rules say."""

import copy
import itertools
import threading

import numpy as np
import pytest
import torch

from tests.imaging.store_files import COUNT, IDS, SHAPE, numbers, scale, thresholds, write_store
from workflow_scripts.lib.pretrain import source as module
from workflow_scripts.lib.pretrain.source import RULES, Ahead, PatchSource, moments
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")
ROWS = np.array([3, 0, 0, 17, 39])


@pytest.fixture
def store(tmp_path):
    return write_store(tmp_path / "store")


def expected(rows, rule):
    """Intensities and thresholds by the rule's words, in float64."""
    values, cuts = [], []
    for scan in rows:
        stored, of_tissue = numbers(scan).astype(float) * scale(scan), thresholds(scan).astype(float)
        shift = stored.mean() if rule == "zscore" else 0.0
        by = {"stored": 1.0, "unit": 255 * scale(scan), "zscore": stored.std(), "mean": stored.mean()}[rule]
        values.append((stored - shift) / by)
        cuts.append((of_tissue - shift) / by)
    return np.stack(values), np.stack(cuts)


@pytest.mark.parametrize("budget", [10**9, 0], ids=["resident", "streamed"])
@pytest.mark.parametrize("rule", RULES)
def test_intensities_and_thresholds_are_as_the_rule_says(store, rule, budget):
    source = PatchSource(store, "one", IDS, CPU, budget, rule)
    assert (source._resident is None) == (budget == 0)
    values, cuts = expected(ROWS, rule)
    batch, classes = source.batch(ROWS), source.classes(ROWS)
    assert batch.shape == (5, 1, *SHAPE)
    assert batch.dtype == classes.dtype == torch.float32
    np.testing.assert_allclose(batch[:, 0].numpy(), values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(classes.numpy(), cuts, rtol=1e-5, atol=1e-5)
    # also of rows whose batch was not asked for before
    np.testing.assert_allclose(source.classes(ROWS[::-1].copy()).numpy(), cuts[::-1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ["one", "whole"])
def test_resident_streamed_and_announced_batches_are_the_same_to_the_bit(store, rule, name):
    resident, streamed, ahead = (PatchSource(store, name, IDS, CPU, budget, rule) for budget in (10**9, 0, 0))
    batches = np.array_split(np.random.default_rng(1).permutation(COUNT), 6)
    ahead.prefetch(batches[0])
    for rows, following in itertools.zip_longest(batches, batches[1:], fillvalue=batches[0]):
        ahead.prefetch(following)
        expected_batch, expected_classes = resident.batch(rows), resident.classes(rows)
        for other in (streamed, ahead):
            assert torch.equal(other.batch(rows), expected_batch)
            assert torch.equal(other.classes(rows), expected_classes)
        # nor does it matter who else is in the batch
        assert torch.equal(streamed.batch(rows[2:4]), expected_batch[2:4])
    assert resident.intensity() == streamed.intensity()
    assert resident.fingerprint() == streamed.fingerprint()


def test_unit_ends_at_one(store):
    batch = PatchSource(store, "one", IDS, CPU, rule="unit").batch(np.arange(COUNT))
    assert (batch.min().item(), batch.max().item()) == (0, 1)


@pytest.mark.parametrize("rule", ["zscore", "mean"])
def test_arrays_of_one_value_become_finite(store, rule):
    scans = np.load(store[0] / "one.npy")
    scans[:10], scans[10:] = 0, 7
    np.save(store[0] / "one.npy", scans)
    source = PatchSource(store, "one", IDS, CPU, rule=rule)
    batch = source.batch(np.arange(COUNT))
    assert torch.isfinite(batch).all()
    assert torch.isfinite(source.classes(np.arange(COUNT))).all()
    constant = {value.item() for value in batch.flatten(1)[batch.flatten(1).std(1) == 0][:, 0]}
    assert constant == ({0.0} if rule == "zscore" else {0.0, 1.0})


@pytest.mark.parametrize("shape", [(2, 3, 5), (16, 16, 16), (7, 9, 11)])
def test_moments_are_exact(shape):
    drawn = np.random.default_rng(5).integers(200, 256, (4, *shape), dtype=np.uint8)
    drawn[0] = 255
    mean, std = moments(torch.from_numpy(drawn))
    flat = drawn.reshape(4, -1).astype(np.int64)
    count = flat.shape[1]
    np.testing.assert_array_equal(mean.numpy(), flat.sum(1) / count)
    variance = [(count * int((row**2).sum()) - int(row.sum()) ** 2) / count**2 for row in flat]  # whole numbers inside
    np.testing.assert_allclose(std.numpy(), np.sqrt(variance), rtol=1e-9, atol=0)


@pytest.mark.parametrize("rule", RULES)
def test_intensity_statistics(store, rule, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 3 * int(np.prod(SHAPE)))  # many parts
    values, _ = expected(range(COUNT), rule)
    mean, std = PatchSource(store, "one", IDS, CPU, 0, rule).intensity()
    assert mean == pytest.approx(values.mean(), rel=1e-5, abs=1e-6)
    assert std == pytest.approx(values.std(), rel=1e-5)


def test_residence_is_filled_in_parts(store, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 7 * int(np.prod(SHAPE)))
    source = PatchSource(store, "one", IDS[::-1], CPU)
    np.testing.assert_array_equal(source._resident.numpy(), [numbers(scan) for scan in reversed(range(COUNT))])


def test_sharding_changes_nothing(tmp_path):
    sources = [PatchSource(write_store(tmp_path / str(n), n), "two", IDS, CPU) for n in (1, 3)]
    rows = np.arange(COUNT)
    assert torch.equal(sources[0].batch(rows), sources[1].batch(rows))
    assert sources[0].fingerprint() == sources[1].fingerprint()


def test_fingerprint_sees_scans_array_rule_and_thresholds(store, tmp_path):
    plain = write_store(tmp_path / "plain", with_thresholds=False)
    prints = [
        PatchSource(folders, name, ids, CPU, rule=rule).fingerprint()
        for folders in (store, plain)
        for name in ("one", "two")
        for ids in (IDS[:2], IDS[1::-1], IDS[:1])
        for rule in ("stored", "unit")
    ]
    assert len(set(prints)) == len(prints) == 24


def test_classes_of_an_earlier_store_are_refused_with_the_remedy(tmp_path):
    source = PatchSource(write_store(tmp_path, with_thresholds=False), "one", IDS, CPU)
    source.batch(ROWS)
    with pytest.raises(StudyError, match=r"no thresholds between tissues.*Rerun extract_patches"):
        source.classes(ROWS)


@pytest.mark.parametrize("ids", [[IDS[1], "nobody_1"], []])
def test_missing_scans_are_named(store, ids):
    with pytest.raises(StudyError, match=r"nobody_1|no scan"):
        PatchSource(store, "one", ids, CPU)


def test_an_unknown_rule_is_refused(store):
    with pytest.raises(StudyError, match="'robust' is not known; choose one of stored, unit, zscore, mean"):
        PatchSource(store, "one", IDS, CPU, rule="robust")


def test_copies_share_the_source(store):
    source = PatchSource(store, "one", IDS, CPU, 0)
    source.prefetch(ROWS)
    assert copy.deepcopy({"source": source})["source"] is source


class Reads:
    """Stands for the store: fills each row with its number; can be held up, can fail."""

    def __init__(self):
        self.done, self.go, self.fail = [], threading.Event(), False
        self.go.set()

    def __call__(self, rows, out):
        assert self.go.wait(10)
        if self.fail:
            raise StudyError("cut off")
        self.done.append((rows.tolist(), threading.current_thread() is threading.main_thread()))
        out[:] = rows[:, None, None, None]

    def rows(self):
        return [rows for rows, _ in self.done]


def rows_of(taken):
    return taken[:, 0, 0, 0].tolist()


def test_announced_rows_are_read_once_and_beside_the_caller():
    reads = Reads()
    ahead = Ahead(reads, (2, 2, 2), CPU)
    reads.go.clear()
    ahead.announce(np.array([4, 2]))  # returns while nothing is read yet
    assert not reads.done
    reads.go.set()
    assert rows_of(ahead.take(np.array([4, 2]))) == [4, 2]
    assert reads.done == [([4, 2], False)]


def test_rows_that_were_not_announced_are_read_and_the_announced_stay():
    reads = Reads()
    ahead = Ahead(reads, (2, 2, 2), CPU)
    ahead.announce(np.array([4, 2]))
    assert rows_of(ahead.take(np.array([7]))) == [7]
    assert rows_of(ahead.take(np.array([4, 2]))) == [4, 2]
    assert reads.rows() == [[4, 2], [7]]


def test_two_buffers_serve_any_number_of_announcements():
    ahead = Ahead(Reads(), (2, 2, 2), CPU)
    taken = set()
    for number in range(6):
        ahead.announce(np.array([number, 9]))
        taken.add(ahead.take(np.array([number, 9])).data_ptr())
    assert len(taken) == 2
    # three announced and not taken: the oldest is given up, and read when it is wanted
    for number in range(3):
        ahead.announce(np.array([number, 9]))
    for number in range(3):
        assert rows_of(ahead.take(np.array([number, 9]))) == [number, 9]
    assert len(ahead._free) + len(ahead._announced) == 2


def test_an_announced_batch_that_is_in_use_is_not_overwritten():
    ahead = Ahead(Reads(), (2, 2, 2), CPU)
    ahead.announce(np.array([1]))
    first = ahead.take(np.array([1]))
    ahead.announce(np.array([2]))
    assert rows_of(ahead.take(np.array([2]))) == [2]
    assert rows_of(first) == [1]


def test_what_goes_wrong_in_the_thread_reaches_the_caller_and_passes():
    reads = Reads()
    ahead = Ahead(reads, (2, 2, 2), CPU)
    reads.fail = True
    ahead.announce(np.array([1]))
    with pytest.raises(StudyError, match="cut off"):
        ahead.take(np.array([1]))
    reads.fail = False
    assert rows_of(ahead.take(np.array([1]))) == [1]


def test_announcing_copies_the_rows():
    ahead, rows = Ahead(Reads(), (2, 2, 2), CPU), np.array([1, 2])
    ahead.announce(rows)
    rows[:] = 5
    assert rows_of(ahead.take(np.array([1, 2]))) == [1, 2]


class FakeGPU:
    """Streams and events that write down what was asked of them, for the order of calls on a GPU."""

    def __init__(self):
        self.calls = []

    def event(self):
        gpu, name = self, f"event {sum(call.startswith('new') for call in self.calls)}"
        self.calls.append(f"new {name}")

        class Event:
            def record(self):
                gpu.calls.append(f"record {name}")

            def synchronize(self):
                gpu.calls.append(f"synchronize {name}")

            def __str__(self):
                return name

        return Event()

    def wait_event(self, event):
        self.calls.append(f"wait {event}")


def test_on_a_gpu_copies_are_waited_for_before_use_and_before_buffers_are_filled_again(monkeypatch):
    gpu = FakeGPU()
    monkeypatch.setattr(module.torch.cuda, "Event", gpu.event)
    monkeypatch.setattr(module.torch.cuda, "stream", lambda _: threading.Lock())
    monkeypatch.setattr(module.torch.cuda, "current_stream", lambda _: gpu)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: gpu.calls.append("keep for this stream"))
    reads = Reads()
    ahead = Ahead(reads, (2, 2, 2), CPU)
    ahead._stream = gpu
    ahead._allocate = lambda count: torch.empty((count, 2, 2, 2), dtype=torch.uint8)
    for number in range(3):
        ahead.announce(np.array([number]))
        assert rows_of(ahead.take(np.array([number]))) == [number]
    one = ["new event {0}", "record event {0}", "wait event {0}", "keep for this stream"]
    calls = [call.format(number) for number in range(2) for call in one]
    assert gpu.calls == [*calls, "synchronize event 0", *[call.format(2) for call in one]]
