"""Weights as a MONAI bundle: a folder that MONAI's tools load, check, run and share.

The bundle holds the weights three times, each for another reader: ``models/model.pt`` (a state dict, as MONAI wants
it; brainrep must be on the Python path, since the network is its class), ``models/model.safetensors`` with
``models/model.json`` (brainrep's own weights and card), and exported programs that need nothing but torch:
``models/model.pt2`` is the network, ``models/features.pt2`` its representation where that is something else.
"""

import importlib.metadata
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.models import weights
from workflow_scripts.lib.models.bundle_config import RULES, inference_config, tensor_format
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic, write_json

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
MONAI = "1.6.1"  # the version whose tools the tests use; MONAI itself is not needed to write a bundle
LICENCE = "No licence has been chosen yet. Put the terms under which these weights may be used here.\n"


def write_bundle(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    rule: str = "stored",
    version: str = "0.1.0",
    authors: str = "not stated",
    licence: str = LICENCE,
) -> None:
    """Write a MONAI bundle of weights.

    Parameters
    ----------
    source : path
        A ``.safetensors`` file with its card, of any network of the registry.
    folder : path
        The bundle; its name is the bundle's. Files that are there are replaced.
    rule : str
        How inputs are scaled: ``stored``, ``unit``, ``zscore`` or ``mean``, as in the card's training data.
    version, authors, licence : str
        For the metadata, and the text of file ``LICENSE``.

    Raises
    ------
    StudyError
        If the weights cannot be read, the card's ``input`` has neither ``grid`` nor ``tokens``, or the rule is
        unknown.

    Notes
    -----
    Same weights and same versions of the libraries give the same bytes. The bundle names no participant (the card
    has hashes) and no folder of the machine that wrote it.
    """
    source, folder = Path(source), Path(folder)
    if rule not in RULES:
        raise StudyError(f"intensity rule '{rule}' is unknown; there are {', '.join(RULES)}")
    model, card = weights.load_any(source)
    shape = _input_shape(card, source)
    models = folder / "models"
    models.mkdir(parents=True, exist_ok=True)
    for name, file in (("model.safetensors", source), ("model.json", weights.card_path(source))):
        with atomic(models / name) as temporary:
            shutil.copyfile(file, temporary)
    # to a buffer first: torch writes the name of the file into the file
    _write(models / "model.pt", lambda buffer: torch.save(model.state_dict(), buffer))
    programs = {"model": model}
    if _has_own_features(model):
        programs["features"] = _Features(model)
    outputs = {}
    for name, network in programs.items():
        outputs[name] = export_program(network, shape, models / f"{name}.pt2")
    write_json(folder / "configs/metadata.json", _metadata(card, shape, outputs, rule, version, authors))
    vectors = len(outputs["model"]) == 1
    write_json(folder / "configs/inference.json", inference_config(card["architecture"], shape, rule, vectors))
    _write(folder / "docs/README.md", lambda buffer: buffer.write(_readme(folder.name, card, shape, rule).encode()))
    _write(folder / "LICENSE", lambda buffer: buffer.write(licence.encode()))


def export_program(network: nn.Module, shape: tuple[int, ...], path: str | os.PathLike) -> tuple[int, ...]:
    """Write a network as a program that needs nothing but torch.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU.
    shape : tuple of int
        Of one input, without the batch, whose size stays free; the program takes no other grid.
    path : path
        Ends in ``.pt2``; read it with ``torch.export.load(path).module()``.

    Returns
    -------
    tuple of int
        Shape of one output, without the batch.
    """
    # one number stretched to the shape, since the example travels in the file
    example = torch.zeros(()).expand(2, *shape)
    # with gradients, since without them torch's transformer takes a short cut that other backends lack
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False)
    # where each operation stood in the code: names folders of this machine, and differs from run to run
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta = {key: value for key, value in node.meta.items() if key in ("val", "tensor_meta")}
    _write(Path(path), lambda buffer: torch.export.save(program, buffer))
    output = next(iter(program.graph.output_node().args[0])).meta["val"]
    return tuple(int(n) for n in output.shape[1:])


class _Features(nn.Module):
    """The representation of a network as a network."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, volumes: torch.Tensor) -> torch.Tensor:
        return self.network.features(volumes)


def _has_own_features(model: nn.Module) -> bool:
    features = getattr(type(model), "features", None)
    return features is not None and features is not type(model).forward


def _input_shape(card: dict, source: Path) -> tuple[int, ...]:
    """Shape of one input: 1 x grid of an image, or locations x width of tokens."""
    if "tokens" in card["input"]:
        return tuple(card["input"]["tokens"])
    if len(card["input"].get("grid", ())) != 3:
        raise StudyError(f"the card of {source} has the input {card['input']}, expected a 'grid' of three sizes")
    return (1, *card["input"]["grid"])


def _metadata(card: dict, shape: tuple, outputs: dict, rule: str, version: str, authors: str) -> dict:
    """Make what MONAI's schema asks for, with the card beside it."""
    architecture = card["architecture"]
    inputs = {"image": tensor_format(shape, RULES[rule].range)}
    formats = {
        ("network" if name == "model" else name) + "_data_format": {
            "inputs": inputs,
            "outputs": {"pred": tensor_format(output, [])},
        }
        for name, output in outputs.items()
    }
    return formats | {
        "schema": SCHEMA,
        "version": version,
        "changelog": {version: "written from the weights of brainrep"},
        "monai_version": MONAI,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"nibabel": importlib.metadata.version("nibabel")},
        "task": "Representation of T1-weighted brain MRI",
        "description": f"{architecture['name']} of brainrep, trained on: {card['source']}. {_input_words(card, rule)}",
        "authors": authors,
        "copyright": "see LICENSE",
        "data_type": "nibabel",
        "intended_use": "Research; not for diagnosis",
        "eval_metrics": card["metrics"] if isinstance(card["metrics"], dict) else {},
        # who trained the weights is in models/model.json, once
        "brainrep": {key: value for key, value in card.items() if key != "participants"},
    }


def _input_words(card: dict, rule: str) -> str:
    return f"Inputs: {card['intensity']}; {RULES[rule].words}."


def _readme(name: str, card: dict, shape: tuple, rule: str) -> str:
    grid = " x ".join(map(str, shape))
    return f"""# {name}

{card["architecture"]["name"]} of brainrep, trained on: {card["source"]}.

## Input

One input is {grid}. {_input_words(card, rule)}
Another grid, orientation, template or intensity gives wrong numbers without any error: prepare scans as the card in
`models/model.json` says.

## Use

With brainrep on the Python path, MONAI loads the network with its weights:

    monai.bundle.load("{name}", bundle_dir="FOLDER ABOVE", workflow_type="inference")

and applies it to every file of a folder, one row of `eval/predictions.csv` each (needs pytorch-ignite and fire):

    python -m monai.bundle run --config_file configs/inference.json --meta_file configs/metadata.json \\
        --bundle_root . --dataset_dir FOLDER

With torch alone, for any number of inputs at a time:

    torch.export.load("models/model.pt2").module()(images)

An exported program is code: load it only from where you would run a program.
"""


def _write(path: Path, save: Callable[[io.BytesIO], object]) -> None:
    """Write what ``save`` puts into a buffer."""
    buffer = io.BytesIO()
    save(buffer)
    with atomic(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
