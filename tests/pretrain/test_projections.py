import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.lib.pretrain import projections


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_nothing_of_a_is_left_if_h_spans_it():
    h = random(40, 10)
    a = h[:, :3] @ random(3, 4, seed=1) + 5.0
    r, _, centred = projections.residuals(h, a, ridge=1e-12)
    assert r.norm() < 1e-9 * centred.norm()
    r, _, _ = projections.residuals(h, a, ridge=1e-4)
    assert r.norm() < 1e-2 * centred.norm()


def test_all_of_a_is_left_if_h_is_orthogonal_to_it():
    q, _ = torch.linalg.qr(projections.centre(random(40, 9)))
    r, r_prime, _ = projections.residuals(q[:, :5], q[:, 5:])
    torch.testing.assert_close(r, q[:, 5:])
    torch.testing.assert_close(r_prime, q[:, :5])


@settings(deadline=None, max_examples=25)
@given(rows=st.integers(12, 60), d_h=st.integers(1, 9), d_a=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_r_prime_is_orthogonal_to_a_and_centred(rows, d_h, d_a, seed):
    h, a = random(rows, d_h, seed=seed) + 3, random(rows, d_a, seed=seed + 1) - 2
    _, r_prime, _ = projections.residuals(h, a)
    assert (projections.centre(a).T @ r_prime).abs().max() < 1e-9
    assert r_prime.sum(dim=0).abs().max() < 1e-9


def test_projections_equal_those_of_the_pseudoinverse():
    x, y = projections.centre(random(30, 6)), random(30, 4, seed=1)
    expected = x @ torch.linalg.pinv(x) @ y
    torch.testing.assert_close(projections.project(x, y, 1e-13), expected)
    torch.testing.assert_close(projections.project_exact(x, y), expected)


def test_exact_projection_survives_repeated_and_constant_columns():
    x = projections.centre(random(30, 3))
    bad = torch.cat([x, x[:, :1], torch.zeros(30, 2, dtype=x.dtype)], dim=1)
    y = random(30, 4, seed=1)
    torch.testing.assert_close(projections.project_exact(bad, y), projections.project_exact(x, y))
    assert projections.project_exact(torch.zeros_like(x), y).abs().max() == 0


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e4])
def test_residual_of_a_does_not_see_the_scale_of_h(factor):
    h, a = random(40, 6, dtype=torch.float32), random(40, 3, seed=1, dtype=torch.float32)
    torch.testing.assert_close(
        projections.residuals(factor * h, a)[0], projections.residuals(h, a)[0], rtol=1e-3, atol=1e-4
    )


def test_single_precision_is_enough_for_ill_conditioned_h():
    h = random(80, 64) * torch.logspace(0, -6, 64, dtype=torch.float64)
    a = random(80, 6, seed=1)
    double = projections.residuals(h, a)[0]
    single = projections.residuals(h.float(), a.float())[0]
    torch.testing.assert_close(single.double(), double, rtol=1e-2, atol=1e-2)


def test_gradient_flows_through_both_terms():
    h = random(20, 6).requires_grad_()
    r, r_prime, _ = projections.residuals(h, random(20, 3, seed=1))
    for value in (r.square().sum(), r_prime.square().sum()):
        (gradient,) = torch.autograd.grad(value, h, retain_graph=True)
        assert gradient.abs().max() > 1e-6


def test_leading_components_are_the_best_of_their_number():
    a = projections.centre(random(30, 8) * torch.logspace(0, -2, 8, dtype=torch.float64))
    kept = projections.leading_components(a, 3)
    assert kept.shape == (30, 3)
    left = a - projections.project_exact(kept, a)
    expected = torch.linalg.svdvals(a)[3:].square().sum()
    torch.testing.assert_close(left.square().sum(), expected)
    for enough in (None, 8, 20):
        assert projections.leading_components(a, enough) is a


def test_effective_rank_of_known_spectra():
    q, _ = torch.linalg.qr(projections.centre(random(50, 6)))
    assert projections.effective_rank(q).item() == pytest.approx(6)
    assert projections.effective_rank(q[:, :1] @ random(1, 6)).item() == pytest.approx(1)
    assert projections.effective_rank(torch.zeros(10, 3)).item() == pytest.approx(1)
