"""Mean maps of volumes: which scans, which block, where cells lie, and maps by finite differences."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.pretrain import small_volumes
from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.pretrain import volume_maps
from workflow_scripts.lib.pretrain.data import PatchSource
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.ids import participant_hashes
from workflow_scripts.lib.study.tables import read_table, write_table
from workflow_scripts.pretrain import explain_volumes

SHAPE = (33, 36, 32)
TARGETS = {
    "age": {"kind": "bins", "low": 40, "high": 60, "width": 5, "sigma": 2},
    "sex": {"kind": "binary", "positive": "M"},
}


def test_scans_are_of_new_people_one_each():
    scans = small_volumes.people().assign(cohort="x")
    sets = scans.assign(set="train").iloc[:4]
    drawn = volume_maps.choose_scans(scans, sets, 3, 1, "sfcn")
    assert drawn["participant_id"].nunique() == 3 and set(drawn["set"]) == {"test"}
    assert not set(drawn["participant_id"]) & set(sets["participant_id"])
    pd.testing.assert_frame_equal(drawn, volume_maps.choose_scans(scans.iloc[::-1], sets, 3, 1, "sfcn"))
    everyone = scans.assign(set=["validation"] * 4 + ["train"] * 8)
    assert set(volume_maps.choose_scans(scans, everyone, 3, 1, "sfcn")["set"]) == {"validation"}
    with pytest.raises(StudyError, match="has learned from every scan"):
        volume_maps.choose_scans(scans, scans.assign(set="train"), 3, 1, "sfcn")


@pytest.mark.parametrize(
    ("shape", "block"), [((160, 192, 160), 6), ((80, 96, 80), 4), ((40, 48, 40), 3), ((7, 9, 9), 1)]
)
def test_the_last_block_with_four_cells_along_each_axis(shape, block):
    assert volume_maps.choose_block(shape) == block


def test_a_cell_lies_on_the_voxels_that_it_pools():
    native = torch.zeros(1, 4, 4, 4)
    native[0, 3, 1, 2] = 1
    maps = volume_maps.spread_out(native, (35, 32, 33), 8)[0]
    assert maps.shape == (35, 32, 33)
    # the weights of linear interpolation lie evenly around the middle of the cell, voxels 8 to 15 and 16 to 23
    along = [maps.sum(axes) for axes in ((0, 2), (0, 1))]
    middles = [float((one * torch.arange(len(one))).sum() / one.sum()) for one in along]
    np.testing.assert_allclose(middles, [11.5, 19.5], atol=1e-4)
    assert maps[:, 11, 19].argmax() >= 28  # beyond the last cell's middle its value goes on to the end
    torch.testing.assert_close(maps[32:], maps[31:32].expand(3, -1, -1))


def study(folder, seen=("s0",)):
    """Write a store of 12 scans at 8 mm, weights of a small SFCN, tables, and what the rule would give the script."""
    shards = small_volumes.write_store(folder / "store", "whole", SHAPE)
    source = PatchSource(shards, "whole", small_volumes.people()["scan_id"].tolist(), torch.device("cpu"))
    torch.manual_seed(2)
    network = SFCN(5, channels=(2, 3, 3, 3, 3, 4)).eval()
    network.set_intensity(60.0, 30.0)
    given = {"location": "whole", "grid": list(SHAPE), "rule": "stored", "volume": source.contract.to_json()}
    card = {"input": given, "intensity": "", "participants": participant_hashes(list(seen)), "seed": 1}
    weights.save_weights(network, folder / "w.safetensors", {**card, "metrics": {}, "source": "test"})
    people = small_volumes.people()
    scans = people[["scan_id", "participant_id"]].assign(cohort="x")
    scans.to_csv(folder / "scans.tsv", sep="\t", index=False)
    people[["scan_id", "participant_id"]].to_csv(folder / "included.tsv", sep="\t", index=False)
    sets = people[["scan_id", "participant_id"]].iloc[:2].assign(set="train")
    write_table(sets, folder / "sets.tsv", "pretraining_sets")
    given = {"weights": str(folder / "w.safetensors"), "sets": str(folder / "sets.tsv"), "shards": shards}
    given |= {name: str(folder / f"{name}.tsv") for name in ("scans", "included")}
    output = {"table": str(folder / "out/targets.tsv"), "arrays": str(folder / "out/maps.npz")}
    return (
        network,
        source,
        SimpleNamespace(
            input=SimpleNamespace(**given),
            output=SimpleNamespace(**output),
            params=SimpleNamespace(targets=TARGETS, scans=2, seed=1),
            wildcards=SimpleNamespace(method="sfcn"),
            threads=1,
        ),
    )


@pytest.fixture
def plain_tables(monkeypatch):
    """Let the script read tables of the cohort without the columns that it does not use."""
    read = explain_volumes.tables.read_table
    monkeypatch.setattr(
        explain_volumes.tables,
        "read_table",
        lambda path, schema: read(path, None if schema in ("scans", "included") else schema),
    )


def test_mean_maps_are_those_of_the_definition(tmp_path, plain_tables):
    network, source, job = study(tmp_path)
    explain_volumes.main(job)
    table = read_table(job.output.table, "volume_maps")
    assert list(zip(table["target"], table["direction"], strict=True)) == [
        (target, way) for target in TARGETS for way in ("higher", "lower")
    ]
    assert set(table["block"]) == {3} and set(table["cell_mm"]) == {64.0}
    with np.load(job.output.arrays, allow_pickle=False) as stored:
        arrays = dict(stored)
    assert arrays["native"].shape == (4, 4, 4, 4) and arrays["maps"].shape == (4, *SHAPE)
    scans = pd.DataFrame({"scan_id": source.scan_ids}).merge(small_volumes.people(), on="scan_id").assign(cohort="x")
    sets = read_table(tmp_path / "sets.tsv", "pretraining_sets")
    rows = [source.scan_ids.index(scan) for scan in volume_maps.choose_scans(scans, sets, 2, 1, "sfcn")["scan_id"]]
    np.testing.assert_allclose(arrays["volume"], source.batch(np.array(rows)).mean((0, 1)), rtol=1e-5)
    # sex is output 4: the gradient by finite differences of the activations' channel means
    means = []
    with torch.no_grad():
        for row in rows:
            maps = network.standardise(source.batch(np.array([row]))).double()
            network.double()
            for block in network.blocks[:3]:
                maps = block(maps)

            def after(values):
                for block in network.blocks[3:]:
                    values = block(values)
                return network.head(values.mean((2, 3, 4)))[0, 4]

            weights_of = []
            for channel in range(maps.shape[1]):
                moved = torch.zeros_like(maps)
                moved[0, channel] = 1e-6  # moving all cells alike sums the gradient over them
                weights_of.append((after((maps + moved)) - after((maps - moved))) / 2e-6)
            network.float()
            own = torch.einsum("k,k...->...", torch.stack(weights_of), maps[0]).relu()
            means.append(
                ((own - own.min()) / (own.max() - own.min())).numpy() if own.max() > own.min() else 0 * own.numpy()
            )
    np.testing.assert_allclose(arrays["native"][2], np.mean(means, axis=0), atol=2e-3)


def test_seen_people_are_refused(tmp_path, plain_tables):
    _, _, job = study(tmp_path, seen=[f"s{number}" for number in range(6)])
    with pytest.raises(LeakageError, match=r"pretrain\.methods\.sfcn"):
        explain_volumes.main(job)
