"""Weights of backbones that other programs wrote, by the names of their tensors; whatever differs is refused."""

import dataclasses
import hashlib
import logging
import os
import re
from pathlib import Path

import torch

from workflow_scripts.lib.models.backbones import Backbone
from workflow_scripts.lib.models.tensor_files import read_tensors
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json

logger = logging.getLogger(__name__)

COUNTER = "num_batches_tracked"
HEAD = re.compile(r"(fc|classifier|AuxLogits|class_layers)\.")
# the dense layers of old files have a dot more, those of MONAI a level more
DENSE_LAYER = re.compile(r"(denseblock\d+\.denselayer\d+)\.(?:layers\.)?(norm|conv)\.?([12])\.")
# top-level children of torchvision's networks without the last, by which RadImageNet's wrapper counts
CHILDREN = {
    "ResNet": ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"],
    "DenseNet": ["features"],
}
# what a tensor of each family is called in a file, whatever stands in front
SIGNS = {
    "ResNet": re.compile(r"(layer\d|backbone\.[4-7])\.\d+\.(conv|bn)\d"),
    "DenseNet": re.compile(r"denseblock\d"),
    "Inception": re.compile(r"Mixed_\d|branch_pool|branch\d"),
}


@dataclasses.dataclass(frozen=True)
class Adapted:
    """Tensors under a backbone's own names, and what was done to get there.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
        All of the backbone's, float32; counters int64.
    naming : str
        ``torchvision`` or ``backbone.N (RadImageNet)``.
    dropped : tuple of str
        Names in the file of the last layers, which a backbone has not.
    counters : int
        How many counters of batches the file lacks, as old files do; they are set to 0 and change no number.
    """

    tensors: dict[str, torch.Tensor]
    naming: str
    dropped: tuple[str, ...]
    counters: int


def translate(tensors: dict[str, torch.Tensor], backbone: Backbone, source: str) -> Adapted:
    """Give a file's tensors the names of a backbone.

    Parameters
    ----------
    tensors : dict of str to torch.Tensor
        Named as torchvision does (old and new), as ``backbone.N...`` (N counts torchvision's children), each with or
        without ``module.`` in front. Last layers (``fc``, ``classifier``, ``AuxLogits``) fall away.
    backbone : Backbone
        On any device; it is not changed.
    source : str
        Of the tensors, for messages.

    Returns
    -------
    Adapted

    Raises
    ------
    StudyError
        Names the first tensors that are missing, left over, doubled or of another shape, and says what the file
        seems to be.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    names, dropped = {}, []
    for name in tensors:
        ours = _our_name(name, backbone.family)
        if HEAD.match(ours):
            dropped.append(name)
        elif ours in names:
            raise StudyError(f"{source}: tensors '{names[ours]}' and '{name}' are both '{ours}'; expected one network")
        else:
            names[ours] = name
    absent = [name for name in wanted if name not in names]
    counters = [name for name in absent if name.endswith(COUNTER)]
    faults = {
        "missing": [name for name in absent if name not in counters],
        "left over": [names[name] for name in names if name not in wanted],
        "of another shape": [
            f"{names[name]} {tuple(tensors[names[name]].shape)} where {shape} is expected"
            for name, shape in wanted.items()
            if name in names and tuple(tensors[names[name]].shape) != shape
        ],
    }
    if any(faults.values()):
        raise StudyError(_refusal(source, backbone, faults, tensors))
    if dropped:
        logger.info("%s: %d tensors of the last layers fall away: %s", source, len(dropped), ", ".join(dropped[:4]))
    full = {name: _number(tensors[names[name]], names[name], source) for name in wanted if name in names}
    full |= dict.fromkeys(counters, torch.tensor(0))
    wrapped = any(re.match(r"(module\.)*backbone\.(module\.)?\d+\.", name) for name in tensors)
    naming = "backbone.N (RadImageNet)" if wrapped else "torchvision"
    return Adapted({name: full[name] for name in wanted}, naming, tuple(dropped), len(counters))


def _our_name(name: str, family: str) -> str:
    while name.startswith("module."):
        name = name.removeprefix("module.")
    wrapped = re.fullmatch(r"backbone\.(?:module\.)?(\d+)\.(.+)", name)
    if wrapped and int(wrapped[1]) < len(CHILDREN[family]):
        name = f"{CHILDREN[family][int(wrapped[1])]}.{wrapped[2]}"
    if family == "DenseNet":
        name = DENSE_LAYER.sub(r"\1.layers.\2\3.", name.removeprefix("features."))
    return name


def _number(tensor: torch.Tensor, name: str, source: str) -> torch.Tensor:
    if name.endswith(COUNTER):
        return tensor.to(torch.int64)
    if not tensor.dtype.is_floating_point:
        raise StudyError(f"{source}: tensor '{name}' holds {tensor.dtype}, expected floating point (not quantised)")
    if not torch.isfinite(tensor).all():
        raise StudyError(f"{source}: tensor '{name}' holds numbers that are not finite")
    return tensor.to(torch.float32).contiguous()


def _refusal(source: str, backbone: Backbone, faults: dict[str, list[str]], tensors: dict) -> str:
    said = [
        f"{len(names)} tensors are {fault}, the first: {', '.join(names[:3])}"
        for fault, names in faults.items()
        if names
    ]
    sizes = ", ".join(f"{key} {value}" for key, value in backbone.sizes.items())
    return f"{source} is no {backbone.family} of {sizes}. {'; '.join(said)}. {_hint(backbone, tensors)}"


def _hint(backbone: Backbone, tensors: dict[str, torch.Tensor]) -> str:
    for name in tensors:
        beside = tensors.get(f"{name.removesuffix('.bias')}.weight")
        if name.endswith(".bias") and beside is not None and beside.ndim == 4:
            return (
                f"Its convolutions have a bias ('{name}'): it looks like a Keras v1 conversion, which is another "
                "network (the stride sits in the first 1 x 1 convolution of a block). Use weights trained in torch."
            )
    families = [family for family, sign in SIGNS.items() if any(sign.search(name) for name in tensors)]
    if families and backbone.family not in families:
        return f"It looks like a {families[0]}. Name it under a backbone of that family."
    if len(found := _depth(backbone.family, tensors)) and found != _own_depth(backbone):
        return f"Its blocks are {found}, the backbone's {_own_depth(backbone)}: another depth. Name it there."
    return (
        "Expected the names of torchvision (conv1.weight, layer1.0.conv1.weight; features.conv0.weight) or of "
        "RadImageNet (backbone.0.weight), with or without 'module.', and nothing else but the last layer."
    )


def _own_depth(backbone: Backbone) -> list[int]:
    return list(backbone.sizes["layers" if backbone.family == "ResNet" else "blocks"])


def _depth(family: str, tensors: dict[str, torch.Tensor]) -> list[int]:
    """Count the blocks of each stage that a file's names speak of."""
    pattern = r"^layer(\d+)\.(\d+)\." if family == "ResNet" else r"^denseblock(\d+)\.denselayer(\d+)\."
    found: dict[int, set[int]] = {}
    for name in tensors:
        if match := re.match(pattern, _our_name(name, family)):
            found.setdefault(int(match[1]), set()).add(int(match[2]))
    return [len(found[stage]) for stage in sorted(found)]


def read_backbone(
    path: str | os.PathLike, backbone: Backbone, expect: str | os.PathLike | None = None
) -> tuple[Backbone, dict]:
    """Fill a backbone from a file of another program.

    Parameters
    ----------
    path : path
        See :func:`workflow_scripts.lib.models.tensor_files.read_tensors`.
    backbone : Backbone
        Its tensors are overwritten.
    expect : path, optional
        JSON with what the network must give, made where the weights come from: see :func:`check_outputs`.

    Returns
    -------
    Backbone
        In evaluation mode.
    dict
        ``file``, ``sha256`` (of the file), ``naming``, ``tensors``, ``dropped``, ``counters``, ``outputs_checked``.

    Raises
    ------
    StudyError
        As :func:`translate`, or if the outputs differ.
    """
    path = Path(path)
    tensors = read_tensors(path)
    adapted = translate(tensors, backbone, str(path))
    backbone.load_state_dict(adapted.tensors)
    backbone.eval()
    if expect is not None:
        check_outputs(backbone, read_json(expect), f"{path} against {expect}")
    return backbone, {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "naming": adapted.naming,
        "tensors": len(tensors),
        "dropped": list(adapted.dropped),
        "counters": adapted.counters,
        "outputs_checked": expect is not None,
    }


def recipe_images(images: int, pixels: int) -> torch.Tensor:
    """Make images that any program can make: no random number and no file is in them.

    Returns
    -------
    torch.Tensor
        images x 3 x pixels x pixels, float32: ((37 b + 101 c + 17 i + 31 j + i j) mod 256) / 127.5 - 1 at image b,
        channel c, row i, column j, all counted from 0. They go into the network as they are.
    """
    b, c = torch.arange(images).view(-1, 1, 1, 1), torch.arange(3).view(1, -1, 1, 1)
    i, j = torch.arange(pixels).view(1, 1, -1, 1), torch.arange(pixels).view(1, 1, 1, -1)
    return ((37 * b + 101 * c + 17 * i + 31 * j + i * j) % 256).float() / 127.5 - 1


@torch.no_grad()
def check_outputs(backbone: Backbone, expected: dict, source: str) -> float:
    """Compare what a backbone gives with what it must give.

    Names and shapes cannot tell a network whose stride sits elsewhere; numbers can.

    Parameters
    ----------
    backbone : Backbone
        In evaluation mode.
    expected : dict
        ``images``, ``pixels`` (for :func:`recipe_images`), ``outputs`` (images x the first k features of the pooled
        vector), and ``tolerance`` (default 0.001), a share of the largest absolute output.
    source : str
        For messages.

    Returns
    -------
    float
        The largest difference, as a share of the largest absolute output.

    Raises
    ------
    StudyError
        If a key is missing or the difference is larger than the tolerance.
    """
    if lacking := [key for key in ("images", "pixels", "outputs") if key not in expected]:
        raise StudyError(f"{source}: '{lacking[0]}' is missing; expected images, pixels, outputs (and tolerance)")
    wanted = torch.as_tensor(expected["outputs"], dtype=torch.float32)
    if wanted.ndim != 2 or len(wanted) != expected["images"] or not 1 <= wanted.shape[1] <= backbone.features:
        raise StudyError(
            f"{source}: outputs of {tuple(wanted.shape)}, expected {expected['images']} images x 1 to "
            f"{backbone.features} features"
        )
    found = backbone(recipe_images(expected["images"], expected["pixels"]))[:, : wanted.shape[1]]
    difference = ((found - wanted).abs().max() / wanted.abs().max()).item()
    if not difference <= expected.get("tolerance", 1e-3):
        raise StudyError(
            f"{source}: outputs differ by {difference:.2g} of the largest (allowed "
            f"{expected.get('tolerance', 1e-3):.2g}): all names fit, but this is another network, for example with "
            "its strides elsewhere. Use the program that the weights come from."
        )
    return difference
