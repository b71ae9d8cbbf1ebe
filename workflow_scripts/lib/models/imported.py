"""SFCN weights that other programs wrote, by the names of their tensors: the UK Biobank models, pyment and its port."""

import dataclasses
import os
import re
from pathlib import Path

import torch

from workflow_scripts.lib.models.sfcn import HALVINGS, SFCN
from workflow_scripts.lib.models.tensor_files import read_tensors
from workflow_scripts.lib.study.errors import StudyError

TORCH = {name: name for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
KERAS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
KINDS = {"0": "conv", "1": "norm", "conv3d": "conv", "batch_normalization": "norm"}
ANY_KERAS = f"(?P<parameter>{'|'.join(KERAS)})"


@dataclasses.dataclass(frozen=True)
class Naming:
    """How a program names the tensors of an SFCN.

    Parameters
    ----------
    name : str
        For messages and for the description of what was loaded.
    layer : str
        Pattern of the tensors of a block, with groups ``number``, ``kind`` and ``parameter``.
    head : str
        Pattern of the tensors of the last layer, with group ``parameter``.
    keras : bool
        Kernels are D, H, W, in, out and not out, in, D, H, W; parameters have the names of Keras.
    eps : float
        What the program adds to variances in batch normalisation.
    unnumbered : int
        The block, counted from 0, of a layer without a number.
    """

    name: str
    layer: str
    head: str
    keras: bool
    eps: float
    unnumbered: int = HALVINGS


NAMINGS = (
    Naming(
        "UK Biobank SFCN (torch)",
        r"feature_extractor\.conv_(?P<number>[0-5])\.(?P<kind>[01])\.(?P<parameter>\w+)",
        r"classifier\.conv_6\.(?P<parameter>\w+)",
        keras=False,
        eps=1e-5,
    ),
    Naming(
        "pyment's port to torch",
        r"fn1\.[\w-]+_(?:block(?P<number>[1-5])|top)_(?P<kind>conv|norm)\.(?P<parameter>\w+)",
        r"linear\.[\w-]+_predictions\.(?P<parameter>\w+)",
        keras=False,
        eps=1e-3,
    ),
    Naming(
        "pyment (Keras)",
        rf"(?:.*[/_])?(?:block-?(?P<number>[0-5])|top)[/_](?P<kind>conv|norm)/{ANY_KERAS}",
        rf"(?:.*[/_])?(?:predictions|dense(?:_\d+)?)/{ANY_KERAS}",
        keras=True,
        eps=1e-3,
    ),
    Naming(
        "Keras without names of its own",
        rf"(?:.*/)?(?P<kind>conv3d|batch_normalization)(?:_(?P<number>\d+))?/{ANY_KERAS}",
        rf"(?:.*/)?dense(?:_\d+)?/{ANY_KERAS}",
        keras=True,
        eps=1e-3,
        unnumbered=0,  # the first of its kind in a session; the second has _1
    ),
)


def import_sfcn(path: str | os.PathLike) -> tuple[SFCN, dict]:
    """Load an SFCN from weights that another program wrote.

    Parameters
    ----------
    path : path
        See :func:`workflow_scripts.lib.models.tensor_files.read_tensors` for the formats. The tensors are named as
        one of ``NAMINGS`` does (a prefix ``module.`` of parallel training and Keras's ``:0`` fall away), and all of
        them must fit: numbers of channels and outputs are deduced from them.

    Returns
    -------
    model : SFCN
        In evaluation mode. Its inputs are not standardised: they must be scaled as that program does. Keras
        programs apply ReLU before pooling, which gives the same numbers; what they apply after the last layer
        (softmax, sigmoid, a clipped range) is left to the caller.
    description : dict
        ``file``, ``naming``, ``outputs``, ``channels``, ``eps``, ``tensors`` (their number).

    Raises
    ------
    StudyError
        Names the first tensor that is missing, left over, doubled, of another shape, or not finite.

    References
    ----------
    Peng et al., Med. Image Anal. 2021; Leonardsen et al., NeuroImage 2022 (pyment).
    """
    path = Path(path)
    tensors = _short_names(read_tensors(path), path)
    naming = _find_naming(tensors, path)
    sources = _translate(tensors, naming, path)
    state = {ours: _as_ours(tensors[theirs], ours, naming, path, theirs) for ours, theirs in sources.items()}
    model = SFCN(_outputs(state, path), _channels(state, path, naming), eps=naming.eps)
    _fill(model, state, sources, path, naming)
    architecture = model.architecture
    description = {"file": path.name, "naming": naming.name, "tensors": len(tensors)}
    return model.eval(), description | {key: architecture[key] for key in ("outputs", "channels", "eps")}


def _short_names(tensors: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Take off what parallel training and Keras put around every name."""
    short = {}
    for name, tensor in tensors.items():
        bare = name.removeprefix("module.").removesuffix(":0")
        if bare in short:
            raise StudyError(f"{path}: tensor '{name}' is there twice, with and without 'module.' or ':0'")
        short[bare] = tensor
    return short


def _find_naming(tensors: dict[str, torch.Tensor], path: Path) -> Naming:
    for naming in NAMINGS:
        if any(re.fullmatch(naming.layer, name) for name in tensors):
            return naming
    first = f"; the first tensor is '{min(tensors)}'" if tensors else ": there are no tensors"
    raise StudyError(
        f"{path} is no SFCN of a known program{first}. Known are {'; '.join(naming.name for naming in NAMINGS)}. "
        "Weights that this package wrote are read with their card."
    )


def _translate(tensors: dict[str, torch.Tensor], naming: Naming, path: Path) -> dict[str, str]:
    """Find for each of our tensors the name of theirs."""
    parameters = KERAS if naming.keras else TORCH
    layers, sources = {}, {}
    for name in tensors:
        layer, head = re.fullmatch(naming.layer, name), re.fullmatch(naming.head, name)
        match = layer or head
        if not match or match["parameter"] not in parameters:
            raise StudyError(f"{path}: tensor '{name}' is left over: {naming.name} has none of that name in an SFCN")
        if layer:
            layers[name] = layer
        else:
            _add(sources, f"head.{parameters[match['parameter']]}", name, path)
    # programs count blocks from 0, from 1, or from where the session's last network ended
    first = {
        kind: min(int(other["number"]) for other in layers.values() if other["number"] and other["kind"] == kind)
        for kind in {layer["kind"] for layer in layers.values() if layer["number"]}
    }
    if naming.unnumbered == 0:
        first |= {layer["kind"]: 0 for layer in layers.values() if not layer["number"]}
    for name, layer in layers.items():
        kind = layer["kind"]
        block = int(layer["number"]) - first[kind] if layer["number"] else naming.unnumbered
        _add(sources, f"blocks.{block}.{KINDS.get(kind, kind)}.{parameters[layer['parameter']]}", name, path)
    return sources


def _add(sources: dict[str, str], ours: str, theirs: str, path: Path) -> None:
    if ours in sources:
        raise StudyError(f"{path}: tensors '{sources[ours]}' and '{theirs}' are both {ours}; expected one network only")
    sources[ours] = theirs


def _as_ours(tensor: torch.Tensor, ours: str, naming: Naming, path: Path, theirs: str) -> torch.Tensor:
    """Bring a tensor into our order of axes; the last layer, a convolution of kernel 1 elsewhere, is linear here."""
    if not torch.isfinite(tensor).all():
        raise StudyError(f"{path}: tensor '{theirs}' holds numbers that are not finite")
    if ours.endswith("num_batches_tracked"):
        return tensor.to(torch.int64)
    if naming.keras and ours.endswith("weight") and tensor.ndim > 1:
        tensor = tensor.movedim((-1, -2), (0, 1))
    if ours == "head.weight" and tensor.ndim == 5 and tensor.shape[2:].numel() == 1:
        tensor = tensor.flatten(1)
    return tensor.to(torch.float32).contiguous()


def _channels(state: dict[str, torch.Tensor], path: Path, naming: Naming) -> list[int]:
    kernels = [f"blocks.{number}.conv.weight" for number in range(HALVINGS + 1)]
    for kernel in kernels:
        if kernel not in state:
            raise StudyError(f"{path}: tensor '{kernel}' (our name) is missing among those of {naming.name}")
    return [len(state[kernel]) for kernel in kernels]


def _outputs(state: dict[str, torch.Tensor], path: Path) -> int:
    if "head.weight" not in state:
        raise StudyError(f"{path}: tensor 'head.weight' (our name), that of the last layer, is missing")
    return len(state["head.weight"])


def _fill(model: SFCN, state: dict[str, torch.Tensor], sources: dict[str, str], path: Path, naming: Naming) -> None:
    """Put tensors into the network if names and shapes are exactly its own."""
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        # counts of batches are of no use to a trained network, and Keras has none
        if name not in state and name != "intensity" and not name.endswith("num_batches_tracked"):
            raise StudyError(f"{path}: tensor '{name}' (our name) is missing among those of {naming.name}")
        if name in state and state[name].shape != tensor.shape:
            raise StudyError(
                f"{path}: tensor '{sources[name]}' is {tuple(state[name].shape)} in our order of axes, expected "
                f"{tuple(tensor.shape)} in an SFCN of channels {model.architecture['channels']}"
            )
    if unknown := sorted(set(state) - set(wanted)):
        raise StudyError(f"{path}: tensor '{sources[unknown[0]]}' is left over: an SFCN has no '{unknown[0]}'")
    model.load_state_dict(state, strict=False)
