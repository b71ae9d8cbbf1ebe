"""Tokens read back scan by scan, aggregated with and without a location, and what they are attended with."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.pretrain import tokens
from workflow_scripts.lib.study import tables
from workflow_scripts.lib.study.errors import StudyError

CPU = torch.device("cpu")
PLACES = ("a", "b", "c", "d")


@pytest.fixture
def aggregator():
    torch.manual_seed(1)
    return Aggregator(len(PLACES), 8)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(7, len(PLACES), 8)).astype(np.float32)


@pytest.fixture
def stored(tmp_path, values):
    """The tokens in two chunks of two locations; scans s0 to s6 in an order of their own in each."""
    paths = []
    for chunk, (order, places) in enumerate([([3, 1, 0, 2, 6, 5, 4], "ab"), ([0, 1, 2, 3, 4, 5, 6], "cd")]):
        files = tmp_path / f"{chunk}.safetensors", tmp_path / f"{chunk}.tsv"
        save_file({place: values[order, PLACES.index(place)].copy() for place in places}, files[0])
        rows = pd.DataFrame({"scan_id": [f"s{row}" for row in order], "participant_id": "p"})
        tables.write_table(rows, files[1], "included")
        paths.append(files)
    return [file for file, _ in paths], [listing for _, listing in paths]


def test_tokens_are_read_by_scan_and_location(stored, values):
    found = tokens.read_tokens(*stored, ["d", "a"], ["s5", "s0"])
    np.testing.assert_array_equal(found, values[[5, 0]][:, [3, 0]])


def test_a_missing_scan_or_location_is_refused(stored):
    with pytest.raises(StudyError, match="no token of scan 's9'"):
        tokens.read_tokens(*stored, PLACES, ["s0", "s9"])
    with pytest.raises(StudyError, match="location 'e'"):
        tokens.read_tokens(*stored, ["a", "e"], ["s0"])


@pytest.mark.parametrize("without", [0, 2, 3])
def test_a_location_left_out_has_no_say(aggregator, values, without):
    part = tokens.embed(aggregator, values, CPU, "m", without)
    changed = values.copy()
    changed[:, without] = 1e6
    pd.testing.assert_frame_equal(tokens.embed(aggregator, changed, CPU, "m", without), part)
    others = [place for place in range(4) if place != without]
    with torch.no_grad():
        expected = aggregator(torch.from_numpy(values[:, others]), others)
    np.testing.assert_allclose(part, expected, rtol=1e-5, atol=1e-6)
    assert list(part.columns) == [f"m_{column:02d}" for column in range(8)]
    assert not np.allclose(part, tokens.embed(aggregator, values, CPU, "m"), atol=1e-3)


@pytest.mark.parametrize("without", [-1, 4])
def test_a_location_that_does_not_exist_is_refused(aggregator, values, without):
    with pytest.raises(StudyError, match=f"location {without} of 4"):
        tokens.embed(aggregator, values, CPU, "m", without)


def test_the_only_location_is_not_left_out(values):
    with pytest.raises(StudyError, match="not be the only one"):
        tokens.embed(Aggregator(1, 8), values[:, :1], CPU, "m", 0)


def test_attention_is_shared_among_locations(aggregator, values):
    attention, rollout = tokens.attend(aggregator, values, CPU)
    weights, flow = aggregator.eval().attention(torch.from_numpy(values))
    for found, expected in ((attention, weights.mean(dim=(1, 2))), (rollout, flow)):
        assert found.shape == (7, 4)
        np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
        ratio = found / expected.detach().numpy()
        np.testing.assert_allclose(ratio, np.repeat(ratio[:, :1], 4, axis=1), rtol=1e-5)


def test_numbers_do_not_depend_on_batches(aggregator, values, monkeypatch):
    whole = tokens.embed(aggregator, values, CPU, "m", 1), tokens.attend(aggregator, values, CPU)
    monkeypatch.setattr(tokens, "BATCH", 3)
    np.testing.assert_allclose(tokens.embed(aggregator, values, CPU, "m", 1), whole[0], rtol=1e-5, atol=1e-6)
    for part, expected in zip(tokens.attend(aggregator, values, CPU), whole[1], strict=True):
        np.testing.assert_allclose(part, expected, rtol=1e-5)
