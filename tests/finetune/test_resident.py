import io
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from tests.finetune import small_fits
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.pretrain.source import RULES, PatchSource


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return small_fits.write_store(tmp_path_factory.mktemp("store"))


def load(shards, scans, rule="stored", name="whole"):
    ids = small_fits.people()["scan_id"].iloc[scans].tolist()
    return ResidentSource(shards, name, ids, small_fits.CPU, rule)


@pytest.mark.parametrize("rule", RULES)
def test_batches_and_intensities_are_those_of_the_study_s_source(shards, rule):
    scans, rows = np.array([9, 2, 5, 20]), np.array([3, 0])
    resident = load(shards, scans, rule)
    plain = PatchSource(shards, "whole", resident.scan_ids, small_fits.CPU, 0, rule)
    assert torch.equal(resident.batch(rows), plain.batch(rows))
    assert torch.equal(resident.classes(rows), plain.classes(rows))
    np.testing.assert_allclose(resident.intensity_of(np.arange(4)), plain.intensity(), rtol=1e-12, atol=1e-12)


def test_another_process_gets_the_same_memory(shards):
    resident = load(shards, np.arange(5))
    buffer = io.BytesIO()
    ForkingPickler(buffer, 2).dump(resident)
    assert len(buffer.getvalue()) < resident.megabytes * 1e6 / 10  # no voxel is in it
    assert resident._resident.is_shared()
    other = ForkingPickler.loads(buffer.getvalue())
    rows = np.array([4, 1])
    assert torch.equal(other.batch(rows), resident.batch(rows))
    assert torch.equal(other.classes(rows), resident.classes(rows))
    assert other.digest(rows) == resident.digest(rows)


def test_other_scans_make_no_difference_to_a_digest(shards):
    few, many = load(shards, np.array([3, 8])), load(shards, np.arange(20))
    assert few.digest(np.array([0, 1])) == many.digest(np.array([3, 8]))
    assert few.intensity_of(np.array([0, 1])) == many.intensity_of(np.array([3, 8]))
    assert few.digest(np.array([0, 1])) != few.digest(np.array([1, 0]))
    assert few.digest(np.array([0])) != load(shards, np.array([3]), "unit").digest(np.array([0]))


def test_a_digest_sees_a_changed_voxel(tmp_path):
    shards = small_fits.write_store(tmp_path)
    before = load(shards, np.arange(28)).digest(np.arange(28))
    array = np.load(shards[1] / "whole.npy")
    array[3, 16, 16, 16] += 1
    np.save(shards[1] / "whole.npy", array)
    assert load(shards, np.arange(28)).digest(np.arange(28)) != before


def test_made_up_volumes_are_used_like_stored_ones():
    source = ResidentSource.made_up("cube", (4, 5, 6), 3, small_fits.CPU, "zscore", np.random.default_rng(1))
    values = source.batch(np.arange(3))
    assert values.shape == (3, 1, 4, 5, 6)
    torch.testing.assert_close(values.mean(dim=(1, 2, 3, 4)), torch.zeros(3), atol=1e-5, rtol=0)
    assert source.classes(np.arange(3)).shape == (3, 2) and source.megabytes == pytest.approx(3 * 120 / 1e6)
