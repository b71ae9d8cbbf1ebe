"""A moving average of a network's weights, smoother than the weights of any one step."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    r"""Exponential moving average (a shadow) of all floating-point parameters of a network.

    After step t, counted from 0, :math:`s \leftarrow d_t s + (1 - d_t) w` with
    :math:`d_t = \min(d, (1 + t) / (10 + t))`, so that the random weights of the start, with which the shadow begins,
    are soon forgotten also in a training that is short against 1 / (1 - d) steps. Buffers (running statistics) are not
    averaged: beside the shadow stand those of the network itself.

    Parameters
    ----------
    model : torch.nn.Module
    decay : float
        The d of the formula, in [0, 1).

    Attributes
    ----------
    shadow : dict of str to torch.Tensor
        Name of the parameter -> its average, on the parameter's device and in its layout.

    References
    ----------
    Polyak and Juditsky, SIAM J. Control Optim. 1992; the rise of the decay is that of TensorFlow's
    ``ExponentialMovingAverage`` with ``num_updates``.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self._live = {name: p.detach() for name, p in model.named_parameters() if p.is_floating_point()}
        self.shadow = {name: weights.clone() for name, weights in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the shadow towards the weights after a step (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(list(self.shadow.values()), list(self._live.values()), None)

    @torch.no_grad()
    def put_in(self) -> None:
        """Replace the network's weights by their averages."""
        for name, weights in self._live.items():
            weights.copy_(self.shadow[name])

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the network have the averages for a while; afterwards its own weights, to the last bit."""
        own = {name: weights.clone() for name, weights in self._live.items()}
        self.put_in()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weights in self._live.items():
                    weights.copy_(own[name])
