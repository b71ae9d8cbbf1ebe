"""Where a fit starts: which arrays it reads, which network it is, and the weights that it has before the first step."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from workflow_scripts.lib.finetune import networks
from workflow_scripts.lib.finetune.resident import ResidentSource
from workflow_scripts.lib.imaging.contract import check_same, from_json
from workflow_scripts.lib.imaging.names import PATCHES
from workflow_scripts.lib.imaging.patch_store import CUBE_SPACING
from workflow_scripts.lib.imaging.regions import patch_slices, volume_slices
from workflow_scripts.lib.models.aggregator import Aggregator
from workflow_scripts.lib.models.weights import load_any, load_weights, read_card, refuse_seen
from workflow_scripts.lib.pretrain.settings import RULES
from workflow_scripts.lib.pretrain.volumes import sfcn_size
from workflow_scripts.lib.study.errors import StudyError


@dataclasses.dataclass(frozen=True)
class Start:
    """Where all fits of a model start.

    Attributes
    ----------
    arrays : tuple of str
        Of the store: ``whole`` or ``cube``, or all locations in order.
    rule : str
        Of the intensities, see :class:`PatchSource`.
    architectures : tuple of dict
        See :func:`networks.build_backbone`.
    tensors : dict of str to numpy.ndarray, optional
        State of the backbone; None for random weights. Arrays, since each tensor that is handed to another process
        keeps a file open, and 18 encoders have more than a process may open.
    cards : dict of str to dict
        File -> card of the weights; nothing for random ones.
    """

    arrays: tuple[str, ...]
    rule: str
    architectures: tuple[dict, ...]
    tensors: dict[str, np.ndarray] | None = None
    cards: dict[str, dict] = dataclasses.field(default_factory=dict)

    @property
    def pretrained(self) -> bool:
        """Whether weights were trained on other scans."""
        return self.tensors is not None

    @property
    def identity(self) -> dict:
        """What a fit depends on: networks and weights."""
        weights = [card["sha256"] for card in self.cards.values()]
        return {"arrays": self.arrays, "rule": self.rule, "architectures": self.architectures, "weights": weights}

    def refuse_seen(self, participant_ids: Sequence[str]) -> None:
        """Refuse participants whose scans trained these weights, in whatever set (:class:`LeakageError`)."""
        for file, card in self.cards.items():
            refuse_seen(card, participant_ids, file)

    def check_sources(self, sources: Sequence[ResidentSource]) -> None:
        """Refuse volumes that are not what the weights were trained on (:class:`StudyError`)."""
        places = [(file, card) for file, card in self.cards.items() if "volume" in card["input"]]
        for source, (file, card) in zip(sources, places, strict=False):
            given = card["input"]
            check_same(source.contract, from_json(given["volume"], file), f"volumes for {file}")
            if tuple(given["grid"]) != tuple(source.shape):
                raise StudyError(
                    f"{file} was trained on arrays of {tuple(given['grid'])} voxels; these have {tuple(source.shape)}. "
                    "Use grid: spacing_mm of its training."
                )

    def make(self, dropout: float) -> networks.Classifier:
        """Make the network of a fit; random weights come from torch's own generator, which the caller seeds."""
        if self.tensors is None:
            return networks.Classifier(networks.build_backbone(self.architectures), dropout)
        with torch.device("meta"):  # without random weights, which take seconds to draw for 18 encoders
            backbone = networks.build_backbone(self.architectures)
        # copies: fits must not share weights
        state = {name: torch.from_numpy(values.copy()) for name, values in self.tensors.items()}
        backbone.load_state_dict(state, assign=True)
        return networks.Classifier(backbone, dropout)


def random_start(arrays: Sequence[str], rule: str, architectures: Sequence[dict]) -> Start:
    """Start from random weights.

    Parameters
    ----------
    arrays, rule, architectures
        See :class:`Start`.

    Raises
    ------
    StudyError
        If the networks cannot be built.
    """
    networks.build_backbone(architectures)
    return Start(tuple(arrays), rule, tuple(architectures))


def untrained(objective: str, volume: str | None, representation: int, width: int | None, spacing: float) -> Start:
    """Start a pretraining method's networks from random weights.

    Parameters
    ----------
    objective : str
        Of the method, see :class:`pretrain.settings.Method`.
    volume : {'whole', 'cube'} or None
        What it reads; None for the patches.
    representation : int
    width : int or None
        Of the network (multitask, genesis, lssl), None for the published one.
    spacing : float
        Of the template grid, mm.
    """
    encoder = {"name": "PatchEncoder", "representation": representation}
    if volume is None:
        last = {"name": "Aggregator", "locations": len(PATCHES), "width": representation}
        return random_start(PATCHES, "stored", [encoder] * len(PATCHES) + [last])
    size = {} if width is None else {"width": width}
    known = {
        "multitask": {"name": "SFCN", **sfcn_size(width)},
        "genesis": {"name": "UNet", **size},
        "lssl": {"name": "Autoencoder", "grid": shapes([volume], spacing)[0], **size},
    }
    return random_start([volume], RULES.get(objective, "stored"), [known.get(objective, encoder)])


def shapes(arrays: Sequence[str], spacing: float) -> list[tuple[int, ...]]:
    """Give the voxels of stored arrays on a grid of this spacing (mm); cubes are stored at 2 mm or coarser."""
    boxes = {**patch_slices(spacing), **volume_slices(spacing)}
    boxes["cube"] = volume_slices(max(spacing, CUBE_SPACING))["cube"]
    return [tuple(part.stop - part.start for part in boxes[name]) for name in arrays]


def pretrained_volume(weights: str | Path) -> Start:
    """Start from weights of a network that reads whole volumes; its own head, if it has one, is left out.

    Parameters
    ----------
    weights : path
        Of ``pretrain_volume``, its card beside it.

    Raises
    ------
    StudyError
        If they are damaged or of a network that reads something else.
    """
    network, card = load_any(weights)
    given = card["input"]
    if type(network).__name__ not in networks.UNUSED or "location" not in given:
        raise StudyError(f"{weights}: {card['architecture']['name']} reads no whole volumes. Name weights that do.")
    tensors = _state(networks.WholeBackbone(network))
    return Start((given["location"],), given["rule"], (card["architecture"],), tensors, {str(weights): card})


def pretrained_patches(encoders: Mapping[str, str | Path], aggregator: str | Path) -> Start:
    """Start from patch encoders and the aggregator that was trained on what they give; all of them are finetuned.

    Parameters
    ----------
    encoders : mapping of str to path
        Location -> weights, in the order in which the aggregator knows the locations.
    aggregator : path
        Weights of ``pretrain_image``.

    Raises
    ------
    StudyError
        If weights are missing or damaged, or of another network or location.
    """
    found, cards = [], {}
    for location, file in encoders.items():
        network, cards[str(file)] = load_any(file)
        reads = cards[str(file)]["input"].get("location")
        if reads != location:
            raise StudyError(f"{file} is of location '{reads}', expected '{location}'. Copy the weights again.")
        found.append(network)
    architecture = read_card(aggregator)["architecture"]
    last = Aggregator(architecture.get("locations", 0), architecture.get("width", 0))
    cards[str(aggregator)] = load_weights(last, aggregator)
    backbone = networks.PatchBackbone(found, last)
    architectures = tuple(card["architecture"] for card in cards.values())
    return Start(tuple(encoders), "stored", architectures, _state(backbone), cards)


def _state(backbone: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in backbone.state_dict().items()}


def set_intensity(network: nn.Module, sources: Sequence[ResidentSource], rows: np.ndarray) -> None:
    """Let a network with random weights standardise its inputs by these (training) scans.

    Networks that standardise nothing get intensities that need no standardisation (rules unit, zscore). The tokens of
    an aggregator stay as they are: untrained encoders give numbers of one size.

    Parameters
    ----------
    network : torch.nn.Module
        A :class:`networks.Classifier`; changed in place.
    sources : sequence of ResidentSource
        In the order of its arrays.
    rows : numpy.ndarray
        Of the training scans.
    """
    backbone = network.backbone
    readers = [backbone.network] if isinstance(backbone, networks.WholeBackbone) else backbone.encoders
    for reader, source in zip(readers, sources, strict=True):
        if hasattr(reader, "set_intensity"):
            reader.set_intensity(*source.intensity_of(rows))
