"""SFCN: six convolutions over a whole volume, for brain age, several targets at once, or a representation."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from workflow_scripts.lib.models.standardised import StandardisedInput
from workflow_scripts.lib.study.errors import StudyError

CHANNELS = (32, 64, 128, 256, 256, 64)
HALVINGS = len(CHANNELS) - 1
SMALLEST = 2**HALVINGS


class Block(nn.Module):
    """Convolution, batch normalisation, halving of the grid if wanted, ReLU."""

    def __init__(self, before: int, after: int, kernel: int, eps: float, halve: bool) -> None:
        super().__init__()
        self.conv = nn.Conv3d(before, after, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm3d(after, eps=eps)
        self.halve = halve

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Batch x before x grid -> batch x after x grid, halved (an odd last voxel falls away) if wanted."""
        maps = self.norm(self.conv(maps))
        if self.halve:
            maps = functional.max_pool3d(maps, 2)
        # ReLU keeps order, so pooling before it changes no value and leaves it an eighth of the voxels
        return functional.relu(maps, inplace=True)


class SFCN(StandardisedInput):
    """Simple fully convolutional network.

    Five blocks of convolution (kernel 3), batch normalisation, max pooling by 2 and ReLU, a sixth with kernel 1
    and no pooling, the global average, dropout and a linear layer. With 40 outputs there are 2,952,936
    parameters.

    Parameters
    ----------
    outputs : int
        40 for the published age bins of one year, 1 for a single target, 6 for the multi-task network.
    channels : sequence of 6 int
        Of the blocks; the published sex model has 28, 58, 128, 256, 256, 64.
    dropout : float
        Share of the features that is dropped before the linear layer while training.
    eps : float
        Added to variances in batch normalisation: 1e-5 in torch, 1e-3 in weights that come from Keras.
    recompute : bool
        Forget the first block's activations and compute them again in the backward pass. That block holds about
        three quarters of the memory of activations and 6% of the arithmetic; the numbers are the same, so it is no
        part of the architecture. Without effect under ``torch.compile``, which chooses itself what to keep.

    References
    ----------
    Peng et al., Med. Image Anal. 2021, 68:101871. The published network averages with a fixed window of
    5 x 6 x 5; the mean over the grid is the same there and takes other grids too.
    """

    def __init__(
        self,
        outputs: int = 40,
        channels: Sequence[int] = CHANNELS,
        dropout: float = 0.5,
        eps: float = 1e-5,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if outputs < 1 or len(channels) != len(CHANNELS) or min(channels) < 1:
            raise StudyError(
                f"SFCN with {outputs} outputs and channels {list(channels)}: expected at least 1 output and "
                f"{len(CHANNELS)} numbers of channels of at least 1, as in {list(CHANNELS)}"
            )
        if not 0 <= dropout < 1 or not eps > 0:
            raise StudyError(
                f"SFCN with dropout {dropout} and eps {eps}: expected a dropout from 0 to below 1 and an eps above 0"
            )
        before = (1, *channels[:-1])
        self.blocks = nn.ModuleList(
            Block(width, after, 3 if halve else 1, eps, halve)
            for width, after, halve in zip(before, channels, [True] * HALVINGS + [False], strict=True)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1], outputs)
        self.recompute = recompute

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        return {
            "name": "SFCN",
            "outputs": self.head.out_features,
            "channels": [block.conv.out_channels for block in self.blocks],
            "dropout": self.dropout.p,
            "eps": self.blocks[0].norm.eps,
        }

    def features(self, volumes: torch.Tensor) -> torch.Tensor:
        """Give the representation: the global average before dropout.

        Parameters
        ----------
        volumes : torch.Tensor
            Batch x 1 x D x H x W, floating point; every axis has 32 voxels or more.

        Returns
        -------
        torch.Tensor
            Batch x channels of the last block (64).

        Raises
        ------
        StudyError
            If five halvings leave no voxel.
        """
        grid = tuple(volumes.shape[2:])
        if min(grid) < SMALLEST:
            raise StudyError(
                f"a grid of {' x '.join(map(str, grid))} voxels has none left after {HALVINGS} halvings: SFCN needs "
                f"{SMALLEST} or more along each axis. Use a finer grid."
            )
        first, *others = self.blocks
        maps = self.standardise(volumes)
        if self.recompute and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            maps = checkpoint(
                first, maps, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _at_rest(first.norm))
            )
        else:
            maps = first(maps)
        for block in others:
            maps = block(maps)
        # a mean over named axes: adaptive pooling is slow with channels last
        return maps.mean(dim=(2, 3, 4))

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        """Batch x 1 x D x H x W -> batch x outputs, without softmax or other activation."""
        return self.head(self.dropout(self.features(volumes)))


@contextlib.contextmanager
def _at_rest(norm: nn.Module) -> Iterator[None]:
    """Keep running statistics as they are: a block that is computed twice must count its batch once."""
    momentum, batches = norm.momentum, norm.num_batches_tracked.clone()
    norm.momentum = 0.0
    try:
        yield
    finally:
        norm.momentum = momentum
        norm.num_batches_tracked.copy_(batches)
