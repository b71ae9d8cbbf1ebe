"""The patch encoder: thirteen 3D convolutions, pooled to one vector whatever the size of the patch."""

import torch
from torch import nn

from workflow_scripts.lib.models.standardised import StandardisedInput
from workflow_scripts.lib.study.errors import StudyError

CHANNELS = (8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 64)
STRIDE_TWO = frozenset({2, 5, 8, 11, 13})  # counted from 1, as the published tables do


class PatchEncoder(StandardisedInput):
    """Encode a single-channel 3D patch of any size into one vector.

    Thirteen convolutions (kernel 3, padding 1), each followed by batch normalisation and ELU; five of
    them halve the grid (rounding up), so the last one has ceil(n / 32) voxels along an axis of n. Its
    global average and global maximum are joined and mapped linearly to the representation. With a
    representation of 64 there are 817,080 parameters: 808,824 in the convolutions and their
    normalisations, 8,256 in the linear layer.

    Parameters
    ----------
    representation : int
        Length of the output vector.

    Attributes
    ----------
    intensity : torch.Tensor
        Buffer of 2: mean and standard deviation of the training patches, by which inputs are
        standardised. Set with :meth:`set_intensity`; it travels with the weights.

    References
    ----------
    The stack of convolutions is that of Yu et al., DrasCLR, Med. Image Anal. 2024, without its
    conditional kernels. Pooling to a fixed vector by maximum and average is named, but not spelt out,
    in the R-NCE paper (section 4.1); joining both before one linear layer is our reading.
    """

    def __init__(self, representation: int = 64):
        super().__init__()
        if representation < 1:
            raise StudyError(f"the representation of a patch has {representation} numbers; it needs at least 1")
        layers: list[nn.Module] = []
        width = 1
        for number, channels in enumerate(CHANNELS, start=1):
            stride = 2 if number in STRIDE_TWO else 1
            layers += [nn.Conv3d(width, channels, 3, stride, 1), nn.BatchNorm3d(channels), nn.ELU(inplace=True)]
            width = channels
        self.convolutions = nn.Sequential(*layers)
        self.linear = nn.Linear(2 * width, representation)

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {"name": "PatchEncoder", "representation": self.linear.out_features}

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Encode patches.

        Parameters
        ----------
        patches : torch.Tensor
            Batch x 1 x D x H x W, floating point, in the intensities of the patch store.

        Returns
        -------
        torch.Tensor
            Batch x representation.
        """
        maps = self.convolutions(self.standardise(patches))
        # means and maxima over named axes: adaptive pooling is slow with channels last
        pooled = torch.cat([maps.mean(dim=(2, 3, 4)), maps.amax(dim=(2, 3, 4))], dim=1)
        return self.linear(pooled)

    # the vector is the representation: whole volumes are encoded as patches are
    features = forward
