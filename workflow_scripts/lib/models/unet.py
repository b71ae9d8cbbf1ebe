"""The 3D U-Net of Models Genesis: restores a deformed volume; its bottleneck is the representation."""

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

LEVELS = 4
MULTIPLE = 2 ** (LEVELS - 1)


def _convolutions(before: int, middle: int, after: int) -> nn.Sequential:
    """Make two convolutions of kernel 3, each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for width, channels in ((before, middle), (middle, after)):
        layers += [nn.Conv3d(width, channels, 3, padding=1), nn.BatchNorm3d(channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Encode a volume over four levels and decode it to the same grid.

    The levels have 32, 64 | 64, 128 | 128, 256 | 256, 512 channels (two convolutions each), with max pooling by 2
    between them. On the way up, a transposed convolution (kernel 2, stride 2) doubles the grid, the level's maps
    are joined to it, and two convolutions follow; a convolution of kernel 1 and a sigmoid end it. Inputs are in
    [0, 1] as the outputs are, so nothing is standardised here.

    Parameters
    ----------
    width : int
        Channels of the first convolution, of which all others are multiples: 32 in the published network.

    References
    ----------
    Zhou et al., Models Genesis, Med. Image Anal. 2021. The published code normalises by the batch even when it
    encodes; here frozen networks use the running statistics, since the representation of a scan must not depend
    on the scans beside it.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise StudyError(f"the first convolution of the U-Net has {width} channels; it needs at least 1")
        self.width = width
        outs = [2 * width * 2**level for level in range(LEVELS)]
        self.down = nn.ModuleList(
            _convolutions(before, after // 2, after) for before, after in zip([1, *outs], outs, strict=False)
        )
        lower = outs[-1]
        self.doubling, self.up = nn.ModuleList(), nn.ModuleList()
        for skip in reversed(outs[:-1]):
            self.doubling.append(nn.ConvTranspose3d(lower, lower, 2, stride=2))
            self.up.append(_convolutions(lower + skip, skip, skip))
            lower = skip
        self.last = nn.Conv3d(lower, 1, 1)

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {"name": "UNet", "width": self.width}

    def features(self, volumes: torch.Tensor) -> torch.Tensor:
        """Give the representation: the global average of the lowest level.

        Parameters
        ----------
        volumes : torch.Tensor
            Batch x 1 x D x H x W in [0, 1]; sizes are multiples of 8.

        Returns
        -------
        torch.Tensor
            Batch x 16 width (512).
        """
        return self._encode(volumes)[-1].mean(dim=(2, 3, 4))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Restore volumes.

        Parameters
        ----------
        volumes : torch.Tensor
            Batch x 1 x D x H x W in [0, 1]; sizes are multiples of 8.

        Returns
        -------
        torch.Tensor
            Of the same shape, in (0, 1).

        Raises
        ------
        StudyError
            If a size is no multiple of 8.
        """
        *skips, maps = self._encode(volumes)
        for doubling, up, skip in zip(self.doubling, self.up, reversed(skips), strict=True):
            maps = up(torch.cat([doubling(maps), skip], dim=1))
        return torch.sigmoid(self.last(maps))

    def _encode(self, volumes: torch.Tensor) -> list[torch.Tensor]:
        """Give the maps of each level, the finest first."""
        grid = tuple(volumes.shape[2:])
        if any(n < MULTIPLE or n % MULTIPLE for n in grid):
            raise StudyError(
                f"a grid of {' x '.join(map(str, grid))} voxels: the U-Net halves it {LEVELS - 1} times, so every "
                f"size must be a multiple of {MULTIPLE}. Cubes of 192 mm are at 2, 3, 4, 6 and 8 mm."
            )
        levels: list[torch.Tensor] = []
        for level in self.down:
            volumes = level(functional.max_pool3d(levels[-1], 2) if levels else volumes)
            levels.append(volumes)
        return levels
