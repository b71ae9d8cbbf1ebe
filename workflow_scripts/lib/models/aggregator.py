"""The aggregator: a transformer that reads any subset of the patch vectors of a scan and gives one vector."""

from collections.abc import Sequence

import torch
from torch import nn

from workflow_scripts.lib.study.errors import StudyError

BLOCKS = 3
HEADS = 2


class Aggregator(nn.Module):
    """Aggregate patch representations ("tokens") into an image representation.

    A learnable token is put before the patch tokens; a learned encoding of its location is added to each
    of these; three transformer blocks of two heads follow. The output at the learnable token, normalised,
    is the image representation. Blocks normalise before attention, as in the vision transformer, and
    have no dropout: leaving out half of the locations is the augmentation.

    Parameters
    ----------
    locations : int
        How many patch locations there are.
    width : int
        Length of a token and of the image representation; a multiple of the two heads.

    Attributes
    ----------
    token_mean, token_std : torch.Tensor
        Buffers, locations x width: statistics of the training tokens by which tokens are standardised.
        Encoders are trained apart, so their scales have nothing to do with each other.

    References
    ----------
    R-NCE paper, section 4.1; Dosovitskiy et al., ICLR 2021.
    """

    def __init__(self, locations: int = 18, width: int = 64):
        super().__init__()
        if width % HEADS:
            raise StudyError(f"the aggregator has {HEADS} heads, so its width must be even; found {width}")
        self.token = nn.Parameter(0.02 * torch.randn(width))
        self.encoding = nn.Parameter(0.02 * torch.randn(locations, width))
        block = nn.TransformerEncoderLayer(
            width, HEADS, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, BLOCKS, nn.LayerNorm(width), enable_nested_tensor=False)
        self.register_buffer("token_mean", torch.zeros(locations, width))
        self.register_buffer("token_std", torch.ones(locations, width))

    @property
    def architecture(self) -> dict:
        """What a weights card says about this network."""
        locations, width = self.encoding.shape
        return {"name": "Aggregator", "locations": locations, "width": width}

    def set_statistics(self, tokens: torch.Tensor) -> None:
        """Set mean and standard deviation from training tokens (scans x locations x width)."""
        self.token_mean.copy_(tokens.mean(dim=0))
        # a token that never varies tells nothing: it becomes zero rather than infinite
        self.token_std.copy_(tokens.std(dim=0).clamp(min=1e-6))

    def forward(self, tokens: torch.Tensor, locations: Sequence[int] | None = None) -> torch.Tensor:
        """Aggregate tokens.

        Parameters
        ----------
        tokens : torch.Tensor
            Batch x chosen locations x width.
        locations : sequence of int, optional
            The location of each token along the second axis; all of them in order if left out.

        Returns
        -------
        torch.Tensor
            Batch x width.

        Raises
        ------
        StudyError
            If no location is given or if their number is not that of the tokens.
        """
        return self.blocks(self._sequence(tokens, locations))[:, 0]

    def attention(
        self, tokens: torch.Tensor, locations: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Say which locations the learnable token reads.

        Parameters
        ----------
        tokens, locations
            As :meth:`forward`.

        Returns
        -------
        weights : torch.Tensor
            Batch x blocks x heads x chosen locations: attention of the learnable token to each location. What is
            lacking to a sum of 1 is its attention to itself.
        rollout : torch.Tensor
            Batch x chosen locations: see :func:`roll_out`.

        Raises
        ------
        StudyError
            As :meth:`forward`.
        """
        sequence, maps = self._sequence(tokens, locations), []
        for block in self.blocks.layers:
            seen = block.norm1(sequence)
            maps.append(block.self_attn(seen, seen, seen, need_weights=True, average_attn_weights=False)[1])
            sequence = block(sequence)
        stacked = torch.stack(maps, dim=1)
        return stacked[:, :, :, 0, 1:], roll_out(stacked)[:, 0, 1:]

    def _sequence(self, tokens: torch.Tensor, locations: Sequence[int] | None) -> torch.Tensor:
        """Put the learnable token before the standardised tokens with their encodings."""
        chosen = list(range(len(self.encoding))) if locations is None else [int(location) for location in locations]
        if not chosen or len(chosen) != tokens.shape[1]:
            raise StudyError(f"{tokens.shape[1]} patch tokens were given for {len(chosen)} locations: {chosen}")
        standard = (tokens - self.token_mean[chosen]) / self.token_std[chosen]
        first = self.token.expand(tokens.shape[0], 1, -1)
        return torch.cat([first, standard + self.encoding[chosen]], dim=1)


def roll_out(maps: torch.Tensor) -> torch.Tensor:
    r"""Follow attention through the blocks down to their inputs.

    .. math:: \prod_{b = B}^{1} \tfrac{1}{2} (\bar A_b + I)

    with the mean attention of the heads of block b, and half a weight for what passes by it unchanged. The output of
    the last block at the learnable token is a mixture of what earlier blocks wrote there; this names the shares of the
    inputs, as far as attention alone makes them: what values and feed-forward layers do with them is not in it.

    Parameters
    ----------
    maps : torch.Tensor
        Batch x blocks x heads x positions x positions; rows sum to 1.

    Returns
    -------
    torch.Tensor
        Batch x positions x positions; rows sum to 1.

    References
    ----------
    Abnar and Zuidema, Quantifying attention flow in transformers, ACL 2020, section 3.
    """
    mixed = (maps.mean(dim=2) + torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device)) / 2
    flow = mixed[:, 0]
    for block in range(1, mixed.shape[1]):
        flow = mixed[:, block] @ flow
    return flow
