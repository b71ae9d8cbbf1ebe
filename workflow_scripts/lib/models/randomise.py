"""Sanity check of maps: a network whose learned weights are taken away from the top down must give other maps.

Works for every network of the registry, in 2D and 3D.
"""

from collections.abc import Iterator

import torch
from torch import nn

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.seeds import derive_seed


def stages(network: nn.Module) -> list[tuple[str, list[str]]]:
    """Cut a network into stages from the output to the input.

    Parameters
    ----------
    network : torch.nn.Module
        A ``Classifier`` (its head, then the groups of its backbone), an SFCN (head, then blocks) or a patch encoder
        (linear layer, then convolutions).

    Returns
    -------
    list of (str, list of str)
        Name of the stage, and of the submodules that it is made of. Parts without parameters are left out.

    Raises
    ------
    StudyError
        For any other network.
    """
    if hasattr(network, "backbone") and hasattr(network, "head"):
        groups = [(name, [f"backbone.{name}"]) for name in reversed(network.backbone.groups)]
        found = [("head", ["head"]), *groups]
    elif isinstance(network, SFCN):
        blocks = [(f"block{number + 1}", [f"blocks.{number}"]) for number in reversed(range(len(network.blocks)))]
        found = [("head", ["head"]), *blocks]
    elif isinstance(network, PatchEncoder):
        count = len(network.convolutions) // 3  # convolution, normalisation, ELU
        layers = [
            (f"convolution{number + 1}", [f"convolutions.{3 * number + part}" for part in range(3)])
            for number in reversed(range(count))
        ]
        found = [("linear", ["linear"]), *layers]
    else:
        raise StudyError(f"it is not known how a {type(network).__name__} is cut into stages")
    return [(name, parts) for name, parts in found if any(_has_weights(network, part) for part in parts)]


def cascade(network: nn.Module, seed: int, *keys: object) -> Iterator[tuple[str, nn.Module]]:
    """Give a network with more and more of its stages as they were before any training.

    Parameters
    ----------
    network : torch.nn.Module
        With a property ``architecture``; it is left as it is.
    seed : int
        The study's.
    *keys : object
        Name the draw.

    Yields
    ------
    str
        The stage that was replaced last; all above it were before.
    torch.nn.Module
        The same object each time, changed in place, in evaluation mode, frozen, on the network's device. After the last
        stage nothing that was learned is left; running statistics of batch normalisation are fresh ones too.

    References
    ----------
    Adebayo et al., Sanity checks for saliency maps, NeurIPS 2018 (cascading randomisation).
    """
    fresh, changed = untrained(network, seed, *keys), registry.build(network.architecture)
    changed.load_state_dict(network.state_dict())
    device = next(network.parameters()).device
    changed.to(device).eval().requires_grad_(False)
    for name, parts in stages(network):
        for part in parts:
            changed.get_submodule(part).load_state_dict(fresh.get_submodule(part).state_dict())
        yield name, changed


def untrained(network: nn.Module, seed: int, *keys: object) -> nn.Module:
    """Build the same network with fresh weights; what standardises its input stays.

    Parameters
    ----------
    network : torch.nn.Module
        With a property ``architecture``.
    seed : int
    *keys : object
        Name the draw.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, frozen, on the network's device.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "untrained", *keys))
        fresh = registry.build(network.architecture)
    if hasattr(network, "intensity"):  # of SFCN and patch encoder: measured, not learned
        fresh.intensity.copy_(network.intensity)
    return fresh.to(next(network.parameters()).device).eval().requires_grad_(False)


def _has_weights(network: nn.Module, part: str) -> bool:
    return any(True for _ in network.get_submodule(part).parameters())
