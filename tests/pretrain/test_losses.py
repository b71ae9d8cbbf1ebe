import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import ContrastiveLoss

from workflow_scripts.lib.pretrain import losses
from workflow_scripts.lib.study.errors import StudyError


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def plain_equation_1(z1, z2, temperature):
    """The formula, term by term."""
    views = [[row / np.linalg.norm(row) for row in z.numpy()] for z in (z1, z2)]
    images, total = len(views[0]), 0.0
    for a in (0, 1):
        for i in range(images):
            here, other = views[a][i], views[1 - a][i]
            positive = math.exp(here @ other / temperature)
            negatives = sum(math.exp(here @ views[b][j] / temperature) for b in (0, 1) for j in range(images) if j != i)
            total -= math.log(positive / (negatives + positive))
    return total / (2 * images)


@pytest.mark.parametrize("temperature", [0.1, 0.2, 1.0])
def test_nt_xent_is_equation_1(temperature):
    z1, z2 = random(7, 5), random(7, 5, seed=1)
    assert losses.nt_xent(z1, z2, temperature).item() == pytest.approx(plain_equation_1(z1, z2, temperature), rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(images=st.integers(2, 20), width=st.integers(1, 30), seed=st.integers(0, 10**6))
def test_nt_xent_equals_that_of_monai(images, width, seed):
    z1, z2 = random(images, width, seed=seed, dtype=torch.float32), random(images, width, seed=-1, dtype=torch.float32)
    expected = ContrastiveLoss(temperature=0.2)(z1, z2)
    torch.testing.assert_close(losses.nt_xent(z1, z2, 0.2), expected, rtol=1e-4, atol=1e-5)


def test_nt_xent_of_equal_points_is_chance():
    z = torch.ones(6, 4, dtype=torch.float64)
    assert losses.nt_xent(z, z, 0.2).item() == pytest.approx(math.log(2 * 6 - 1))


def test_nt_xent_ignores_length_and_order():
    z1, z2 = random(8, 5), random(8, 5, seed=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(4))
    expected = losses.nt_xent(z1, z2, 0.2)
    torch.testing.assert_close(losses.nt_xent(3 * z1[order], 0.1 * z2[order], 0.2), expected)
    torch.testing.assert_close(losses.nt_xent(z2, z1, 0.2), expected)


def test_nothing_of_a_is_left_if_h_spans_it():
    h = random(40, 10)
    a = h[:, :3] @ random(3, 4, seed=1) + 5.0
    r, _, centred = losses.residuals(h, a, ridge=1e-12)
    assert r.norm() < 1e-9 * centred.norm()
    r, _, _ = losses.residuals(h, a, ridge=1e-4)
    assert r.norm() < 1e-2 * centred.norm()


def test_all_of_a_is_left_if_h_is_orthogonal_to_it():
    q, _ = torch.linalg.qr(losses.centre(random(40, 9)))
    r, r_prime, _ = losses.residuals(q[:, :5], q[:, 5:])
    torch.testing.assert_close(r, q[:, 5:])
    torch.testing.assert_close(r_prime, q[:, :5])


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(12, 60), d_h=st.integers(1, 9), d_a=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_r_prime_is_orthogonal_to_a_and_centred(rows, d_h, d_a, seed):
    h, a = random(rows, d_h, seed=seed) + 3, random(rows, d_a, seed=seed + 1) - 2
    _, r_prime, _ = losses.residuals(h, a)
    assert (losses.centre(a).T @ r_prime).abs().max() < 1e-9
    assert r_prime.sum(dim=0).abs().max() < 1e-9


def test_projections_equal_those_of_the_pseudoinverse():
    x, y = losses.centre(random(30, 6)), random(30, 4, seed=1)
    expected = x @ torch.linalg.pinv(x) @ y
    torch.testing.assert_close(losses.project(x, y, 1e-13), expected)
    torch.testing.assert_close(losses.project_exact(x, y), expected)


def test_exact_projection_survives_repeated_and_constant_columns():
    x = losses.centre(random(30, 3))
    bad = torch.cat([x, x[:, :1], torch.zeros(30, 2, dtype=x.dtype)], dim=1)
    y = random(30, 4, seed=1)
    torch.testing.assert_close(losses.project_exact(bad, y), losses.project_exact(x, y))
    assert losses.project_exact(torch.zeros_like(x), y).abs().max() == 0


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e4])
def test_residual_of_a_does_not_see_the_scale_of_h(factor):
    h, a = random(40, 6, dtype=torch.float32), random(40, 3, seed=1, dtype=torch.float32)
    torch.testing.assert_close(losses.residuals(factor * h, a)[0], losses.residuals(h, a)[0], rtol=1e-3, atol=1e-4)


def test_single_precision_is_enough_for_ill_conditioned_h():
    h = random(80, 64) * torch.logspace(0, -6, 64, dtype=torch.float64)
    a = random(80, 6, seed=1)
    double = losses.residuals(h, a)[0]
    single = losses.residuals(h.float(), a.float())[0]
    torch.testing.assert_close(single.double(), double, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("scale", losses.SCALES)
def test_gradient_of_r_nce_is_right(stacked, scale):
    a1 = random(9, 3, seed=5)
    a2 = a1 if stacked else random(9, 2, seed=6)

    def loss(h1, h2):
        return losses.r_nce(h1, h2, a1, a2, temperature=0.5, stacked=stacked, scale=scale)[0]

    h1, h2 = random(9, 4).requires_grad_(), random(9, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, (h1, h2), eps=1e-6, atol=1e-5)


def test_gradient_flows_through_both_terms():
    h = random(20, 6).requires_grad_()
    r, r_prime, _ = losses.residuals(h, random(20, 3, seed=1))
    for value in (r.square().sum(), r_prime.square().sum()):
        (gradient,) = torch.autograd.grad(value, h, retain_graph=True)
        assert gradient.abs().max() > 1e-6


def test_r_nce_is_the_sum_of_its_parts_when_stacked():
    h1, h2, a = random(20, 5), random(20, 5, seed=1), random(20, 3, seed=2)
    loss, report = losses.r_nce(h1, h2, a, a, temperature=0.2, stacked=True, scale="frobenius")
    h, twice = torch.cat([h1, h2]), torch.cat([a, a])
    h, twice = h - h.mean(0), twice - twice.mean(0)
    r = twice - h @ torch.linalg.pinv(h) @ twice
    r_prime = h - twice @ torch.linalg.pinv(twice) @ h
    expected = r.square().sum() + losses.nt_xent(r_prime[:20], r_prime[20:], 0.2)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    assert report["explained"].item() == pytest.approx(1 - (r.square().sum() / twice.square().sum()).item(), abs=1e-4)


def test_r_nce_projects_each_view_on_its_own_when_not_stacked():
    h1, h2, a1, a2 = random(20, 5), random(20, 5, seed=1), random(20, 3, seed=2), random(20, 4, seed=3)
    loss, _ = losses.r_nce(h1, h2, a1, a2, temperature=0.2, stacked=False, scale="frobenius", weight=0.5)
    (r1, p1, _), (r2, p2, _) = losses.residuals(h1, a1), losses.residuals(h2, a2)
    expected = 0.5 * (r1.square().sum() + r2.square().sum()) + losses.nt_xent(p1, p2, 0.2)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("copies", [2, 5])
def test_per_entry_scale_does_not_depend_on_the_number_of_features(copies):
    h1, h2, a = random(30, 5), random(30, 5, seed=1), random(30, 3, seed=2)
    many = a.repeat(1, copies)
    reports = [losses.r_nce(h1, h2, x, x, temperature=0.2, stacked=True)[1] for x in (a, many)]
    torch.testing.assert_close(reports[0]["reconstruction"], reports[1]["reconstruction"])
    torch.testing.assert_close(reports[0]["nce"], reports[1]["nce"])


def test_a_head_sees_the_residual_and_nothing_else():
    h1, h2, a = random(20, 5), random(20, 5, seed=1), random(20, 3, seed=2)
    seen = []
    losses.r_nce(h1, h2, a, a, temperature=0.2, stacked=True, projector=lambda z: seen.append(z) or z)
    _, r_prime, _ = losses.residuals(torch.cat([h1, h2]), torch.cat([a, a]))
    torch.testing.assert_close(torch.cat(seen), r_prime)


def test_unknown_scale_is_refused():
    with pytest.raises(StudyError, match="per_entry, frobenius"):
        losses.r_nce(*[random(9, 3)] * 4, temperature=0.2, stacked=True, scale="mean")


def test_leading_components_are_the_best_of_their_number():
    a = losses.centre(random(30, 8) * torch.logspace(0, -2, 8, dtype=torch.float64))
    kept = losses.leading_components(a, 3)
    assert kept.shape == (30, 3)
    left = a - losses.project_exact(kept, a)
    expected = torch.linalg.svdvals(a)[3:].square().sum()
    torch.testing.assert_close(left.square().sum(), expected)
    for enough in (None, 8, 20):
        assert losses.leading_components(a, enough) is a


@pytest.mark.parametrize(("images", "d_h", "d_a"), [(64, 64, 7), (60, 16, 60), (10, 64, 97)])
def test_a_loss_that_is_trivially_zero_is_refused(images, d_h, d_a):
    # what is refused: both residuals vanish for random matrices that have nothing to do with each other
    h, a = random(images, d_h), random(images, d_a, seed=1)
    r, r_prime, centred = losses.residuals(h, a, ridge=1e-12)
    assert r.norm() < 1e-4 * centred.norm() or r_prime.norm() < 1e-4 * h.norm()
    with pytest.raises(StudyError, match=r"pretrain\.patch\.batch"):
        losses.refuse_trivial(images, d_h, d_a, "pretrain.patch")


def test_agreeing_views_bring_no_rank():
    # why images count and not the stacked rows: equal views, 60 images, 120 rows, 64 columns, and R = 0
    h, a = random(60, 64), random(60, 5, seed=1)
    r, _, centred = losses.residuals(torch.cat([h, h]), torch.cat([a, a]), ridge=1e-12)
    assert r.norm() < 1e-4 * centred.norm()


def test_one_image_more_is_allowed():
    losses.refuse_trivial(65, 64, 7, "pretrain.patch")


def test_effective_rank_of_known_spectra():
    q, _ = torch.linalg.qr(losses.centre(random(50, 6)))
    assert losses.effective_rank(q).item() == pytest.approx(6)
    assert losses.effective_rank(q[:, :1] @ random(1, 6)).item() == pytest.approx(1)
    assert losses.effective_rank(torch.zeros(10, 3)).item() == pytest.approx(1)


def test_geometry_of_known_points():
    point = torch.ones(5, 3, dtype=torch.float64)
    collapsed = losses.geometry(point, 2 * point)
    assert collapsed["alignment"].item() == pytest.approx(0)
    assert collapsed["uniformity"].item() == pytest.approx(0)
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert losses.geometry(poles, -poles)["alignment"].item() == pytest.approx(4)
    assert losses.geometry(poles, poles)["uniformity"].item() == pytest.approx(-8)
