"""Folders of volumes, skull-stripped or of either sort."""

import os
from pathlib import Path

from workflow_scripts.lib.cohort.inputs.data import Data, missing_file, read_ids, say_unread, strip_ending
from workflow_scripts.lib.study.config import SUFFIXES


def find_volumes(entry: dict) -> tuple[list[Data], list[tuple[str, str]]]:
    """Find the volumes of a folder.

    Parameters
    ----------
    entry : dict
        An input of kind ``brains`` or ``volumes``: ``path``, ``pattern``, ``ids``.

    Returns
    -------
    data : list of Data
    ignored : list of (path, reason)
    """
    root = Path(entry["path"])
    fitting = set(root.glob(entry["pattern"]))
    beside = {file for file in root.iterdir() if file.name.endswith(SUFFIXES)}
    image = "brain" if entry["kind"] == "brains" else "auto"
    data, ignored = [], []
    for file in sorted(fitting | beside):
        bare = strip_ending(file.name)
        reason = _not_a_volume(file, file in fitting, entry["pattern"])
        ids = None if reason else read_ids(bare, entry.get("ids"))
        if ids is None:
            ignored.append((str(file), reason or say_unread(entry.get("ids"))))
            continue
        read = {"kind": "t1w", "t1w": str(file), "image": image, "subject": None}
        data.append(Data(*ids, str(file), read, (file.name, bare), missing_file(str(file))))
    return data, ignored


def _not_a_volume(file: Path, fits: bool, pattern: str) -> str | None:
    """Say why a file is left out, None if it is not."""
    if file.name.startswith("."):
        return "hidden, for its name starts with a dot"
    if not fits:
        return f"does not fit pattern: {pattern}"
    if not file.name.endswith(SUFFIXES):
        return f"does not end in {', '.join(SUFFIXES)}"
    return "a folder" if os.path.isdir(file) else None
