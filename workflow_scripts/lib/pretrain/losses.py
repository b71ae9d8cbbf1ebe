"""Losses without labels: NT-Xent (SimCLR), R-NCE and Barlow Twins between two views of a batch, LSSL between visits.

Rows are images (scans); a view of a batch is a matrix with one row an image. All of it runs outside
autocast, in float32 or float64. With several processes, each is given the rows of all of them.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn import functional

from workflow_scripts.lib.pretrain.projections import centre as centre
from workflow_scripts.lib.pretrain.projections import effective_rank as effective_rank
from workflow_scripts.lib.pretrain.projections import leading_components as leading_components
from workflow_scripts.lib.pretrain.projections import project as project
from workflow_scripts.lib.pretrain.projections import project_exact as project_exact
from workflow_scripts.lib.pretrain.projections import residuals as residuals
from workflow_scripts.lib.study.errors import StudyError

SCALES = ("per_entry", "frobenius")
BATCH_NORM_EPS = 1e-5  # of torch's batch normalisation, which Barlow Twins is published with
STILL = 1e-7  # a pair whose representations differ by less has no direction (the LSSL authors' epsilon)


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
        explains), ``auxiliary_share`` (share of the variance of H that A explains), ``residual_rank``
        (see :func:`effective_rank`), ``alignment``, ``uniformity`` (see :func:`geometry`), ``spread``
        (see :func:`spread`). The last three are of what the contrastive term sees.
    """
    if scale not in SCALES:
        raise StudyError(f"reconstruction scale '{scale}' is not known; choose one of {', '.join(SCALES)}")
    if stacked:
        h_views = [torch.cat([h1, h2])]
        r, r_prime, a = residuals(h_views[0], torch.cat([a1, a2]), ridge, components)
        r_views, a_views, r_prime_views = [r], [a], r_prime.chunk(2)
    else:
        h_views = [h1, h2]
        found = [residuals(h, a, ridge, components) for h, a in ((h1, a1), (h2, a2))]
        r_views, r_prime_views, a_views = zip(*found, strict=True)
    norm = sum(r.square().sum() for r in r_views)
    reconstruction = norm / sum(r.numel() for r in r_views) if scale == "per_entry" else norm
    z1, z2 = r_prime_views if projector is None else (projector(view) for view in r_prime_views)
    nce = nt_xent(z1, z2, temperature)
    with torch.no_grad():
        report = {
            "reconstruction": reconstruction.detach(),
            "nce": nce.detach(),
            "explained": explained_share(r_views, a_views),
            "auxiliary_share": explained_share(r_prime_views, h_views),
            "residual_rank": effective_rank(torch.cat(list(r_prime_views))),
            **geometry(z1, z2),
            "spread": spread(torch.cat([z1, z2])),
        }
    return weight * reconstruction + nce, report


def explained_share(left: Sequence[torch.Tensor], whole: Sequence[torch.Tensor]) -> torch.Tensor:
    """Share of the variance of matrices (rows x columns) that is not left in their residuals; 0 without variance."""
    total = sum(centre(part).square().sum() for part in whole)
    return 1 - sum(part.square().sum() for part in left) / total.clamp(min=torch.finfo(total.dtype).tiny)


def barlow_twins(
    z1: torch.Tensor, z2: torch.Tensor, redundancy: float = 0.0051
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""Barlow Twins: each dimension agrees between the views and tells what no other does.

    .. math:: L = \sum_i (1 - C_{ii})^2 + \lambda \sum_i \sum_{j \ne i} C_{ij}^2

    C is the correlation of the columns of one view with those of the other, see :func:`cross_correlation`.

    Parameters
    ----------
    z1, z2 : torch.Tensor
        Images x width: the two views; two images at least.
    redundancy : float
        The lambda of the formula.

    Returns
    -------
    torch.Tensor
        The loss, a scalar.
    dict of str to torch.Tensor
        Detached: ``on_diagonal``, ``off_diagonal`` (the two sums, without lambda), ``alignment``, ``uniformity``.

    References
    ----------
    Zbontar et al., Barlow Twins, ICML 2021, equations 1 and 2.
    """
    c = cross_correlation(z1, z2)
    on_diagonal = (1 - c.diagonal()).square().sum()
    off_diagonal = (c - c.diagonal().diag()).square().sum()
    with torch.no_grad():
        report = {"on_diagonal": on_diagonal.detach(), "off_diagonal": off_diagonal.detach(), **geometry(z1, z2)}
    return on_diagonal + redundancy * off_diagonal, report


def cross_correlation(z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    """Correlate the columns of two views over the images: width x width.

    As published: batch normalisation without scale and shift (the variance divided by the number of images, a
    small number added to it), and the sum over images divided by their number. MONAI's ``BarlowTwinsLoss``
    standardises by the unbiased deviation and divides by the number all the same: its C is this one times
    (images - 1) / images, and its diagonal never gets to 1.
    """
    z1, z2 = (functional.batch_norm(z, None, None, training=True, eps=BATCH_NORM_EPS) for z in (z1, z2))
    return z1.T @ z2 / len(z1)


def lssl(
    z_first: torch.Tensor,
    z_second: torch.Tensor,
    direction: torch.Tensor,
    rebuilt: torch.Tensor,
    images: torch.Tensor,
    weight: float = 1.0,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    r"""LSSL: rebuild both scans of a pair, and move from the earlier to the later along one direction.

    .. math:: L = \|x_s - \tilde x_s\|^2 + \|x_t - \tilde x_t\|^2 + \lambda (1 - \cos(z_t - z_s, \tau))

    averaged over pairs; the norms are means over voxels.

    Parameters
    ----------
    z_first, z_second : torch.Tensor
        Pairs x width: representations of the earlier (s) and the later (t) scans.
    direction : torch.Tensor
        Width: the tau of the formula, learned, the same for all pairs; its length does not matter.
    rebuilt, images : torch.Tensor
        2 pairs x 1 x D x H x W: all earlier scans, then all later ones, as decoded and as they are.
    weight : float
        The lambda of the formula.

    Returns
    -------
    torch.Tensor
        The loss, a scalar. A pair that does not move (by more than 1e-7) counts as cosine 0, without a
        gradient: it would be as large as its inverse.
    dict of str to torch.Tensor
        Detached: ``reconstruction``, ``cosine``.

    References
    ----------
    Zhao et al., Longitudinal self-supervised learning, Med. Image Anal. 71 (2021) 102051.
    """
    moves = z_second - z_first
    cosines = functional.cosine_similarity(moves, direction[None], dim=1, eps=STILL)
    cosine = torch.where(moves.norm(dim=1) > STILL, cosines, 0).mean()
    reconstruction = 2 * functional.mse_loss(rebuilt, images)  # of each image once, and there are two a pair
    report = {"reconstruction": reconstruction.detach(), "cosine": cosine.detach()}
    return reconstruction + weight * (1 - cosine), report


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


def spread(z: torch.Tensor) -> torch.Tensor:
    """Mean standard deviation of the dimensions of z (rows x width) on the unit sphere, times the root of the width.

    0 where all rows have one direction (collapse), about 1 where they fill all dimensions evenly.

    References
    ----------
    Chen and He, Exploring simple Siamese representation learning, CVPR 2021, section 4.1.
    """
    return functional.normalize(z, dim=1).std(dim=0, correction=0).mean() * z.shape[1] ** 0.5


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
