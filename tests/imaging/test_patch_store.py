"""The patch store: what eight bits lose, and that a shard gives back what was cut."""

import weakref
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from workflow_scripts.lib.imaging.atlas import template
from workflow_scripts.lib.imaging.contract import from_json, registered_contract
from workflow_scripts.lib.imaging.grid import Grid
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.patch_store import block_mean, to_uint8, write_shard
from workflow_scripts.lib.imaging.regions import patch_slices, volume_slices
from workflow_scripts.lib.imaging.tissue import class_thresholds
from workflow_scripts.lib.imaging.volumes import save_volume
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json, write_json
from workflow_scripts.lib.study.tables import read_table
from workflow_scripts.patches import extract_patches, extract_volumes

CONTRACT = registered_contract({"spacing_mm": 8, "parameters": 7})
values = arrays.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 2000, width=32))


def draw(seed, spacing=8):
    return np.random.default_rng(seed).gamma(2, 30, Grid(spacing).shape).astype(np.float32)


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
    volumes = {f"p{n}_1": draw(n) for n in (3, 1, 2)}
    write_shard(list(volumes), volumes.values(), CONTRACT, tmp_path / "000")
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


def test_thresholds_of_the_whole_brain_stand_beside_the_scale(tmp_path):
    volumes = {name: draw(seed) for seed, name in enumerate(("a_1", "b_1"))}
    write_shard(list(volumes), volumes.values(), CONTRACT, tmp_path)
    for scan in read_table(tmp_path / "scans.tsv", "patch_shard").itertuples():
        expected = class_thresholds(*to_uint8(volumes[scan.scan_id]))
        assert (scan.csf_grey, scan.grey_white) == pytest.approx(expected, rel=1e-9)
        assert 0 < scan.csf_grey < scan.grey_white < 255 * scan.scale


def test_an_empty_volume_does_not_sink_the_shard(tmp_path, caplog):
    write_shard(["dark_1", "a_1"], [np.zeros(Grid(8).shape, np.float32), draw(1)], CONTRACT, tmp_path)
    assert len(read_table(tmp_path / "scans.tsv", "patch_shard")) == 2
    assert "dark_1" in caplog.text


def test_files_are_as_numpy_writes_them(tmp_path):
    write_shard(["a_1", "b_1"], [draw(1), draw(2)], CONTRACT, tmp_path, ["whole"])
    stack = np.stack([to_uint8(draw(n))[0][volume_slices(8)["whole"]] for n in (1, 2)])
    np.save(tmp_path / "expected.npy", stack)
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_memory_holds_few_volumes_however_many_there_are(tmp_path):
    alive = []

    def volumes():
        for seed in range(9):
            volume = draw(seed)
            alive.append(weakref.ref(volume))
            assert sum(made() is not None for made in alive) <= 3  # this one, the one before, and what zip still holds
            yield volume

    write_shard([f"p{n}_1" for n in range(9)], volumes(), CONTRACT, tmp_path)
    assert len(alive) == 9


@pytest.mark.parametrize("count", [1, 3])
def test_other_than_the_announced_number_of_volumes_leaves_no_array(tmp_path, count):
    with pytest.raises(ValueError, match="zip"):
        write_shard(["a_1", "b_1"], (draw(n) for n in range(count)), CONTRACT, tmp_path)
    assert not list(tmp_path.glob("*.npy")) + list(tmp_path.glob(".*")) + list(tmp_path.glob("scans.tsv"))


def test_an_unknown_name_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"'half' is neither a patch nor a volume.*parietal_L.*cube"):
        write_shard([], [], CONTRACT, tmp_path, ["half"])


@pytest.mark.parametrize(("spacing", "voxels"), [(1, 96), (2, 96), (4, 48), (8, 24)])
def test_cube_is_the_brain_at_two_millimetres_or_coarser(tmp_path, spacing, voxels):
    grid = Grid(spacing)
    # a slope survives averaging: a coarse voxel has the value at its centre
    world = [np.arange(n) * spacing + start for n, start in zip(grid.shape, grid.affine[:3, 3], strict=True)]
    volume = (world[0][:, None, None] + 2 * world[1][:, None] + 3 * world[2] + 800).astype(np.float32)
    contract = registered_contract({"spacing_mm": spacing, "parameters": 7})
    write_shard(["a_1"], [volume], contract, tmp_path, ["cube", "whole"])
    cube, scale = np.load(tmp_path / "cube.npy"), read_table(tmp_path / "scans.tsv")["scale"][0]
    assert cube.shape == (1, voxels, voxels, voxels)
    assert np.load(tmp_path / "whole.npy").shape == (1, 160 // spacing, 192 // spacing, 160 // spacing)
    step, box = max(2, spacing), volume_slices(spacing)["cube"]
    axes = zip(world, box, strict=True)
    centres = [axis[part][0] + (step - spacing) / 2 + step * np.arange(voxels) for axis, part in axes]
    expected = centres[0][:, None, None] + 2 * centres[1][:, None] + 3 * centres[2] + 800
    low = expected <= 255 * scale
    assert low.mean() > 0.95
    np.testing.assert_allclose(cube[0][low] * scale, expected[low], atol=0.51 * scale)


def test_blocks_are_averaged():
    volume = np.random.default_rng(3).random((4, 6, 2))
    found = block_mean(volume, 2)
    assert found.shape == (2, 3, 1)
    assert found[1, 2, 0] == pytest.approx(volume[2:4, 4:6, :2].mean())


def test_a_batch_whose_scans_were_all_set_aside_is_an_empty_shard(tmp_path):
    write_shard([], [], CONTRACT, tmp_path / "000")
    assert len(read_table(tmp_path / "000/scans.tsv", "patch_shard")) == 0
    assert np.load(tmp_path / "000/parietal_L.npy").shape == (0, 10, 14, 11)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_scan_is_stored_the_same_whatever_stands_beside_it(tmp_path, order):
    write_shard(order, [draw(ord(name)) for name in order], CONTRACT, tmp_path / "pair")
    write_shard("a", [draw(ord("a"))], CONTRACT, tmp_path / "alone")
    pair, alone = (np.load(tmp_path / folder / "cingulate_R.npy") for folder in ("pair", "alone"))
    np.testing.assert_array_equal(pair[order.index("a")], alone[0])


@pytest.fixture
def registered(tmp_path):
    """Volumes of three scans as register_scans leaves them, and which two of them go on."""
    folder = tmp_path / "registered"
    folder.mkdir()
    t1, _, _ = template(8.0)
    brain = t1 / np.quantile(t1[t1 > 0], 0.8) * 110
    for number, scan in enumerate(("c_1", "a_1", "b_1")):
        save_volume(brain * (1 + 0.02 * number), Grid(8.0).affine, folder / f"{scan}.nii.gz")
    write_json(folder / "contract.json", CONTRACT.to_json())
    included = tmp_path / "included.tsv"
    pd.DataFrame({"scan_id": ["c_1", "a_1"], "participant_id": ["c", "a"]}).to_csv(included, sep="\t", index=False)
    return SimpleNamespace(volumes=str(folder), included=str(included)), brain


def test_the_scripts_cut_the_scans_that_go_on(registered, tmp_path):
    given, brain = registered
    for script, params, names in (
        (extract_patches, SimpleNamespace(), PATCHES),
        (extract_volumes, SimpleNamespace(volumes=["cube"]), ["cube"]),
    ):
        shard = tmp_path / script.__name__.rpartition(".")[2]
        script.main(SimpleNamespace(input=given, output=SimpleNamespace(shard=str(shard)), params=params))
        assert {path.stem for path in shard.glob("*.npy")} == set(names)
        table = read_table(shard / "scans.tsv", "patch_shard")
        assert table["scan_id"].tolist() == ["a_1", "c_1"]
        assert from_json(read_json(shard / "contract.json"), "contract.json") == CONTRACT
    cube, box = np.load(tmp_path / "extract_volumes/cube.npy"), volume_slices(8)["cube"]
    for row, factor in enumerate((1.02, 1.0)):
        part = brain[box] * factor
        error = np.abs(cube[row] * table["scale"][row] - part)[part <= 255 * table["scale"][row]]
        assert error.max() < 0.52 * table["scale"][row]


def test_a_volume_on_another_grid_is_refused_by_name(registered, tmp_path):
    given, brain = registered
    save_volume(brain[:-1], Grid(8.0).affine, f"{given.volumes}/c_1.nii.gz")
    output = SimpleNamespace(shard=str(tmp_path / "shard"))
    with pytest.raises(StudyError, match=r"c_1\.nii\.gz: shape: found 24, 29, 25, expected 25, 29, 25"):
        extract_patches.main(SimpleNamespace(input=given, output=output, params=None))
