"""Where the weights of a backbone come from, by an entry of the config, and the card that says so."""

import logging

import torch

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.models.backbone_keys import read_backbone
from workflow_scripts.lib.models.backbones import Backbone, spec
from workflow_scripts.lib.models.preprocessing import RULES
from workflow_scripts.lib.study import seeds
from workflow_scripts.lib.study.errors import StudyError

logger = logging.getLogger(__name__)


def import_backbone(entry: dict, weights: str, name: str, sizes: dict | None, seed: int) -> tuple[Backbone, dict]:
    """Make a backbone with the weights of a config entry.

    Parameters
    ----------
    entry : dict
        ``radiology: weights: NAME``. ``kind: random``, or ``kind: files`` with ``files`` (backbone to path),
        ``preprocessing`` and optionally ``source`` (text) and ``expect`` (backbone to path of expected outputs).
    weights : str
        Name of the entry.
    name : str
        Of the backbone.
    sizes : dict, optional
        ``radiology: backbones: NAME``; None for one that is built in.
    seed : int
        Of the study; random weights depend on it and on both names.

    Returns
    -------
    Backbone
        In evaluation mode.
    dict
        A card for :func:`workflow_scripts.lib.models.weights.save_weights`: also ``preprocessing`` (a key of
        ``RULES``), ``participants_known`` (whether anybody can tell who trained them) and, for files, ``read`` (what
        :func:`read_backbone` says).

    Raises
    ------
    StudyError
        If the entry lacks something, or the file is not of this backbone.
    """
    where = f"radiology.weights.{weights}"
    rule = _rule(entry, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive_seed(seed, "import_backbone", weights, name))
        backbone = registry.build(spec(name, {name: sizes} if sizes else None)).eval()
    card = {
        "input": {"channels": 3, "axes": "height x width, any of 32 pixels or more"},
        "intensity": f"pixels from 0 to 255 by rule {rule}: {RULES[rule].title}",
        "preprocessing": rule,
        "participants": [],
        "seed": seed,
        "metrics": {},
    }
    if entry.get("kind") == "random":
        return backbone, card | {"participants_known": True, "source": "random weights, never trained"}
    if entry.get("kind") != "files":
        raise StudyError(f"{where}.kind is '{entry.get('kind')}', expected random or files to be imported")
    if name not in entry.get("files", {}):
        raise StudyError(
            f"{where}.files has no '{name}'; it has {', '.join(entry.get('files', {})) or 'none'}. Name the file of "
            "that backbone, or leave the backbone out of the grids that use these weights."
        )
    backbone, said = read_backbone(entry["files"][name], backbone, (entry.get("expect") or {}).get(name))
    logger.info("%s: %s", entry["files"][name], said)
    source = entry.get("source") or f"file {said['file']}, named in the config without a source"
    return backbone, card | {"participants_known": False, "source": source, "read": said}


def _rule(entry: dict, where: str) -> str:
    rule = entry.get("preprocessing") or ("imagenet_rgb" if entry.get("kind") == "random" else None)
    if rule not in RULES:
        raise StudyError(
            f"{where}.preprocessing is {rule}, expected {', '.join(RULES)}: how the images were scaled that trained "
            "these weights. Those who made the weights say so."
        )
    return rule
