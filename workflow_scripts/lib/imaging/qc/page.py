"""The page on which a person leafs through the scans: a folder of plain files that opens without a server."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.qc.checks import WORDS, make_checks
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import atomic

ASSETS = Path(__file__).parent / "assets"
# columns of qc_scans that are no numbers to show
TEXT = (
    *("scan_id", "participant_id", "included", "stage", "reason", "flags", "override", "override_reason"),
    *("cohort", "site", "tool", "tool_version", "volume"),
)
HIDDEN = re.compile(r"transform_\d\d")
SAFE = re.compile(r"[A-Za-z0-9_.-]+")  # what a picture's name may consist of
DIGITS = 6  # significant digits of a number on the page


def write_page(
    table: pd.DataFrame,
    pictures: dict[str, str | os.PathLike],
    folder: str | os.PathLike,
    title: str,
    checks: dict | None = None,
) -> None:
    """Write the page of quality control: index.html, data.js, the page's own scripts and style, and pictures.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``qc_scans``.
    pictures : dict of str to path
        JPEG by scan_id; they are linked or copied to ``folder/pictures``.
    folder : path
        Made if need be.
    title : str
        Heading.
    checks : dict, optional
        Config section ``qc: checks``: limits to show beside the numbers.

    Raises
    ------
    StudyError
        At a scan whose id cannot name a file.
    """
    folder = Path(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    shown = [scan for scan in table["scan_id"] if scan in pictures]
    for scan in shown:
        if not SAFE.fullmatch(scan):
            raise StudyError(
                f"quality control page: scan_id '{scan}' cannot name a picture. "
                "Use letters, digits, hyphens and underscores only."
            )
        _place(pictures[scan], folder / "pictures" / f"{scan}.jpg")
    for asset in sorted(ASSETS.iterdir()):
        shutil.copyfile(asset, folder / asset.name)
    with atomic(folder / "data.js") as path:
        # a script and no JSON file: a page opened from a disk may not fetch
        text = json.dumps(page_data(table, set(shown), title, checks or {}), separators=(",", ":"), allow_nan=False)
        path.write_text(f"window.QC_DATA = {text};\n")


def page_data(table: pd.DataFrame, with_picture: set[str], title: str, checks: dict) -> dict:
    """Put the table into the columns that the page reads; only text, numbers, true, false and null."""
    limits = {check.name: check for check in make_checks(checks)}
    numbers = [name for name in table if name not in TEXT and not HIDDEN.fullmatch(name) and table[name].notna().any()]
    numbers.sort(key=lambda name: list(WORDS).index(name) if name in limits else len(WORDS))

    def text(name: str) -> list:
        column = table[name] if name in table else pd.Series(None, table.index, dtype=object)
        return [None if pd.isna(value) else str(value) for value in column]

    tools = zip(text("tool"), text("tool_version"), strict=True)
    key = hashlib.sha1("\n".join([title, *table["scan_id"]]).encode(), usedforsecurity=False).hexdigest()
    return {
        "title": title,
        "key": key[:12],
        "id": text("scan_id"),
        "participant": text("participant_id"),
        "site": [value or "unknown" for value in text("site")],
        "cohort": text("cohort"),
        "tool": [" ".join(part for part in pair if part) or None for pair in tools],
        "included": table["included"].astype(bool).tolist(),
        "stage": text("stage"),
        "reason": text("reason"),
        "flags": [value.split(";") if value else [] for value in text("flags")],
        "override": text("override"),
        "override_reason": text("override_reason"),
        "picture": [scan in with_picture for scan in table["scan_id"]],
        "numbers": [_describe(name, limits) for name in numbers],
        "values": {name: [_round(value) for value in table[name]] for name in numbers},
    }


def _describe(name: str, limits: dict) -> dict:
    """Say how the page shows a number."""
    words, unit = WORDS.get(name, (name.replace("_", " "), ""))
    check = limits.get(name)
    return {
        "name": name,
        "words": words,
        "unit": unit.strip(),
        "low": check.low if check else None,
        "high": check.high if check else None,
        "does": check.does if check else None,
    }


def _round(value: float) -> float | int | None:
    if pd.isna(value) or value in (float("inf"), float("-inf")):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short


def _place(source: str | os.PathLike, target: Path) -> None:
    """Link a picture where the disk allows it, else copy it."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
