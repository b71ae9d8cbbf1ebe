"""Projections of one matrix on the columns of another, and what they leave: the algebra of R-NCE.

Rows are images. Float32 or float64, outside autocast: projections of half-precision matrices are worthless.
"""

import torch


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


def effective_rank(x: torch.Tensor) -> torch.Tensor:
    """Effective number of dimensions that x (rows x d) fills: the exponential of the entropy of its spectrum.

    The spectrum are the shares of variance of the principal components. 1 is a line, d a sphere.
    """
    share = torch.linalg.svdvals(centre(x)).square()
    share = share / share.sum().clamp(min=torch.finfo(x.dtype).tiny)
    return torch.special.entr(share).sum().exp()
