import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import BarlowTwinsLoss, ContrastiveLoss

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
    z1, z2 = random(images, width, seed=seed), random(images, width, seed=-1)
    # MONAI keeps its temperature in single precision, where 0.25 is exact
    expected = ContrastiveLoss(temperature=0.25)(z1, z2)
    torch.testing.assert_close(losses.nt_xent(z1, z2, 0.25), expected, rtol=1e-9, atol=1e-9)
    # MONAI exponentiates before it takes the logarithm, which costs it digits in single precision
    single = losses.nt_xent(z1.float(), z2.float(), 0.25)
    torch.testing.assert_close(single.double(), expected, rtol=1e-6, atol=3e-6)


def test_nt_xent_of_equal_points_is_chance():
    z = torch.ones(6, 4, dtype=torch.float64)
    assert losses.nt_xent(z, z, 0.2).item() == pytest.approx(math.log(2 * 6 - 1))


def test_nt_xent_of_two_orthogonal_images_in_closed_form():
    # each view agrees with the other view of its image and is orthogonal to both views of the other image
    z = torch.eye(2, dtype=torch.float64)
    assert losses.nt_xent(z, z, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-1 / 0.5)), abs=1e-12)


def test_gradient_of_nt_xent_is_right():
    z1, z2 = random(6, 4).requires_grad_(), random(6, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *z: losses.nt_xent(*z, 0.3), (z1, z2), atol=1e-8)


def test_nt_xent_ignores_length_and_order():
    z1, z2 = random(8, 5), random(8, 5, seed=1)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(4))
    expected = losses.nt_xent(z1, z2, 0.2)
    torch.testing.assert_close(losses.nt_xent(3 * z1[order], 0.1 * z2[order], 0.2), expected)
    torch.testing.assert_close(losses.nt_xent(z2, z1, 0.2), expected)


def plain_r_nce(h, a, temperature, stacked, scale):
    """Equations 1 to 3 with QR of centred matrices, in numpy."""

    def left(x, y):
        q, _ = np.linalg.qr(x - x.mean(0))
        return (y - y.mean(0)) - q @ (q.T @ (y - y.mean(0)))

    if stacked:
        both, twice = np.concatenate(h), np.concatenate(a)
        left_a, left_h = [left(both, twice)], np.split(left(twice, both), 2)
    else:
        left_a, left_h = (
            [left(*pair) for pair in zip(h, a, strict=True)],
            [left(*pair) for pair in zip(a, h, strict=True)],
        )
    norm = sum(np.linalg.norm(r) ** 2 for r in left_a)
    norm = norm / sum(r.size for r in left_a) if scale == "per_entry" else norm
    return norm + plain_equation_1(*map(torch.from_numpy, left_h), temperature)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("scale", losses.SCALES)
def test_r_nce_is_equations_1_to_3(stacked, scale):
    h = random(24, 7), random(24, 7, seed=1)
    a = (random(24, 5, seed=2),) * 2 if stacked else (random(24, 5, seed=2), random(24, 4, seed=3))
    loss, _ = losses.r_nce(*h, *a, temperature=0.2, stacked=stacked, scale=scale, ridge=1e-13)
    expected = plain_r_nce([x.numpy() for x in h], [x.numpy() for x in a], 0.2, stacked, scale)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    single, _ = losses.r_nce(*[x.float() for x in (*h, *a)], temperature=0.2, stacked=stacked, scale=scale, ridge=1e-7)
    assert single.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("scale", losses.SCALES)
@pytest.mark.parametrize("components", [None, 2])
def test_gradient_of_r_nce_is_right(stacked, scale, components):
    a1 = random(9, 3, seed=5)
    a2 = a1 if stacked else random(9, 2, seed=6)
    options = {"stacked": stacked, "scale": scale, "components": components, "weight": 3.0}

    def loss(h1, h2):
        return losses.r_nce(h1, h2, a1, a2, temperature=0.5, **options)[0]

    h1, h2 = random(9, 4).requires_grad_(), random(9, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(loss, (h1, h2), eps=1e-6, atol=1e-7, rtol=1e-5)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), stacked=st.booleans())
def test_r_nce_sees_spans_and_not_coordinates(seed, stacked):
    h1, h2, a1, a2 = (random(24, width, seed=seed + place) for place, width in enumerate((6, 6, 4, 4)))
    a2 = a1 if stacked else a2

    def parts(h1, h2, a1, a2):
        _, report = losses.r_nce(h1, h2, a1, a2, temperature=0.2, stacked=stacked, ridge=1e-12)
        return report

    expected = parts(h1, h2, a1, a2)
    mixed = torch.linalg.qr(random(4, 4, seed=seed))[0] * torch.tensor([0.3, 1.0, 2.0, 5.0], dtype=torch.float64)
    # an invertible map of A leaves R' as it is, and so do constants, which no centred matrix keeps
    for found in (parts(h1, h2, a1 @ mixed, a2 @ mixed), parts(h1 + 7, h2 + 7, a1 - 3, a2 - 3)):
        for name in ("nce", "residual_rank", "alignment", "uniformity", "spread", "auxiliary_share"):
            torch.testing.assert_close(found[name], expected[name], rtol=1e-7, atol=1e-9)
    # an invertible map of H leaves R as it is
    turned = torch.linalg.qr(random(6, 6, seed=seed))[0] * torch.linspace(0.5, 2, 6, dtype=torch.float64)
    for name in ("reconstruction", "explained"):
        torch.testing.assert_close(parts(h1 @ turned, h2 @ turned, a1, a2)[name], expected[name], rtol=1e-7, atol=1e-9)


def test_reported_shares_of_variance_are_those_that_were_planted():
    q = torch.linalg.qr(losses.centre(random(60, 6)))[0]
    shared, own, unseen = q[:, :2], q[:, 2:4], q[:, 4:]
    h, a = torch.cat([3 * shared, 4 * own], dim=1), torch.cat([2 * shared, unseen], dim=1)
    for stacked in (True, False):
        _, report = losses.r_nce(h, h, a, a, temperature=0.2, stacked=stacked, ridge=1e-10)
        assert report["explained"].item() == pytest.approx(8 / 10)
        assert report["auxiliary_share"].item() == pytest.approx(18 / 50)
        assert report["residual_rank"].item() == pytest.approx(2)


def test_auxiliary_features_that_say_nothing_leave_the_contrastive_term_alone():
    # a location whose features are all missing holds their mean, 0, in every row
    h1, h2, a = random(20, 5).requires_grad_(), random(20, 5, seed=1), torch.zeros(20, 3, dtype=torch.float64)
    loss, report = losses.r_nce(h1, h2, a, a, temperature=0.2, stacked=True)
    middle = torch.cat([h1, h2]).mean(0)
    torch.testing.assert_close(loss, losses.nt_xent(h1 - middle, h2 - middle, 0.2))
    assert torch.autograd.grad(loss, h1)[0].isfinite().all()
    assert all(torch.isfinite(value) for value in report.values())
    assert report["auxiliary_share"] == 0


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


def test_geometry_of_known_points():
    point = torch.ones(5, 3, dtype=torch.float64)
    collapsed = losses.geometry(point, 2 * point)
    assert collapsed["alignment"].item() == pytest.approx(0)
    assert collapsed["uniformity"].item() == pytest.approx(0)
    poles = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    assert losses.geometry(poles, -poles)["alignment"].item() == pytest.approx(4)
    assert losses.geometry(poles, poles)["uniformity"].item() == pytest.approx(-8)


def test_spread_tells_collapse_from_evenness():
    assert losses.spread(torch.ones(30, 8)).item() == pytest.approx(0)
    assert losses.spread(random(20_000, 16)).item() == pytest.approx(1, abs=0.02)
    # on one line of sixteen dimensions: all but one do not vary
    line = torch.zeros(200, 16)
    line[:, 0] = random(200, dtype=torch.float32)
    assert losses.spread(line).item() == pytest.approx(0.25, abs=0.01)


def plain_barlow_twins(z1, z2, redundancy):
    """Equations 1 and 2, term by term, with batch normalisation written out."""
    z1, z2 = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (z1.numpy(), z2.numpy()))
    images, width = z1.shape
    total = 0.0
    for i in range(width):
        for j in range(width):
            c = sum(z1[row, i] * z2[row, j] for row in range(images)) / images
            total += (1 - c) ** 2 if i == j else redundancy * c**2
    return total


@pytest.mark.parametrize("redundancy", [0.0051, 0.5])
def test_barlow_twins_is_the_published_formula(redundancy):
    z1, z2 = random(9, 4) * 3 + 1, random(9, 4, seed=1)
    loss, report = losses.barlow_twins(z1, z2, redundancy)
    assert loss.item() == pytest.approx(plain_barlow_twins(z1, z2, redundancy), rel=1e-12)
    assert loss.item() == pytest.approx((report["on_diagonal"] + redundancy * report["off_diagonal"]).item())
    assert {name: report[name] for name in ("alignment", "uniformity")} == losses.geometry(z1, z2)
    single, _ = losses.barlow_twins(z1.float(), z2.float(), redundancy)
    assert single.item() == pytest.approx(loss.item(), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(images=st.integers(3, 40), width=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_barlow_twins_equals_that_of_monai_but_for_its_correlation(images, width, seed):
    # large numbers, so that what either adds to the deviation does not matter
    z1, z2 = 1e4 * random(images, width, seed=seed), 1e4 * random(images, width, seed=seed + 1)
    c = losses.cross_correlation(z1, z2)
    torch.testing.assert_close(c, torch.from_numpy(np.corrcoef(z1.T, z2.T)[:width, width:]), rtol=1e-6, atol=1e-6)
    c = c * (images - 1) / images  # MONAI: unbiased deviations, but a mean over all images
    diagonal = (1 - c.diagonal()).square().sum()
    expected = diagonal + 0.005 * (c.square().sum() - c.diagonal().square().sum())
    found = BarlowTwinsLoss(lambd=0.005)(z1, z2)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6, check_dtype=False)


def test_barlow_twins_of_known_correlations():
    q = 100 * torch.linalg.qr(losses.centre(random(50, 4)))[0]
    for other, on_diagonal, off_diagonal in ((q, 0, 0), (-q, 4 * 4, 0), (q.roll(1, dims=1), 4, 4)):
        _, report = losses.barlow_twins(q, other)
        assert report["on_diagonal"].item() == pytest.approx(on_diagonal, abs=1e-4)
        assert report["off_diagonal"].item() == pytest.approx(off_diagonal, abs=1e-4)
    same = q[:, :1].expand(-1, 4)
    assert losses.barlow_twins(same, same)[1]["off_diagonal"].item() == pytest.approx(12, abs=1e-4)


def test_gradient_of_barlow_twins_is_right_even_in_a_collapse():
    z1, z2 = random(7, 3).requires_grad_(), random(7, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *z: losses.barlow_twins(*z)[0], (z1, z2), atol=1e-8)
    still = torch.ones(5, 3, requires_grad=True)
    loss, _ = losses.barlow_twins(still, still)
    assert loss.item() == pytest.approx(3)
    assert torch.autograd.grad(loss, still)[0].isfinite().all()


def visits(pairs=5, width=4):
    """Representations, a direction, images and what they were rebuilt to."""
    z = random(pairs, width), random(pairs, width, seed=1)
    images = random(2 * pairs, 1, 3, 2, 4, seed=2)
    return *z, random(width, seed=3), images + 0.1 * random(*images.shape, seed=4), images


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_lssl_is_the_published_formula(weight):
    first, second, direction, rebuilt, images = (part.numpy() for part in visits())
    cosines, errors = [], []
    for pair in range(5):
        step = second[pair] - first[pair]
        cosines.append(step @ direction / np.linalg.norm(step) / np.linalg.norm(direction))
        errors.append(sum(np.mean((rebuilt[i] - images[i]) ** 2) for i in (pair, pair + 5)))
    loss, report = losses.lssl(*visits(), weight)
    assert report["cosine"].item() == pytest.approx(np.mean(cosines), abs=1e-12)
    assert report["reconstruction"].item() == pytest.approx(np.mean(errors), abs=1e-12)
    assert loss.item() == pytest.approx(np.mean(errors) + weight * (1 - np.mean(cosines)), abs=1e-12)
    single, _ = losses.lssl(*(part.float() for part in visits()), weight)
    assert single.item() == pytest.approx(loss.item(), rel=1e-6)


def test_lssl_rewards_moves_along_the_direction_whatever_their_length():
    first, _, direction, _, images = visits()
    steps = torch.linspace(0.1, 3, 5, dtype=torch.float64)[:, None] * direction
    for sign, expected in ((1, 0), (-1, 2)):
        loss, _ = losses.lssl(first, first + sign * steps, 10 * direction, images, images)
        assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_gradient_of_lssl_is_right_and_a_pair_that_does_not_move_has_none():
    inputs = tuple(part.requires_grad_() for part in visits(pairs=2, width=3))
    assert torch.autograd.gradcheck(lambda *parts: losses.lssl(*parts, 0.7)[0], inputs, atol=1e-8)
    first, second, direction, rebuilt, images = visits()
    second[0] = first[0]
    parts = [part.requires_grad_() for part in (first, second, direction)]
    loss, report = losses.lssl(*parts, rebuilt, images)
    others, _ = losses.lssl(first[1:], second[1:], direction, rebuilt, images)
    torch.testing.assert_close(1 - report["cosine"], 1 - 0.8 * (1 - (others - report["reconstruction"])))
    gradients = torch.autograd.grad(loss, parts)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[0][0].abs().max() == 0
    assert gradients[0][1:].abs().min() > 0
