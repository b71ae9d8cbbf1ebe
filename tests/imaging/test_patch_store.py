"""The patch store: what eight bits lose, and that a shard gives back what was cut."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workflow_scripts.lib.imaging.contract import from_json, registered_contract
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.patch_store import to_uint8, write_shard
from workflow_scripts.lib.imaging.regions import patch_slices
from workflow_scripts.lib.study.files import read_json
from workflow_scripts.lib.study.tables import read_table

CONTRACT = registered_contract({"spacing_mm": 8, "parameters": 7})
values = arrays.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 2000, width=32))


@settings(max_examples=60)
@given(values)
def test_quantising_errs_by_half_a_step_below_the_cut(volume):
    stored, scale = to_uint8(volume)
    assert stored.dtype == np.uint8
    assert scale > 0
    top = 255 * scale
    error = np.abs(stored * scale - volume)[volume <= top]
    assert (error <= scale / 2 * (1 + 1e-5)).all()
    assert (stored[volume > top] == 255).all()


def test_the_cut_is_the_bright_end_of_the_brain_alone():
    volume = np.zeros((40, 40, 40), np.float32)
    volume[10:30, 10:30, 10:30] = np.random.default_rng(1).uniform(50, 110, (20, 20, 20))
    volume[15, 15, 15] = 5000  # a vessel must not darken everything else
    stored, scale = to_uint8(volume)
    assert 105 < scale * 255 <= 112
    assert stored[15, 15, 15] == 255
    assert (stored[volume == 0] == 0).all()


def test_an_empty_volume_stays_empty():
    stored, scale = to_uint8(np.zeros((3, 3, 3), np.float32))
    assert scale > 0
    assert not stored.any()


def test_a_shard_gives_back_every_patch_of_every_scan(tmp_path):
    random = np.random.default_rng(2)
    volumes = {f"p{n}_1": random.gamma(2, 30, Grid(8).shape).astype(np.float32) for n in (3, 1, 2)}
    write_shard(volumes, CONTRACT, tmp_path / "000")
    table = read_table(tmp_path / "000/scans.tsv", "patch_shard")
    assert table["scan_id"].tolist() == list(volumes)
    assert table["row"].tolist() == [0, 1, 2]
    assert from_json(read_json(tmp_path / "000/contract.json"), "contract.json") == CONTRACT
    assert {path.stem for path in (tmp_path / "000").glob("*.npy")} == set(PATCHES)
    for patch, box in patch_slices(8).items():
        stack = np.load(tmp_path / f"000/{patch}.npy", mmap_mode="r")
        assert stack.dtype == np.uint8
        for scan in table.itertuples():
            part = volumes[scan.scan_id][box]
            kept = part <= 255 * scan.scale
            assert kept.mean() > 0.99
            np.testing.assert_allclose((stack[scan.row] * scan.scale)[kept], part[kept], atol=scan.scale / 2 * 1.0001)


def test_a_batch_whose_scans_were_all_set_aside_is_an_empty_shard(tmp_path):
    write_shard({}, CONTRACT, tmp_path / "000")
    assert len(read_table(tmp_path / "000/scans.tsv", "patch_shard")) == 0
    assert np.load(tmp_path / "000/parietal_L.npy").shape == (0, 10, 14, 11)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_a_scan_is_stored_the_same_whatever_stands_beside_it(tmp_path, order):
    random = {name: np.random.default_rng(ord(name)).gamma(2, 30, Grid(8).shape).astype(np.float32) for name in "ab"}
    write_shard({name: random[name] for name in order}, CONTRACT, tmp_path / "pair")
    write_shard({"a": random["a"]}, CONTRACT, tmp_path / "alone")
    pair, alone = (np.load(tmp_path / folder / "cingulate_R.npy") for folder in ("pair", "alone"))
    np.testing.assert_array_equal(pair[order.index("a")], alone[0])
