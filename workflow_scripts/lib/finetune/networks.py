"""Binary networks: what gives a representation, dropout, and a linear layer with one output (log odds)."""

from collections.abc import Sequence

import torch
from torch import nn

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.study.errors import StudyError

# network -> its parts that a representation does not use, and the width of the representation
UNUSED = {
    "SFCN": ("dropout", "head"),
    "PatchEncoder": (),
    "UNet": ("doubling", "up", "last"),
    "Autoencoder": ("from_latent", "up", "last", "direction"),
}
WIDTHS = {
    "SFCN": lambda network: network.blocks[-1].conv.out_channels,
    "PatchEncoder": lambda network: network.linear.out_features,
    "UNet": lambda network: 16 * network.width,
    "Autoencoder": lambda network: network.width,
}


class WholeBackbone(nn.Module):
    """A network that reads one whole volume of a scan.

    Parameters
    ----------
    network : torch.nn.Module
        With ``features``; loses the parts that these do not use, so that they are neither stored nor trained.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        kind = type(network).__name__
        if kind not in UNUSED:
            raise StudyError(f"{kind} reads no whole volumes; known: {', '.join(UNUSED)}")
        self.width = WIDTHS[kind](network)
        for part in UNUSED[kind]:
            delattr(network, part)
        self.network = network

    def forward(self, volumes: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor, batch x 1 x D x H x W -> batch x width."""
        (volume,) = volumes
        return self.network.features(volume)


class PatchBackbone(nn.Module):
    """An encoder for each location, and the aggregator that reads what they give.

    Parameters
    ----------
    encoders : sequence of torch.nn.Module
        In the order of the locations.
    aggregator : Aggregator
    """

    def __init__(self, encoders: Sequence[nn.Module], aggregator: Aggregator):
        super().__init__()
        self.encoders, self.aggregator = nn.ModuleList(encoders), aggregator
        self.width = aggregator.encoding.shape[1]
        if len(encoders) != len(aggregator.encoding):
            raise StudyError(
                f"{len(encoders)} patch encoders for an aggregator of {len(aggregator.encoding)} locations"
            )

    def forward(self, patches: Sequence[torch.Tensor]) -> torch.Tensor:
        """One tensor a location, each batch x 1 x D x H x W -> batch x width."""
        tokens = [encoder(patch) for encoder, patch in zip(self.encoders, patches, strict=True)]
        with torch.autocast(tokens[0].device.type, enabled=False):  # the aggregator is always in float32
            return self.aggregator(torch.stack(tokens, dim=1).float())


class Classifier(nn.Module):
    """A backbone with dropout and a linear head for one binary label; all layers train.

    Parameters
    ----------
    backbone : torch.nn.Module
        With ``width``.
    dropout : float
        Share of the representation that is dropped while training.
    """

    def __init__(self, backbone: nn.Module, dropout: float):
        super().__init__()
        self.backbone, self.dropout, self.head = backbone, nn.Dropout(dropout), nn.Linear(backbone.width, 1)

    def forward(self, volumes: Sequence[torch.Tensor]) -> torch.Tensor:
        """Volumes or patches of a batch -> log odds of label 1, batch."""
        return self.head(self.dropout(self.backbone(volumes)))[:, 0]


def build_backbone(architectures: Sequence[dict]) -> nn.Module:
    """Build a backbone with random weights.

    Parameters
    ----------
    architectures : sequence of dict
        See :func:`registry.build`: of one network that reads whole volumes, or of each location's encoder and, last,
        of the aggregator.

    Raises
    ------
    StudyError
        If a network is unknown or does not fit the others.
    """
    networks = [registry.build(architecture) for architecture in architectures]
    if len(networks) == 1:
        return WholeBackbone(networks[0])
    return PatchBackbone(networks[:-1], networks[-1])
