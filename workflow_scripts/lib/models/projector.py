"""The projection head of SimCLR: used while training, thrown away afterwards."""

from torch import nn


def make_projector(width: int, hidden: int | None = None, output: int | None = None) -> nn.Sequential:
    """Make a head of two linear layers with batch normalisation and ReLU between them.

    Parameters
    ----------
    width : int
        Length of the representation.
    hidden, output : int, optional
        Widths of the layers; ``width`` if left out.

    Returns
    -------
    torch.nn.Sequential
        Batch x width -> batch x output.

    References
    ----------
    Chen et al., SimCLR, ICML 2020, section 4.2: a head of two layers; the contrastive loss then costs the
    representation less of what augmentations remove.
    """
    hidden, output = hidden or width, output or width
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, output, bias=False)
    )
