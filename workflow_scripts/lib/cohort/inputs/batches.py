"""Which job handles which scan: a scan keeps its batch, so that scans added later change no finished one."""

import hashlib
import json
from collections import defaultdict

import pandas as pd

from workflow_scripts.lib.study.keep import file_state

# files and folders of a subject that change when it is made again
SUBJECT_PARTS = (
    "stats",
    "mri",
    "stats/aseg.stats",
    "mri/norm.mgz",
    "mri/orig_nu.mgz",
    "scripts/recon-all.done",
    "scripts/recon-surf.done",
)
ROW = ("scan_id", "kind", "t1w", "image", "subject", "found")


def name_batch(number: int) -> str:
    """Name a batch by its number: 000, 001 and so on."""
    return f"{number:03d}"


def row_batches(count: int, scans_per_job: int) -> list[str]:
    """Number scans into batches in their order, as the embedded study does."""
    return [name_batch(row // scans_per_job) for row in range(count)]


def assign_batches(
    scans: pd.DataFrame,
    scans_per_job: int,
    first: int = 0,
    before: dict[str, str] | None = None,
    together: bool = False,
) -> list[str]:
    """Give each scan a batch.

    Parameters
    ----------
    scans : pandas.DataFrame
        ``scan_id``, ``participant_id``.
    scans_per_job : int
        Most scans in a batch; a participant with more has one alone if ``together``.
    first : int
        Number of the first batch.
    before : dict of str to str
        Batches that scans had, by scan_id. They stay; scans that had none fill batches of their own.
    together : bool
        Whether all scans of a participant share a batch. A new visit then joins the earlier ones.

    Returns
    -------
    list of str
        Of each row.
    """
    unit = scans["participant_id"] if together else scans["scan_id"]
    groups = defaultdict(list)
    for name, scan in zip(unit, scans["scan_id"], strict=True):
        groups[name].append(scan)
    before = before or {}
    kept = {name: {before[scan] for scan in group if scan in before} for name, group in groups.items()}
    given = {name: batches.pop() for name, batches in kept.items() if batches}
    number, filled = max((int(batch) + 1 for batch in given.values()), default=first), 0
    for name, group in groups.items():
        if name not in given:
            if filled and filled + len(group) > scans_per_job:
                number, filled = number + 1, 0
            given[name] = name_batch(number)
            filled += len(group)
    return [given[name] for name in unit]


def batch_states(scans: pd.DataFrame, inputs: list[dict]) -> dict[str, str]:
    """Hash what each batch reads: ids, paths, and sizes and times of change of the files named.

    Parameters
    ----------
    scans : pandas.DataFrame
        Schema ``scans``.
    inputs : list of dict
        Config section ``cohort: inputs``, for the tables that rows stand in.

    Returns
    -------
    dict of str to str
        Twelve hexadecimal digits by batch, in the order of the batches.
    """
    tables = {entry["name"]: [file_state(path) for path in entry.get("tables", [])] for entry in inputs}
    digests = defaultdict(lambda: hashlib.sha1(usedforsecurity=False))
    for scan in scans.sort_values("scan_id").to_dict("records"):
        row = [None if pd.isna(scan[column]) else str(scan[column]) for column in ROW]
        digests[scan["batch"]].update(json.dumps([row, _scan_state(scan, tables)]).encode())
    return {batch: digests[batch].hexdigest()[:12] for batch in sorted(digests, key=int)}


def _scan_state(scan: dict, tables: dict[str, list]) -> list:
    """List sizes and times of change of what a scan is read from."""
    if scan["kind"] == "tables":
        return tables[scan["input"]]
    if scan["kind"] == "t1w":
        return [file_state(scan["t1w"])] if isinstance(scan["t1w"], str) else []
    return [file_state(f"{scan['subject']}/{part}") for part in SUBJECT_PARTS]
