"""Losses between two views of a batch of images: NT-Xent (SimCLR) and R-NCE.

Rows are images (scans); a view of a batch is a matrix with one row an image. All of it runs outside
autocast, in float32 or float64: projections of half-precision matrices are worthless.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

SCALES = ("per_entry", "frobenius")


def nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    r"""Contrastive loss: tell the other view of an image from all views of other images.

    .. math:: L_{i,a} = -\log \frac{e^{sim(h_{i,a}, h_{i,a^c}) / \tau}}
              {\sum_{i' \ne i, a'} e^{sim(h_{i,a}, h_{i',a'}) / \tau} + e^{sim(h_{i,a}, h_{i,a^c}) / \tau}}

    averaged over all images and both views; sim is the cosine.

    Parameters
    ----------
    z1, z2 : torch.Tensor
        Images x width: the two views; row i of both is the same image.
    temperature : float
        The tau of the formula, above 0.

    Returns
    -------
    torch.Tensor
        A scalar. Chance level (no view nearer than another) is log(2 images - 1).

    References
    ----------
    R-NCE paper, equation 1; Chen et al., SimCLR, ICML 2020.
    """
    z = functional.normalize(torch.cat([z1, z2]), dim=1)
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)
    images = len(z1)
    other_view = torch.arange(2 * images, device=z.device).roll(images)
    return functional.cross_entropy(similarity, other_view)


def centre(x: torch.Tensor) -> torch.Tensor:
    """Subtract the mean of each column: otherwise the mean image dominates every projection."""
    return x - x.mean(dim=0)


def project(x: torch.Tensor, y: torch.Tensor, ridge: float) -> torch.Tensor:
    r"""Project y on the columns of x: P_X[Y] = X (X'X + \lambda I)^{-1} X' Y.

    Parameters
    ----------
    x : torch.Tensor
        Rows x d, centred. Gradients flow through it.
    y : torch.Tensor
        Rows x e, centred.
    ridge : float
        :math:`\lambda` as a fraction of the mean squared length of the columns of x (the trace of X'X
        over d), so that the result does not depend on the scale of x. It bounds the condition number of
        what is factored by d / ridge; the gradient of a pseudoinverse has no bound where ranks change.

    Returns
    -------
    torch.Tensor
        Rows x e.

    References
    ----------
    R-NCE paper, after equation 2, with the pseudoinverse regularised.
    """
    gram = x.T @ x
    width = len(gram)
    # the smallest normal number keeps a matrix of zeros factorable: its projection is zero
    shift = ridge * gram.diagonal().sum() / width + torch.finfo(x.dtype).tiny
    factor = torch.linalg.cholesky(gram + shift * torch.eye(width, dtype=x.dtype, device=x.device))
    return x @ torch.cholesky_solve(x.T @ y, factor)


def project_exact(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Project y on the columns of x, which is fixed (no gradient): exact, by singular vectors.

    Directions whose singular value is below the rounding of the largest one are left out, so that
    repeated or constant columns do no harm. Shapes as in :func:`project`.
    """
    with torch.no_grad():
        basis, values, _ = torch.linalg.svd(x, full_matrices=False)
        tolerance = max(x.shape) * torch.finfo(x.dtype).eps
        basis = basis[:, values > tolerance * values[:1].clamp(min=torch.finfo(x.dtype).tiny)]
    return basis @ (basis.T @ y)


def leading_components(a: torch.Tensor, components: int | None) -> torch.Tensor:
    """Replace centred auxiliary features by their leading principal components.

    Needed where there are about as many features as images in a batch. Which orthogonal frame the
    components take does not matter: neither a projection on their span nor the norm of what is left
    of them changes with it.

    Parameters
    ----------
    a : torch.Tensor
        Rows x features, centred.
    components : int or None
        How many to keep; None, or a number not below the number of features, keeps ``a`` as it is.

    Returns
    -------
    torch.Tensor
        Rows x components: left singular vectors times singular values, in the units of ``a``.
    """
    if components is None or components >= a.shape[1]:
        return a
    left, values, _ = torch.linalg.svd(a, full_matrices=False)
    return left[:, :components] * values[:components]


def residuals(
    h: torch.Tensor, a: torch.Tensor, ridge: float = 1e-4, components: int | None = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Compute both residuals of R-NCE, equation 2: R = A - P_H[A] and R' = H - P_A[H].

    Parameters
    ----------
    h : torch.Tensor
        Rows x d_h, representations; gradients flow to them through both residuals.
    a : torch.Tensor
        Rows x d_a, auxiliary features, fixed.
    ridge : float
        See :func:`project`; used for P_H. P_A needs none, since no gradient passes through A.
    components : int or None
        See :func:`leading_components`.

    Returns
    -------
    tuple of torch.Tensor
        R (rows x d_a), R' (rows x d_h), and the A that was used, centred (rows x d_a).
    """
    h, a = centre(h), leading_components(centre(a), components)
    return a - project(h, a, ridge), h - project_exact(a, h), a


def r_nce(
    h1: torch.Tensor,
    h2: torch.Tensor,
    a1: torch.Tensor,
    a2: torch.Tensor,
    *,
    temperature: float,
    stacked: bool,
    scale: str = "per_entry",
    weight: float = 1.0,
    ridge: float = 1e-4,
    components: int | None = None,
    projector: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """R-NCE, equation 3: ||R||_F^2 + NCE(R').

    Parameters
    ----------
    h1, h2 : torch.Tensor
        Images x d_h, representations of the two views.
    a1, a2 : torch.Tensor
        Images x d_a, auxiliary features, standardised. The same matrix at patch level; at image level
        each view has the features of its own locations.
    temperature : float
        Of the contrastive term.
    stacked : bool
        True (patch level): the views are stacked, A standing twice, and projected together.
        False (image level): each view is projected on its own, since their A differ.
    scale : {'per_entry', 'frobenius'}
        The squared norm as written grows with rows and features, so that its weight against the
        contrastive term would change with the batch and from one location to the next; ``per_entry``
        divides it by rows x features. The published weighting is not known.
    weight : float
        Of the reconstruction term; 1 as published.
    ridge, components : float, int or None
        See :func:`residuals`.
    projector : callable, optional
        A head through which R' passes before the contrastive term. The paper has none.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.
    dict of str to torch.Tensor
        Detached: ``reconstruction``, ``nce``, ``explained`` (share of the variance of A that H
        explains), ``residual_rank`` (see :func:`effective_rank`), ``alignment``, ``uniformity``.
    """
    if scale not in SCALES:
        raise StudyError(f"reconstruction scale '{scale}' is not known; choose one of {', '.join(SCALES)}")
    if stacked:
        r, r_prime, a = residuals(torch.cat([h1, h2]), torch.cat([a1, a2]), ridge, components)
        r_views, a_views, r_prime_views = [r], [a], r_prime.chunk(2)
    else:
        found = [residuals(h, a, ridge, components) for h, a in ((h1, a1), (h2, a2))]
        r_views, r_prime_views, a_views = zip(*found, strict=True)
    norm = sum(r.square().sum() for r in r_views)
    total = sum(a.square().sum() for a in a_views)
    reconstruction = norm / sum(r.numel() for r in r_views) if scale == "per_entry" else norm
    z1, z2 = r_prime_views if projector is None else (projector(view) for view in r_prime_views)
    nce = nt_xent(z1, z2, temperature)
    with torch.no_grad():
        report = {
            "reconstruction": reconstruction.detach(),
            "nce": nce.detach(),
            "explained": 1 - norm.detach() / total.clamp(min=torch.finfo(norm.dtype).tiny),
            "residual_rank": effective_rank(torch.cat(list(r_prime_views))),
            **geometry(z1, z2),
        }
    return weight * reconstruction + nce, report


def effective_rank(x: torch.Tensor) -> torch.Tensor:
    """Effective number of dimensions that x (rows x d) fills: the exponential of the entropy of its spectrum.

    The spectrum are the shares of variance of the principal components. 1 is a line, d a sphere.
    """
    share = torch.linalg.svdvals(centre(x)).square()
    share = share / share.sum().clamp(min=torch.finfo(x.dtype).tiny)
    return torch.special.entr(share).sum().exp()


def geometry(z1: torch.Tensor, z2: torch.Tensor) -> dict[str, torch.Tensor]:
    """Alignment and uniformity of two views on the unit sphere.

    Alignment is the mean squared distance between the views of an image (0 is best); uniformity the
    logarithm of the mean Gaussian potential, exp(-2 distance^2), between rows of one view (0 means that
    all images fall on one point, -4 is about as even as can be).

    References
    ----------
    Wang and Isola, Understanding contrastive representation learning, ICML 2020.
    """
    u1, u2 = functional.normalize(z1, dim=1), functional.normalize(z2, dim=1)
    potentials = torch.stack([torch.pdist(u).square().mul(-2).exp().mean() for u in (u1, u2)])
    return {"alignment": (u1 - u2).square().sum(dim=1).mean(), "uniformity": potentials.mean().log()}


def refuse_trivial(images: int, d_h: int, d_a: int, where: str) -> None:
    """Refuse a batch in which the reconstruction term of R-NCE is zero whatever the network does.

    The rank of centred H cannot pass images - 1. Once it gets there, P_H[A] = A for every A, and once the
    rank of A gets there, R' = 0. What counts is the number of images, also where both views are
    stacked to twice as many rows: the rows of A repeat, and the better the views agree, which is what the
    contrastive term wants, the more those of H repeat too.

    Parameters
    ----------
    images : int
        Images in a batch.
    d_h, d_a : int
        Columns of H and of A.
    where : str
        The part of the config that sets the batch, for the message.

    Raises
    ------
    StudyError
        If images <= max(d_h, d_a).
    """
    if images <= max(d_h, d_a):
        raise StudyError(
            f"R-NCE with {images} images in a batch, a representation of {d_h} and {d_a} auxiliary features: the "
            f"reconstruction term would be zero for any network. It needs more images than either number: raise "
            f"{where}.batch (and have that many pretraining scans), lower pretrain.representation, or keep fewer "
            f"auxiliary components ({where}.components)."
        )
