"""Read a MeshNet: its weights, the layers they belong to, and the names of the labels."""

import hashlib
import json
import pickle
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from workflow_scripts.lib.imaging.atlas import feature_name
from workflow_scripts.lib.study.errors import StudyError

WHERE = "The files are at https://github.com/neuroneural/brainchop, folder model21_104class."


@dataclass(frozen=True)
class Layer:
    """A convolution: ``weight`` (out x in x k x k x k, float32), ``bias`` (out) and ``dilation``."""

    weight: torch.Tensor
    bias: torch.Tensor
    dilation: int


@dataclass(frozen=True)
class Network:
    """A MeshNet.

    Attributes
    ----------
    layers : tuple of Layer
        The last one gives the labels' scores.
    elu : bool
        ELU between the layers instead of ReLU.
    names : tuple of str
        Names of the labels by number.
    version : str
        Short hash of the weights.
    """

    layers: tuple[Layer, ...]
    elu: bool
    names: tuple[str, ...]
    version: str

    @property
    def features(self) -> dict[int, str]:
        """Labels that are regional features: number -> name."""
        named = {number: feature_name(name) for number, name in enumerate(self.names) if number}
        return {number: name for number, name in named.items() if name}

    @property
    def cortex(self) -> list[int]:
        """Numbers of the cortical labels."""
        return [number for number, name in enumerate(self.names) if name.startswith("ctx-")]

    @property
    def white(self) -> list[int]:
        """Numbers of the hemispheres' white matter."""
        return [number for number, name in enumerate(self.names) if name.endswith("Cerebral-White-Matter")]


def read_network(settings: dict) -> Network:
    """Read the network that config section ``preprocess.meshnet`` names.

    Parameters
    ----------
    settings : dict
        ``weights``, ``labels``, ``layers`` (None: model.json beside the weights).

    Raises
    ------
    StudyError
        If a file is missing, damaged, or belongs to another network.
    """
    for key in ("weights", "labels"):
        if not settings.get(key):
            raise StudyError(f"preprocess.meshnet.{key}: found nothing, but backend meshnet needs it. {WHERE}")
    weights = Path(settings["weights"])
    layers = Path(settings.get("layers") or weights.with_name("model.json"))
    paths = (weights, layers, Path(settings["labels"]))
    return _read(*paths, tuple(path.stat().st_mtime_ns if path.exists() else None for path in paths))


# a process works on many scans; the times make it notice a file that was replaced
@lru_cache(maxsize=2)
def _read(weights: Path, layers: Path, labels: Path, _times: tuple[int | None, ...]) -> Network:
    for key, path in (("weights", weights), ("layers", layers), ("labels", labels)):
        if not path.is_file():
            raise StudyError(f"preprocess.meshnet.{key}: '{path}' does not exist. {WHERE}")
    raw = weights.read_bytes()
    tensors = _read_tensors(weights, raw)
    plan = _read_json(layers)
    if not isinstance(plan, dict) or not isinstance(plan.get("layers"), list):
        raise StudyError(f"{layers}: found no list 'layers', expected the description of a MeshNet. {WHERE}")
    if plan.get("bnorm") or plan.get("gelu"):
        raise StudyError(f"{layers}: a network with batch normalisation or GELU is not supported. {WHERE}")
    pairs = _pair(weights, tensors, plan["layers"])
    names = _read_names(labels, int(pairs[-1][0].shape[0]))
    made = tuple(Layer(*pair, int(layer["dilation"])) for pair, layer in zip(pairs, plan["layers"], strict=True))
    return Network(made, bool(plan.get("elu")), names, hashlib.sha256(raw).hexdigest()[:12])


def _read_tensors(path: Path, raw: bytes) -> dict[str, torch.Tensor]:
    """Read tensors by name from safetensors (whatever the file is called) or a state dict of PyTorch."""
    try:
        if raw[8:9] == b"{":
            return load_safetensors(raw)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise StudyError(
            f"{path} cannot be read as weights: it is damaged, or holds more than tensors. {WHERE}"
        ) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise StudyError(f"{path} holds a {type(tensors).__name__} that is no state dict (tensors by name). {WHERE}")
    return tensors


def _pair(path: Path, tensors: dict[str, torch.Tensor], plan: list[dict]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Give each layer its weight and bias, in the order of the numbers in the tensors' names."""
    ordered = sorted(tensors, key=lambda name: [int(part) for part in re.findall(r"\d+", name)])
    weights = [tensors[name].float() for name in ordered if name.endswith("weight")]
    biases = [tensors[name].float() for name in ordered if name.endswith("bias")]
    wanted = [(layer["out_channels"], layer["in_channels"], *(layer["kernel_size"],) * 3) for layer in plan]
    found = [tuple(weight.shape) for weight in weights]
    if found != wanted or [bias.numel() for bias in biases] != [shape[0] for shape in wanted]:
        same = [a == b for a, b in zip(found, wanted, strict=False)]
        place = same.index(False) if False in same else len(same)
        shapes = ["x".join(map(str, side[place])) if place < len(side) else "nothing" for side in (found, wanted)]
        raise StudyError(
            f"{path} has the weights of another network: layer {place + 1} has {shapes[0]}, the description wants "
            f"{shapes[1]}. Name files that belong together."
        )
    return list(zip(weights, biases, strict=True))


def _read_json(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} is not JSON ({error}). {WHERE}") from error


def _read_names(path: Path, count: int) -> tuple[str, ...]:
    """Read the labels' names, and refuse those that do not tell the regional features."""
    names = _read_json(path)
    if not isinstance(names, dict) or sorted(names) != sorted(map(str, range(count))):
        found = len(names) if isinstance(names, dict) else "no"
        raise StudyError(f"{path}: found {found} labels, the network has {count}. Name files that belong together.")
    # a star marks names that FreeSurfer has changed since
    ordered = tuple(str(names[str(number)]).rstrip("*") for number in range(count))
    for needed in ("ctx-lh-entorhinal", "Left-Hippocampus", "Right-Cerebral-White-Matter"):
        if needed not in ordered:
            raise StudyError(
                f"{path}: no label is '{needed}', so regional features cannot be named. "
                f"A network of 104 labels is needed. {WHERE}"
            )
    return ordered
