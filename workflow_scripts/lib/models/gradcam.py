"""Grad-CAM of any convolutional network, in 2D and 3D: where an output's evidence lies, at the grid of some layers."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn
from torch.nn import functional

from workflow_scripts.lib.models.encoder import PatchEncoder
from workflow_scripts.lib.models.modes import evaluating
from workflow_scripts.lib.models.sfcn import SFCN
from workflow_scripts.lib.study.errors import StudyError

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
FLAT = 1e-6  # a spread below this share of the maximum is rounding, not a pattern

Score = int | torch.Tensor | Callable[[torch.Tensor], torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Maps:
    """Maps of a batch.

    Attributes
    ----------
    maps : torch.Tensor
        Batch x grid, float32, from 0 to 1; zeros where ``empty``.
    empty : torch.Tensor
        Batch, bool: no layer's map has a place that stands out. Either nothing speaks for the score anywhere, which is
        common for the class that loses, or every place does so equally.
    native : tuple of torch.Tensor
        Of each layer, batch x its own grid, float32, not scaled: the maps as they are defined.
    """

    maps: torch.Tensor
    empty: torch.Tensor
    native: tuple[torch.Tensor, ...]


def cam_layers(network: nn.Module) -> list[nn.Module]:
    """Give the layers whose maps are shown unless others are asked for: the last ones that still have a grid.

    Parameters
    ----------
    network : torch.nn.Module
        With a method ``cam_layers``, or whose ``backbone`` has one, or an SFCN or a patch encoder.

    Raises
    ------
    StudyError
        For any other network.
    """
    for owner in (network, getattr(network, "backbone", None)):
        if hasattr(owner, "cam_layers"):
            return list(owner.cam_layers())
    if isinstance(network, SFCN):
        return [network.blocks[-1]]
    if isinstance(network, PatchEncoder):
        return [network.convolutions[-1]]
    raise StudyError(f"{type(network).__name__} has no layer of its own for Grad-CAM. Name layers.")


def grad_cam(
    model: nn.Module,
    inputs: torch.Tensor,
    layers: Sequence[nn.Module],
    score: Score,
    size: Sequence[int] | None = None,
) -> Maps:
    r"""Show where in each input the evidence for a score lies.

    .. math:: M = \mathrm{ReLU}\Big(\sum_k w_k A_k\Big), \quad w_k = \mathrm{mean}_x\, \partial s / \partial A_k(x)

    with A the output of a layer. Each layer's map is scaled to 0..1 image by image, brought to the grid of the input
    (bi- or trilinear), averaged over the layers and scaled again. A map without any spread stays zero.

    The network computes in evaluation mode, so that the map of an image does not depend on the others of its batch. Its
    mode, gradients, frozen parameters and hooks are afterwards what they were before.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : torch.Tensor
        Batch x channels x grid, of one, two or three axes, floating point.
    layers : sequence of torch.nn.Module
        Parts of ``model`` that run once and give batch x channels x grid.
    score : int, torch.Tensor or callable
        A class for all, a class for each input (batch, whole numbers), or a function of the network's output that
        gives a number for each input.
    size : sequence of int, optional
        Grid of the maps; that of the inputs.

    Returns
    -------
    Maps

    Raises
    ------
    StudyError
        If there is no layer, a layer does not run, runs more than once, has no grid or no part in the score, or the
        score is no class of the network or not one number for each input.

    References
    ----------
    Selvaraju et al., Grad-CAM, ICCV 2017. The average over layers is that of Frees et al. (layers 3 and 4 of a ResNet).
    """
    if not layers:
        raise StudyError("Grad-CAM needs at least one layer; found none. Name layers of the network.")
    with torch.inference_mode(False), torch.enable_grad(), evaluating(model):
        with _recorded(layers) as outputs:
            result = model(inputs.detach())
        kept = [_only(taken, layer) for taken, layer in zip(outputs, layers, strict=True)]
        scores = _scores(result, score, len(inputs))
        gradients = torch.autograd.grad(scores.sum(), kept, allow_unused=True) if scores.requires_grad else [None]
    if any(gradient is None for gradient in gradients):
        raise StudyError("the score does not depend on every layer. Choose layers between the input and the score.")
    native = tuple(_native(one.detach().float(), own.float()) for one, own in zip(kept, gradients, strict=True))
    return combine(native, tuple(size or inputs.shape[2:]))


def combine(native: Sequence[torch.Tensor], size: Sequence[int]) -> Maps:
    """Scale the maps of layers, bring them to one grid, average them and scale again, image by image.

    Parameters
    ----------
    native : sequence of torch.Tensor
        Of each layer, batch x its grid, not negative.
    size : sequence of int
        The common grid.

    Returns
    -------
    Maps
    """
    if len(size) not in MODES or any(one.ndim != len(size) + 1 for one in native):
        grids = ", ".join(str(tuple(one.shape[1:])) for one in native)
        raise StudyError(f"maps of grids {grids} cannot be brought to {tuple(size)}: expected as many axes, 1 to 3.")
    scaled = [_scale(one) for one in native]
    resized = [
        one[:, None]
        if tuple(one.shape[1:]) == tuple(size)
        else functional.interpolate(one[:, None], tuple(size), mode=MODES[len(size)], align_corners=False)
        for one in scaled
    ]
    maps = _scale(torch.stack(resized).mean(0)[:, 0])
    return Maps(maps, maps.flatten(1).amax(1) == 0, tuple(native))


def _scale(maps: torch.Tensor) -> torch.Tensor:
    """Bring each map to 0..1; one without spread becomes zero and is never divided by nothing."""
    axes = tuple(range(1, maps.ndim))
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    spread = high - low
    some = spread > FLAT * high
    return torch.where(some, (maps - low) / torch.where(some, spread, 1.0), 0.0)


def _native(activations: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(2, activations.ndim))
    return (gradients.mean(axes, keepdim=True) * activations).sum(1).relu()


@contextlib.contextmanager
def _recorded(layers: Sequence[nn.Module]) -> Iterator[list[list]]:
    """Collect what layers give; what runs after them gets a copy, which it may change in place."""
    outputs = [[] for _ in layers]

    def keeper(taken: list) -> Callable:
        def keep(_module: nn.Module, _inputs: tuple, output: object) -> object:
            if not isinstance(output, torch.Tensor):
                taken.append(output)
                return output
            # in a frozen network the graph begins here
            taken.append(output if output.requires_grad else output.detach().requires_grad_())
            return taken[-1].clone()

        return keep

    handles = []
    try:
        handles += [layer.register_forward_hook(keeper(taken)) for layer, taken in zip(layers, outputs, strict=True)]
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _only(taken: list, layer: nn.Module) -> torch.Tensor:
    name = type(layer).__name__
    if len(taken) != 1:
        raise StudyError(f"layer {name} ran {len(taken)} times; Grad-CAM needs a layer that runs once.")
    if not isinstance(taken[0], torch.Tensor) or taken[0].ndim < 3:
        found = tuple(taken[0].shape) if isinstance(taken[0], torch.Tensor) else type(taken[0]).__name__
        raise StudyError(f"layer {name} gives {found}, expected batch x channels x grid. Choose a layer with a grid.")
    return taken[0]


def _scores(output: torch.Tensor, score: Score, count: int) -> torch.Tensor:
    """Give one number for each input."""
    if callable(score):
        scores = score(output)
    else:
        classes = torch.as_tensor(score, device=output.device).expand(count)
        if output.ndim != 2 or classes.is_floating_point() or not ((classes >= 0) & (classes < output.shape[1])).all():
            raise StudyError(
                f"classes {classes.unique().tolist()} of an output of shape {tuple(output.shape)}: expected whole "
                "numbers from 0 to below its second length"
            )
        scores = output.gather(1, classes.long()[:, None])[:, 0]
    if tuple(scores.shape) != (count,):
        raise StudyError(f"the score has shape {tuple(scores.shape)}, expected one number for each of {count} inputs")
    return scores
