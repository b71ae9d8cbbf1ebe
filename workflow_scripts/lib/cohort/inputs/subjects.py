"""Subject folders of FreeSurfer and FastSurfer."""

import os
import re
from pathlib import Path

from workflow_scripts.lib.cohort.inputs.data import Data, read_ids, say_unread

LONG = re.compile(r"(?P<point>.+)\.long\.(?P<base>.+)")
# what the tools themselves put into a SUBJECTS_DIR
TEMPLATES = re.compile(r"fsaverage.*|[lr]h\.EC_average|cvs_avg35.*|V1_average")
# FastSurfer may not use FreeSurfer's name for the list of time points of a base
BASE_FILES = ("base-tps", "base-tps.fastsurfer")
DONE = ("recon-all.done", "recon-surf.done")


def subject_fault(folder: str | os.PathLike) -> str | None:
    """Say why a subject folder cannot be read, None if it can.

    The tools' own marks decide: ``scripts/recon-all.error`` and ``scripts/IsRunning*`` without ``recon-all.done``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return f"{folder} does not exist" if not folder.exists() else f"{folder} is not a folder"
    if not (folder / "stats").is_dir() and not (folder / "mri").is_dir():
        return f"{folder} has neither stats nor mri; it is no subject folder"
    scripts = folder / "scripts"
    marks = {entry.name for entry in os.scandir(scripts)} if scripts.is_dir() else set()
    if not marks.intersection(DONE):
        if "recon-all.error" in marks:
            return f"{folder}: recon-all stopped with an error (scripts/recon-all.error); its log says why"
        running = sorted(mark for mark in marks if mark.startswith("IsRunning"))
        if running:
            return f"{folder}: recon-all is not done (scripts/{running[0]}); let it finish, or run it again"
    return None


def read_subject_row(folder: str, kind: str) -> dict:
    """Give the columns of the scans table that say how a subject folder is read."""
    return {"kind": kind, "t1w": None, "image": "auto", "subject": folder}


def find_subjects(entry: dict) -> tuple[list[Data], list[tuple[str, str]]]:
    """Find the subjects of a folder.

    Parameters
    ----------
    entry : dict
        An input of kind ``freesurfer`` or ``fastsurfer``: ``path``, ``stream`` (``cross`` or ``long``; FreeSurfer
        only), ``ids``.

    Returns
    -------
    data : list of Data
    ignored : list of (path, reason)
    """
    with os.scandir(entry["path"]) as scan:
        places = sorted(scan, key=lambda place: place.name)
    bases = {match["base"] for place in places if (match := LONG.fullmatch(place.name))}
    data, ignored = [], []
    for place in places:
        reason = _not_a_subject(place, bases, entry.get("stream", "cross"))
        match = LONG.fullmatch(place.name)
        point = match["point"] if match else place.name
        ids = None if reason else read_ids(point, entry.get("ids"))
        if ids is None:
            ignored.append((place.path, reason or say_unread(entry.get("ids"))))
            continue
        read = read_subject_row(place.path, entry["kind"])
        data.append(Data(*ids, place.path, read, (place.name, point), subject_fault(place.path)))
    return data, ignored


def _not_a_subject(place: os.DirEntry, bases: set[str], stream: str) -> str | None:
    """Say why something in a SUBJECTS_DIR is no subject of a stream, None if it is one."""
    if place.name.startswith("."):
        return "hidden, for its name starts with a dot"
    if TEMPLATES.fullmatch(place.name):
        return "a template that comes with the tool"
    if not place.is_dir():
        return "not a folder"
    longitudinal = LONG.fullmatch(place.name) is not None
    if not longitudinal and (place.name in bases or any(Path(place, name).exists() for name in BASE_FILES)):
        return "the base template of a longitudinal stream"
    if longitudinal and stream == "cross":
        return "of the longitudinal stream; stream: long reads it"
    if not longitudinal and stream == "long":
        return "of the cross-sectional stream; stream: cross reads it"
    if not any(Path(place, name).is_dir() for name in ("stats", "mri")):
        return "has neither stats nor mri"
    return None
