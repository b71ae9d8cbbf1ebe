import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from workflow_scripts.lib.pretrain import multitask
from workflow_scripts.lib.pretrain.multitask import Target
from workflow_scripts.lib.study.errors import StudyError

AGE = Target("age", "age", "bins")
MIXED = (
    Target("bmi", "bmi", "continuous", weight=0.5),
    AGE,
    Target("sex", "sex", "binary", weight=2.0, positive="M"),
)
NAN = float("nan")


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(scans=12, missing=0.3, seed=0):
    """Values of the mixed targets, some missing."""
    draws = np.random.default_rng(seed)
    values = np.column_stack(
        [draws.standard_normal(scans), draws.uniform(44, 80, scans), draws.random(scans) < 0.5]
    ).astype(float)
    return torch.from_numpy(np.where(draws.random(values.shape) < missing, np.nan, values))


def plain_loss(logits, values, target):
    """One target's loss over the scans that have it, each term written out."""
    rows = []
    for outputs, value in zip(logits.numpy(), values.numpy(), strict=True):
        if np.isnan(value):
            continue
        if target.kind == "continuous":
            rows.append((outputs[0] - value) ** 2)
        elif target.kind == "binary":
            p = 1 / (1 + math.exp(-outputs[0]))
            rows.append(-math.log(p if value == 1 else 1 - p))
        else:
            log_q = outputs - np.log(np.exp(outputs).sum())
            p = np.diff(stats.norm.cdf(np.arange(42, 83), value, 1)) + 1e-16  # as published
            rows.append((p * (np.log(p) - log_q)).sum())
    return np.mean(rows)


# the head


def test_the_published_head_has_six_outputs_and_bins_forty():
    assert multitask.head_width(multitask.PUBLISHED) == 6
    assert multitask.head_width([AGE]) == 40
    assert multitask.head_width((AGE, *multitask.PUBLISHED[1:])) == 45


def test_outputs_stand_side_by_side():
    slices = multitask.head_slices(MIXED)
    assert slices == {"bmi": slice(0, 1), "age": slice(1, 41), "sex": slice(41, 42)}


def test_two_targets_of_one_name_are_refused():
    with pytest.raises(StudyError, match="different names; found age, age"):
        multitask.head_slices((AGE, AGE))


# soft bins


@pytest.mark.parametrize("age", [44.9, 50.0, 62.0, 62.5, 71.3])
def test_soft_labels_are_those_of_a_normal_distribution_around_the_age(age):
    soft = multitask.soft_labels(torch.tensor([age], dtype=torch.float64), AGE)[0].numpy()
    np.testing.assert_allclose(soft, np.diff(stats.norm.cdf(np.arange(42, 83), age, 1)), atol=1e-15)


def test_forty_bins_of_a_year_from_42_expect_the_age_itself():
    assert AGE.centres.tolist() == [42.5 + year for year in range(40)]
    ages = torch.linspace(50, 74, 97, dtype=torch.float64)
    soft = multitask.soft_labels(ages, AGE)
    torch.testing.assert_close(soft.sum(1), torch.ones(97, dtype=torch.float64), rtol=0, atol=1e-14)
    torch.testing.assert_close(soft @ torch.from_numpy(AGE.centres), ages, rtol=0, atol=1e-7)


def test_soft_labels_are_cut_off_at_the_ends_unless_renormalised():
    ends = torch.tensor([42.0, 43.0, 82.0], dtype=torch.float64)
    cut = multitask.soft_labels(ends, AGE).sum(1)
    torch.testing.assert_close(cut, torch.tensor([0.5, stats.norm.cdf(1), 0.5], dtype=torch.float64))
    whole = Target("age", "age", "bins", renormalise=True)
    torch.testing.assert_close(multitask.soft_labels(ends, whole).sum(1), torch.ones(3, dtype=torch.float64))


def test_without_sigma_a_label_has_its_own_bin():
    hard = Target("age", "age", "bins", low=40, high=80, width=10, sigma=0)
    ages = torch.tensor([40.0, 49.9, 50.0, 79.0, 80.0, 95.0, 3.0])
    assert multitask.soft_labels(ages, hard).argmax(1).tolist() == [0, 0, 1, 3, 3, 3, 0]
    assert (multitask.soft_labels(ages, hard).sum(1) == 1).all()


# the loss


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_loss_is_the_weighted_sum_of_masked_means(missing):
    logits, values = random(12, 42), labels(missing=missing)
    loss, report = multitask.loss(logits, values, MIXED)
    slices, expected = multitask.head_slices(MIXED), 0
    for column, target in enumerate(MIXED):
        own = plain_loss(logits[:, slices[target.name]], values[:, column], target)
        assert report[f"loss_{target.name}"].item() == pytest.approx(own, rel=1e-9)
        expected += target.weight * own
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    single, _ = multitask.loss(logits.float(), values.float(), MIXED)
    assert single.item() == pytest.approx(loss.item(), rel=1e-5)


def test_one_label_counts_like_many():
    logits, values = random(12, 42), torch.full((12, 3), NAN, dtype=torch.float64)
    values[3, 0], values[7, 1], values[5, 2] = 0.5, 60.3, 1.0
    _, report = multitask.loss(logits, values, MIXED)
    for target, column, outputs in zip(MIXED, values.T, multitask.head_slices(MIXED).values(), strict=True):
        own = plain_loss(logits[:, outputs], column, target)
        assert report[f"loss_{target.name}"].item() == pytest.approx(own, rel=1e-9)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), known=st.integers(1, 8), unknown=st.integers(0, 8))
def test_scans_without_labels_change_nothing(seed, known, unknown):
    logits, values = random(known + unknown, 42, seed=seed), labels(known + unknown, 0, seed)
    values[known:] = NAN
    loss, _ = multitask.loss(logits, values, MIXED)
    expected, _ = multitask.loss(logits[:known], values[:known], MIXED)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("column", [0, 1, 2])
def test_a_target_without_a_label_in_the_batch_adds_nothing(column):
    logits, values = random(6, 42).requires_grad_(), labels(6, 0)
    values[:, column] = NAN
    loss, report = multitask.loss(logits, values, MIXED)
    loss.backward()
    slices = list(multitask.head_slices(MIXED).values())
    assert report[f"loss_{MIXED[column].name}"] == 0
    assert (logits.grad[:, slices[column]] == 0).all()
    rest = [place for place in range(3) if place != column]
    others, values = [MIXED[place] for place in rest], values[:, rest]
    part = torch.cat([logits[:, slices[place]] for place in rest], dim=1).detach().requires_grad_()
    expected, _ = multitask.loss(part, values, others)
    expected.backward()
    assert loss.item() == expected.item()
    torch.testing.assert_close(torch.cat([logits.grad[:, slices[place]] for place in rest], dim=1), part.grad)


@pytest.mark.parametrize("targets", [MIXED, (Target("age", "age", "bins", renormalise=True),)])
def test_a_batch_without_any_label_has_loss_0_and_gradient_0(targets):
    logits = (100 * random(5, multitask.head_width(targets))).requires_grad_()
    loss, _ = multitask.loss(logits, torch.full((5, len(targets)), NAN), targets)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_gradient_is_right_where_labels_are_missing():
    values = labels(5, 0.4)
    logits = random(5, 42).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: multitask.loss(x, values, MIXED)[0], (logits,), atol=1e-8)


def test_labels_are_left_as_they_are():
    values = labels()
    before = values.clone()
    multitask.loss(random(12, 42), values, MIXED)
    torch.testing.assert_close(values, before, rtol=0, atol=0, equal_nan=True)


def test_half_precision_outputs_are_scored_in_single_precision():
    logits, values = random(12, 42).bfloat16(), labels().float()
    loss, _ = multitask.loss(logits, values, MIXED)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, multitask.loss(logits.float(), values, MIXED)[0], rtol=0, atol=0)


def test_soft_bins_are_learned_best_by_the_soft_label_itself():
    ages = torch.tensor([[50.0], [63.2]], dtype=torch.float64)
    best = multitask.soft_labels(ages[:, 0], AGE).log().clamp(min=-700)
    assert multitask.loss(best, ages, [AGE])[0].item() == pytest.approx(0, abs=1e-12)
    assert multitask.loss(best + 0.1 * random(2, 40), ages, [AGE])[0] > 1e-4


# the choice of the epoch, and predictions


def test_criterion_is_the_mean_over_targets_that_have_labels():
    logits, values = random(9, 42), labels(9)
    values[:, 0] = NAN
    total, _ = multitask.loss(logits, values, MIXED)
    assert multitask.criterion(logits, values, MIXED) == pytest.approx(total.item() / 2)


def test_validation_without_labels_is_refused():
    with pytest.raises(StudyError, match="none of the 9 scans that choose the epoch has a label for bmi, age, sex"):
        multitask.criterion(random(9, 42), torch.full((9, 3), NAN), MIXED)
    idle = (Target("bmi", "bmi", "continuous", weight=0),)
    with pytest.raises(StudyError, match="label for bmi"):
        multitask.criterion(random(9, 1), torch.zeros(9, 1), idle)


def test_predictions_are_in_the_units_of_the_labels():
    statistics = {name: {"mean": 27.0, "sd": 4.0, "n": 10} for name in ("bmi", "age", "sex")}
    ages = torch.tensor([55.0, 70.25], dtype=torch.float64)
    logits = torch.cat(
        [torch.tensor([[0.0], [1.5]]), multitask.soft_labels(ages, AGE).log(), torch.tensor([[0.0], [math.log(3)]])], 1
    )
    found = multitask.predict(logits, MIXED, statistics)
    np.testing.assert_allclose(found, [[27, 55, 0.5], [33, 70.25, 0.75]], atol=1e-7)


def test_predictions_of_bins_stay_between_the_outer_centres():
    logits = torch.zeros(2, 40)
    logits[0, 0] = logits[1, 39] = 1e4
    found = multitask.predict(logits, [AGE], {"age": {"mean": 0, "sd": 1, "n": 1}})
    assert found.ravel().tolist() == [42.5, 81.5]
