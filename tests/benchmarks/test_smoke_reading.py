"""The reading benchmarks run; how fast is no test's business."""

import numpy as np
import pytest
import torch

from tests.benchmarks import memory, read_store


def test_reading_from_the_store_and_from_volumes(capsys):
    rows = read_store.main(["--scans", "3", "--spacing", "8", "--batch", "2", "--repeats", "1"])
    assert {(row["what"], row["cache"]) for row in rows} == {
        (what, cache) for what in ("one patch", "whole volume", "18 patches") for cache in ("warm", "cold")
    }
    assert all(row["ratio"] == 1 for row in rows if row["route"].startswith("NIfTI"))
    assert len(capsys.readouterr().out.splitlines()) == 3 + len(rows)


def test_routes_give_the_same_batches(tmp_path):
    files, shards, ids = read_store.make_study(tmp_path, 3, 8)
    box = read_store.patch_slices(8)["parietal_L"]
    sources = [read_store.PatchSource(shards, "parietal_L", ids, read_store.CPU, 0)]
    batches = read_store.batches_of(3, 2)
    assert sorted(np.concatenate(batches)) == [0, 1, 2]
    plain = list(read_store.from_nifti(files, [box], batches))
    for ahead in (False, True):
        for found, expected in zip(read_store.from_store(sources, batches, ahead), plain, strict=True):
            assert (found - expected).abs().quantile(0.99) < 0.5
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(SystemExit, match="do not do the same work"):
        read_store.check(files, sources[0], (slice(0, 10), *box[1:]))


@pytest.mark.skipif(not memory.Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_an_epoch(tmp_path, capsys):
    shards = memory.write_store(tmp_path, 450, (2, 3, 4))
    assert len(shards) == 3
    source = memory.PatchSource(shards, "patch", memory.scan_ids(450)[::-1], torch.device("cpu"), 0)
    assert source.batch(np.array([0, 449])).shape == (2, 1, 2, 3, 4)
    memory.main(["--counts", "450", "--shape", "2", "3", "4", "--batch", "32"])
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[0] == "450"
    assert 50 < float(last[2]) < 5000  # MB of a process with torch
