"""What an input offers for one scan, and how ids are read from names."""

import os
import re
from dataclasses import dataclass, field

from workflow_scripts.lib.study.config import SUFFIXES

# sub-X, sub-X_ses-Y, and either with more entities behind it, as in sub-X_ses-Y_T1w
BIDS_LIKE = r"(?P<participant>sub-[A-Za-z0-9]+)(?:_ses-(?P<session>[A-Za-z0-9]+))?(?:_.*)?"
FIRST_SESSION = "1"  # of people whose data name none


@dataclass
class Data:
    """What an input offers for one scan.

    Attributes
    ----------
    participant_id, session_id : str
    path : str
        Where it lies, for messages.
    read : dict
        Columns ``kind``, ``t1w``, ``image`` and ``subject`` of the scans table.
    names : tuple of str
        What a table of people may call it in its column ``subject``.
    reason : str, optional
        Why it cannot be read.
    about : dict
        Columns such as age and sex that come with the data.
    """

    participant_id: str
    session_id: str
    path: str
    read: dict
    names: tuple[str, ...]
    reason: str | None = None
    about: dict = field(default_factory=dict)


def clean(text: str) -> str:
    """Turn all but letters, digits and hyphens into hyphens."""
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def read_ids(name: str, ids: str | None = None) -> tuple[str, str] | None:
    """Read participant and session from the name of a folder, a file or a row.

    Parameters
    ----------
    name : str
        Without endings.
    ids : str, optional
        Regular expression that the whole name must match, with the groups ``participant`` and perhaps ``session``.
        Without it ``sub-X_ses-Y`` is understood, and any other name is a participant with one session.

    Returns
    -------
    tuple of str, or None
        None if the name does not match or holds neither letter nor digit.
    """
    match = re.fullmatch(ids or BIDS_LIKE, name)
    if match is None and ids:
        return None
    groups = match.groupdict() if match else {"participant": name}
    participant = clean(groups["participant"] or "")
    session = clean(groups.get("session") or FIRST_SESSION)
    return (participant, session) if participant and session else None


def say_unread(ids: str | None) -> str:
    """Say why no ids could be read from a name."""
    return f"its name does not match ids: {ids}" if ids else "its name holds neither letter nor digit"


def strip_ending(name: str) -> str:
    """Take the ending of a volume off its file's name."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def missing_file(path: str) -> str | None:
    """Say why a file cannot be read, None if it is there."""
    if os.path.isfile(path):
        return None
    if os.path.islink(path):
        return f"{path} is a link to nothing; with git-annex or DataLad, get its content first"
    return f"{path} is a folder, not a volume" if os.path.isdir(path) else f"{path} does not exist"
