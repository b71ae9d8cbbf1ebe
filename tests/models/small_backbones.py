"""Backbones that cost nothing, and ways to see whether tensors moved."""

import copy
import functools

import torch

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.backbones import Backbone, spec

CONFIG = {
    "small": {"family": "ResNet", "layers": [1, 1, 1, 1], "planes": [4, 6, 8, 10], "bottleneck": False},
    "bottle": {"family": "ResNet", "layers": [1, 2, 1, 1], "planes": [3, 4, 5, 6], "bottleneck": True},
    "dense": {"family": "DenseNet", "init": 6, "growth": 3, "blocks": [2, 2, 1, 2]},
}


def build(name: str, seed: int = 1) -> Backbone:
    """Build one of ``CONFIG`` whose normalisation is not that of a start: swapped tensors would show."""
    return copy.deepcopy(_built(name, seed))


@functools.cache
def _built(name: str, seed: int) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = registry.build(spec(name, CONFIG))
        with torch.no_grad():
            for key, tensor in [*backbone.named_parameters(), *backbone.named_buffers()]:
                if tensor.ndim == 1:
                    tensor.copy_(
                        torch.rand(tensor.shape) + 0.5 if "var" in key or "weight" in key else tensor.normal_()
                    )
    return backbone.eval()


def empty(name: str) -> Backbone:
    """Build a backbone of the config, or a built-in one, without any number in it."""
    with torch.device("meta"):
        return registry.build(spec(name, CONFIG))


@functools.cache
def shared(name: str) -> Backbone:
    """Give the same empty backbone each time, to tests that change nothing."""
    return empty(name)


def images(count: int = 2, pixels: int = 64, seed: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, pixels, pixels, generator=torch.Generator().manual_seed(seed))


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}
