"""The autoencoder of LSSL: a latent vector whose change over time follows one learned direction."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.study.errors import StudyError

CHANNELS = (16, 32, 64, 16)
SLOPE = 0.2


def _convolution(before: int, after: int) -> nn.Sequential:
    """Make a convolution of kernel 3 with batch normalisation; what follows them differs on the two ways."""
    return nn.Sequential(nn.Conv3d(before, after, 3, padding=1), nn.BatchNorm3d(after))


class Autoencoder(nn.Module):
    """Encode a volume of one fixed grid into a vector and decode it.

    Four times convolution (kernel 3), batch normalisation, leaky ReLU of slope 0.2 and max pooling by 2, with 16,
    32, 64 and 16 channels; a linear layer gives the latent vector. The decoder mirrors this: a linear layer, four
    times convolution, batch normalisation, leaky ReLU and trilinear upsampling (corners aligned), and a convolution
    to one channel. Sizes that are odd on the way down lose their last voxel and get it back on the way up.

    The length of the latent vector is a choice of its own and does not follow the grid: 1,024 as in the published
    network, whose last maps have that many numbers at 64 x 64 x 64. Inputs have mean 0 and standard deviation 1 a
    scan (the rule of the data), so nothing is standardised here.

    Parameters
    ----------
    grid : sequence of 3 int
        Voxels along each axis, 16 or more.
    width : int
        Length of the latent vector.

    Attributes
    ----------
    direction : torch.nn.Parameter
        Of length ``width``: where time leads to, to be used through :attr:`unit_direction`.

    References
    ----------
    Zhao et al., LSSL, Med. Image Anal. 2021; normalisation, slope and initial values as in Ouyang et al., LNE,
    MICCAI 2021.
    """

    def __init__(self, grid: Sequence[int] = (96, 96, 96), width: int = 1024) -> None:
        super().__init__()
        if len(grid) != 3 or min(grid) < 2 ** len(CHANNELS) or width < 1:
            raise StudyError(
                f"an autoencoder of grid {list(grid)} and width {width}: expected three sizes of "
                f"{2 ** len(CHANNELS)} voxels or more and a width of at least 1"
            )
        self.grid, self.width = tuple(int(n) for n in grid), width
        self.sizes = [tuple(n // 2**halvings for n in self.grid) for halvings in range(len(CHANNELS) + 1)]
        self.lowest = (CHANNELS[-1], *self.sizes[-1])
        flat = CHANNELS[-1] * self.sizes[-1][0] * self.sizes[-1][1] * self.sizes[-1][2]
        self.down = nn.ModuleList(map(_convolution, (1, *CHANNELS[:-1]), CHANNELS))
        self.to_latent, self.from_latent = nn.Linear(flat, width), nn.Linear(width, flat)
        mirrored = (*CHANNELS[-2::-1], CHANNELS[0])
        self.up = nn.ModuleList(map(_convolution, (CHANNELS[-1], *mirrored[:-1]), mirrored))
        self.last = nn.Conv3d(mirrored[-1], 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        self.direction = nn.Parameter(functional.normalize(torch.randn(width), dim=0))

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {"name": "Autoencoder", "grid": list(self.grid), "width": self.width}

    @property
    def unit_direction(self) -> torch.Tensor:
        """The direction at length 1; a latent vector's product with it says how far a scan has come."""
        return functional.normalize(self.direction, dim=0)

    def encode(self, volumes: torch.Tensor) -> torch.Tensor:
        """Give latent vectors.

        Parameters
        ----------
        volumes : torch.Tensor
            Batch x 1 x grid, mean 0 and standard deviation 1 a scan.

        Returns
        -------
        torch.Tensor
            Batch x width.

        Raises
        ------
        StudyError
            If the grid is another one.
        """
        self._check(tuple(volumes.shape[2:]))
        maps = volumes
        for convolution in self.down:
            # leaky ReLU keeps order, so pooling before it changes no value
            maps = functional.leaky_relu(functional.max_pool3d(convolution(maps), 2), SLOPE)
        return self.to_latent(maps.flatten(1))

    # the latent vector is the representation
    features = encode

    def decode(self, latents: torch.Tensor, grid: Sequence[int] | None = None) -> torch.Tensor:
        """Give volumes back.

        Parameters
        ----------
        latents : torch.Tensor
            Batch x width.
        grid : sequence of 3 int, optional
            That of the network, for callers that want to be sure.

        Returns
        -------
        torch.Tensor
            Batch x 1 x grid.
        """
        self._check(self.grid if grid is None else tuple(grid))
        maps = self.from_latent(latents).unflatten(1, self.lowest)
        for convolution, size in zip(self.up, reversed(self.sizes[:-1]), strict=True):
            maps = functional.leaky_relu(convolution(maps), SLOPE)
            maps = functional.interpolate(maps, size=size, mode="trilinear", align_corners=True)
        return self.last(maps)

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Encode and decode: batch x 1 x grid -> batch x 1 x grid."""
        return self.decode(self.encode(volumes))

    def _check(self, grid: tuple[int, ...]) -> None:
        if grid != self.grid:
            raise StudyError(
                f"a grid of {' x '.join(map(str, grid))} voxels was given to an autoencoder of "
                f"{' x '.join(map(str, self.grid))}. Cut the scans to that grid or train another one."
            )
