"""What the networks that standardise their inputs share: two numbers that travel with the weights."""

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError


class StandardisedInput(nn.Module):
    """A network that takes out mean and standard deviation of the training scans before its first layer.

    Attributes
    ----------
    intensity : torch.Tensor
        Buffer of 2: mean and standard deviation, 0 and 1 until :meth:`set_intensity` is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("intensity", torch.tensor([0.0, 1.0]))

    def set_intensity(self, mean: float, std: float) -> None:
        """Set the mean and standard deviation (of the training scans) by which inputs are standardised."""
        if not std > 0:
            raise StudyError(f"standard deviation of the training scans is {std}: they hold one value only")
        self.intensity.copy_(torch.tensor([mean, std]))

    def standardise(self, images: torch.Tensor) -> torch.Tensor:
        """Take out mean and standard deviation; the shape stays."""
        return (images - self.intensity[0]) / self.intensity[1]
