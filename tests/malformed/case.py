"""One malformed input: how it is made, and what the user reads."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A fault in an input.

    Attributes
    ----------
    source : str
        What is malformed: scan, stats, tables, spreadsheet, participants, bids, freesurfer, fastsurfer, brains,
        volumes, images (2D), config, tasks, leakage (people or images on two sides of a split).
    fault : str
        In a few words, for the table in the docs.
    outcome : {"set aside", "refused", "ignored"}
        The scan is set aside and the study goes on; nothing starts; or the thing is listed and left out.
    message : str
        The whole message, ``{folder}`` standing for the folder of the fault.
    provoke : callable
        Makes the fault in a folder and returns the message that the user sees.
    """

    source: str
    fault: str
    outcome: str
    message: str
    provoke: Callable[[Path], str]
