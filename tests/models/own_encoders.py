"""Encoders such as users bring: named by tests as package.module:function."""

import torch
from torch import nn


class Statistics(nn.Module):
    """Mean, standard deviation and maximum of a scan, times a learned number each."""

    def __init__(self, width: int = 3):
        super().__init__()
        self.scale = nn.Parameter(torch.arange(1.0, width + 1))
        self.norm = nn.BatchNorm1d(width)

    def forward(self, volumes):
        flat = volumes.flatten(1)
        numbers = torch.stack([flat.mean(1), flat.std(1), flat.amax(1)], dim=1)
        return self.norm(numbers.repeat(1, 1 + len(self.scale) // 3)[:, : len(self.scale)] * self.scale)


class Wrong(nn.Module):
    """Gives something else than one finite float vector a scan."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, volumes):
        vectors = volumes.flatten(1)[:, :4]
        if self.kind == "fails":
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
        if self.kind == "not finite":
            vectors = torch.where(torch.arange(len(vectors))[:, None] == 1, torch.nan, vectors)
        return {
            "list": [vectors],
            "maps": volumes,
            "one vector": vectors[0],
            "fewer": vectors[:1],
            "empty": vectors[:, :0],
            "integers": vectors.long(),
            "mixing": vectors - vectors.mean(0),
        }.get(self.kind, vectors)


def make_statistics(width: int = 3) -> nn.Module:
    return Statistics(width)


def make_wrong(kind: str) -> nn.Module:
    return Wrong(kind)


def make_a_number() -> int:
    return 3


def fail() -> nn.Module:
    raise FileNotFoundError("weights of the encoder are not there")


CONSTANT = 4
