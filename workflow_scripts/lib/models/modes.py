"""Modes of networks: training and evaluation."""

import contextlib
from collections.abc import Iterator

from torch import nn


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put all parts of a network into evaluation mode for a while (stored statistics, no dropout).

    Parameters
    ----------
    network : torch.nn.Module
        Each part is put back into its own mode.
    """
    before = [(part, part.training) for part in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training
