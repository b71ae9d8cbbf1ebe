import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from tests.finetune import small_fits
from workflow_scripts.lib.finetune import level, starts
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.pretrain import volumes


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def test_auc_and_cross_entropy_are_scikit_learns():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 60).astype(np.float32)
    scores = rng.normal(0, 2, 60).round(1)  # with ties
    assert level.auc_of(y, scores) == pytest.approx(roc_auc_score(y, scores), abs=1e-15)
    assert level.cross_entropy(y, scores) == pytest.approx(log_loss(y, 1 / (1 + np.exp(-scores))), rel=1e-12)


def test_a_score_that_is_no_number_has_no_auc():
    assert math.isnan(level.auc_of(np.array([0.0, 1.0]), np.array([1.0, np.inf])))
    assert math.isnan(level.auc_of(np.ones(2), np.array([1.0, 2.0])))
    assert math.isnan(level.criterion(float("nan"), 1.0, np.array([0, 1])))
    assert math.isnan(level.criterion(1.0, float("inf"), np.array([0, 1])))


def test_the_criterion_orders_by_auc_and_then_by_loss():
    y = np.repeat([0, 1], [6, 5])
    aucs = np.arange(61) / 60  # all that 6 x 5 pairs can give, ties as halves
    losses = [0.0, 1e-6, 0.3, 0.300001, 5.0, 1e4]
    pairs = list(itertools.product(aucs, losses))
    expected = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))
    assert sorted(pairs, key=lambda pair: level.criterion(*pair, y)) == expected
    assert len({level.criterion(*pair, y) for pair in pairs}) == len(pairs)


def test_with_an_empty_margin_the_shift_is_that_of_multitask_pretraining():
    inner = torch.rand(6, 1, 5, 6, 7, generator=generator())
    padded = torch.nn.functional.pad(inner, (2,) * 6)
    expected = volumes.shift(padded, 2, generator(3))
    moves = torch.randint(-2, 3, (6, 3), generator=generator(3))
    assert moves.abs().max() == 2
    assert torch.equal(level.shift(padded, moves), expected)


def test_at_the_border_of_a_patch_its_border_comes_in():
    patch = torch.arange(24.0).view(1, 1, 2, 3, 4)
    moved = level.shift(patch, torch.tensor([[1, 0, -2]]))
    expected = np.pad(patch[0, 0].numpy(), ((1, 0), (0, 0), (0, 2)), mode="edge")[:2, :, 2:]
    np.testing.assert_array_equal(moved[0, 0].numpy(), expected)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    shards = small_fits.write_store(tmp_path_factory.mktemp("store"))
    ids = small_fits.people()["scan_id"].tolist()
    names = ("whole", "cingulate_L", "cingulate_R")
    return {name: ResidentSource(shards, name, ids, small_fits.CPU) for name in names}


def make_level(chosen, network, **changes):
    rows = {"train": np.arange(20, 4, -1), "validation": np.arange(5, 12), "test": np.arange(12, 14)}
    labels = {name: (members % 2).astype(np.float32) for name, members in rows.items()}
    return level.FitLevel(small_fits.options(**changes), network, chosen, rows, labels)


class Sum(torch.nn.Module):
    """Log odds are the mean of the first array, in shares of 100."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.01))

    def forward(self, arrays):
        return arrays[0].mean(dim=(1, 2, 3, 4)) * self.weight


def test_a_step_is_the_cross_entropy_of_its_scans(sources):
    one = make_level([sources["whole"]], Sum(), shift=0)
    rows = np.array([3, 0, 11])
    loss, report = one.step(rows, generator())
    scans = one.rows["train"][rows]
    logits = sources["whole"].batch(scans).mean(dim=(1, 2, 3, 4)).detach().numpy() / 100
    expected = log_loss(scans % 2, 1 / (1 + np.exp(-logits)), labels=[0, 1])
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert report == {} and loss.requires_grad


def test_scores_and_validation(sources):
    one = make_level([sources["whole"]], Sum(), batch=3).eval()
    scores = one.score("validation")
    expected = sources["whole"].batch(np.arange(5, 12)).mean(dim=(1, 2, 3, 4)).numpy() / 100
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    found = one.validate()
    y = np.arange(5, 12) % 2
    assert found["auc"] == roc_auc_score(y, scores)
    assert found["criterion"] == level.criterion(found["auc"], found["loss"], y)


def test_all_patches_of_a_scan_are_moved_alike_and_validation_not_at_all(sources):
    pair = [sources["cingulate_L"], sources["cingulate_L"]]
    one = make_level(pair, Sum())
    rows = np.arange(6)
    left, right = one.views(rows, generator())
    assert torch.equal(left, right)
    assert not torch.equal(left, pair[0].batch(rows))
    still = make_level(pair, Sum(), shift=0)
    assert torch.equal(still.views(rows, generator())[0], pair[0].batch(rows))


def test_augmentation_of_the_config_is_applied(sources):
    one = make_level([sources["whole"]], Sum(), shift=0, augmentation={"flip": 1.0})
    rows = np.arange(3)
    assert torch.equal(one.views(rows, generator())[0], sources["whole"].batch(rows).flip(2))


def test_intensities_of_a_random_start_are_those_of_the_training_scans(sources):
    start = small_fits.random_start()
    network = start.make(0.0)
    rows = np.array([0, 3, 7])
    starts.set_intensity(network, [sources["whole"]], rows)
    values = sources["whole"].batch(rows).double()
    expected = [values.mean().item(), values.std(correction=0).item()]
    np.testing.assert_allclose(network.backbone.network.intensity.numpy(), expected, rtol=1e-6)
