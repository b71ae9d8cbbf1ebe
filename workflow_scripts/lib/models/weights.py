"""Weights on disk: tensors as safetensors, and beside them a JSON card that says what they are."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from workflow_scripts.lib.models import registry
from workflow_scripts.lib.study.errors import LeakageError, StudyError
from workflow_scripts.lib.study.files import atomic, read_json, write_json
from workflow_scripts.lib.study.ids import participant_hash

REQUIRED = ("architecture", "input", "intensity", "participants", "seed", "metrics", "source", "sha256")


def card_path(path: str | os.PathLike) -> Path:
    """Return the path of the card of a weights file: same name, ``.json``."""
    return Path(path).with_suffix(".json")


def save_weights(model: nn.Module, path: str | os.PathLike, card: dict) -> None:
    """Write a network and its card.

    Parameters
    ----------
    model : torch.nn.Module
        With a property ``architecture`` (a dictionary that JSON can hold).
    path : path
        Ends in ``.safetensors``.
    card : dict
        Keys ``input`` (grid in voxels, voxel size), ``intensity`` (how inputs must be scaled),
        ``participants`` (hashed: :mod:`workflow_scripts.lib.study.ids`), ``seed``, ``metrics``, ``source``.
        Architecture and the SHA-256 of the tensors' file are added.

    Raises
    ------
    StudyError
        If the suffix is another one or a key of the card is missing.
    """
    path = Path(path)
    _check_suffix(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(path) as temporary:
        save_file(tensors, temporary)
        digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    full = {**card, "architecture": model.architecture, "sha256": digest}
    absent = [key for key in REQUIRED if key not in full]
    if absent:
        raise StudyError(f"the card of {path} lacks {', '.join(absent)}")
    write_json(card_path(path), full)


def load_weights(model: nn.Module, path: str | os.PathLike) -> dict:
    """Fill a network with weights from a file and return their card.

    Parameters
    ----------
    model : torch.nn.Module
        Of the same architecture; its tensors are overwritten.
    path : path
        A ``.safetensors`` file with its card beside it. Nothing else is read: other formats can run
        code when they are opened.

    Returns
    -------
    dict
        The card.

    Raises
    ------
    StudyError
        If the file has another suffix, is damaged, has no card, does not belong to its card, or holds
        another architecture.
    """
    path = Path(path)
    _check_suffix(path)
    card = read_card(path)
    if card["architecture"] != model.architecture:
        raise StudyError(
            f"{path} holds {card['architecture']}, but {model.architecture} is wanted. Change the config to the "
            "architecture of the weights, or train new ones."
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
        raise StudyError(f"{path} is not the file that {card_path(path).name} describes. Copy both again.")
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise StudyError(f"{path} is not a readable safetensors file ({error}). Copy it again.") from error
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if wanted != found:
        name = min(wanted.items() ^ found.items())[0]
        raise StudyError(
            f"{path}: tensor '{name}' is {found.get(name, 'absent')} in the file, {wanted.get(name, 'absent')} in the "
            "network. The file was written by another version; train again or use that version."
        )
    model.load_state_dict(tensors)
    return card


def load_any(path: str | os.PathLike) -> tuple[nn.Module, dict]:
    """Build the network that a weights file holds, whichever it is.

    Parameters
    ----------
    path : path
        A ``.safetensors`` file with its card beside it.

    Returns
    -------
    model : torch.nn.Module
        In evaluation mode, on the CPU.
    card : dict

    Raises
    ------
    StudyError
        As :func:`load_weights`, or if the card's architecture is unknown.
    """
    _check_suffix(Path(path))
    model = registry.build(read_card(path)["architecture"])
    card = load_weights(model, path)
    return model.eval(), card


def read_card(path: str | os.PathLike) -> dict:
    """Read the card of a weights file; :class:`StudyError` if it or the weights are missing or keys lack."""
    for file in (Path(path), card_path(path)):
        if not file.exists():
            raise StudyError(f"{file}: no such file. Weights come as NAME.safetensors with NAME.json beside it.")
    card = read_json(card_path(path))
    absent = [key for key in REQUIRED if key not in card]
    if absent:
        raise StudyError(f"{card_path(path)} lacks {', '.join(absent)}; a card has {', '.join(REQUIRED)}")
    return card


def refuse_seen(card: dict, participant_ids: Sequence[str], what: str) -> None:
    """Refuse to evaluate on participants whose scans trained the weights.

    Parameters
    ----------
    card : dict
        Of the weights.
    participant_ids : sequence of str
        Participants of an evaluation.
    what : str
        Name of the weights, for the message.

    Raises
    ------
    LeakageError
        Names how many and the first of them.
    """
    seen = set(card["participants"])
    both = sorted(person for person in set(participant_ids) if participant_hash(person) in seen)
    if both:
        raise LeakageError(
            f"{len(both)} participants to evaluate were used to train {what}, the first is '{both[0]}'. "
            "Take them out of the evaluation or use weights that never saw them."
        )


def _check_suffix(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise StudyError(
            f"{path}: weights are read and written as .safetensors only, found '{path.suffix}'. Formats that hold "
            "pickled objects can run code; convert such a file with the program that made it."
        )
