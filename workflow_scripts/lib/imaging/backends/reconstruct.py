"""Run a tool on the scans of a job: which commands in which order, who depends on what, and where results lie."""

import hashlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.backends import fastsurfer, freesurfer
from workflow_scripts.lib.imaging.backends.tools import Command, Tool, run_command
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.files import read_json, write_json

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Person:
    """A participant and the scans to reconstruct: ``scans`` maps scan_id to the path of the T1w volume."""

    participant_id: str
    scans: dict[str, str]


@dataclass(frozen=True)
class Step:
    """A command, and the scans that cannot go on without it."""

    command: Command
    scans: tuple[str, ...]


def subject_name(scan_id: str, participant_id: str, tool: Tool, longitudinal: bool) -> str:
    """Return the name of the subject folder that a scan's features come from.

    FreeSurfer's longitudinal folders are named TIMEPOINT.long.TEMPLATE; FastSurfer's by the time point alone.
    """
    return f"{scan_id}.long.{participant_id}" if longitudinal and tool.name == "freesurfer" else scan_id


def plan(person: Person, subjects: Path, tool: Tool, longitudinal: bool, part: str) -> list[Step]:
    """List the commands for a person.

    Parameters
    ----------
    person : Person
    subjects : Path
        The folder of the subjects, absolute.
    tool : Tool
    longitudinal : bool
        Whether all scans of the person are aligned to a template of their own, also if there is one scan only.
    part : {"segment", "reconstruct"}
        FastSurfer's segmentations, which want a GPU, or all that follows them. FreeSurfer has no first part.
    """
    everyone, template = tuple(person.scans), person.participant_id
    if tool.name == "freesurfer":
        if part == "segment":
            return []
        crosses = {scan: freesurfer.cross(scan, t1w, subjects, tool) for scan, t1w in person.scans.items()}
        if not longitudinal:
            return [Step(command, (scan,)) for scan, command in crosses.items()]
        # a template without one of its time points would be another template
        steps = [Step(command, everyone) for command in crosses.values()]
        steps.append(Step(freesurfer.base(template, everyone, subjects, tool), everyone))
        return steps + [Step(freesurfer.long(scan, template, subjects, tool), (scan,)) for scan in everyone]
    if not longitudinal:
        if part == "segment":
            return [Step(fastsurfer.segment(scan, t1w, subjects, tool), (scan,)) for scan, t1w in person.scans.items()]
        return [Step(fastsurfer.surfaces(scan, subjects, tool), (scan,)) for scan in everyone] * tool.surfaces
    if part == "segment":
        t1ws = list(person.scans.values())
        first = [Step(fastsurfer.prepare(template, everyone, t1ws, subjects, tool), everyone)]
        first.append(Step(fastsurfer.segment_template(template, subjects, tool), everyone))
        return first + [Step(fastsurfer.segment_long(scan, template, subjects, tool), (scan,)) for scan in everyone]
    steps = [Step(fastsurfer.surfaces_of_template(template, subjects, tool), everyone)]
    return steps + [Step(fastsurfer.surfaces_long(scan, template, subjects, tool), (scan,)) for scan in everyone]


def run_steps(steps: Sequence[Step], tool: Tool, logs: Path, failed: dict[str, str]) -> dict[str, str]:
    """Run commands one after the other; a failed one sets its scans aside and the others go on.

    Parameters
    ----------
    steps : sequence of Step
    tool : Tool
    logs : Path
        Folder of the logs, one file a subject folder.
    failed : dict of str to str
        Scans set aside before, with the reason.

    Returns
    -------
    dict of str to str
        Scans set aside, with the reason.
    """
    failed = dict(failed)
    for step in steps:
        if all(scan in failed for scan in step.scans):
            continue
        try:
            # the title begins with the name of the subject folder
            run_command(step.command, tool, logs / f"{step.command.title.partition(',')[0]}.log")
        except StudyError as error:
            LOGGER.warning("%s", error)
            failed |= {scan: str(error) for scan in step.scans if scan not in failed}
    return failed


def check_origin(name: str, origin: dict, subjects: Path) -> None:
    """Refuse to take a subject folder for what it is not: made from another scan, or with other options.

    Parameters
    ----------
    name : str
        Of the subject folder.
    origin : dict
        What it is made from now, by the words that a message uses; kept in ``made_from`` from the first run on.
    subjects : Path
        The folder of the subjects.

    Raises
    ------
    StudyError
        If it was made from something else. Hours of work are not deleted unasked.
    """
    path = subjects / "made_from" / f"{name}.json"
    if not path.exists():
        write_json(path, origin)
        return
    before = read_json(path)
    changed = [key for key in origin if before.get(key) != origin[key]]
    if changed:
        # what was made from this folder goes with it: longitudinal folders are named TIMEPOINT.long.TEMPLATE
        patterns = (name, f"{name}.long.*", f"*.long.{name}")
        folders = [str(folder) for pattern in patterns for folder in sorted(subjects.glob(pattern))]
        raise StudyError(
            f"{name}: its subject folder was made with another {' and another '.join(changed)} than now. To make it "
            f"anew, delete {', '.join([*folders, str(path)])}. Or undo the change."
        )


def _check_origins(person: Person, subjects: Path, tool: Tool, longitudinal: bool) -> dict[str, str]:
    """Return the scans whose folders were made from something else, with the reason."""
    shared = {"choice of options": list(tool.options), "image of the tool": tool.image, "tool": tool.name}
    failed = {}
    for scan, t1w in person.scans.items():
        try:
            volume = hashlib.sha256(Path(t1w).read_bytes()).hexdigest()
            check_origin(scan, {"T1w volume": volume} | shared, subjects)
        except (StudyError, OSError) as error:
            failed[scan] = str(error) if isinstance(error, StudyError) else f"{t1w}: {error.strerror}"
    if longitudinal:
        try:
            check_origin(person.participant_id, {"set of time points": sorted(person.scans)} | shared, subjects)
        except StudyError as error:
            failed = dict.fromkeys(person.scans, str(error)) | failed
        if failed:
            failed = dict.fromkeys(person.scans, next(iter(failed.values()))) | failed
    return failed


def people_of_batch(scans: pd.DataFrame, batch: str) -> list[Person]:
    """List who is reconstructed in a batch of the table ``scans``: the T1w volumes that were found."""
    wanted = scans[(scans["kind"] == "t1w") & scans["found"] & (scans["batch"] == batch)]
    groups = wanted.groupby("participant_id", sort=False)
    return [Person(str(name), dict(zip(rows["scan_id"], rows["t1w"], strict=True))) for name, rows in groups]


def reconstruct(
    people: Sequence[Person],
    subjects: Path,
    tool: Tool,
    longitudinal: bool,
    part: str,
    failed: dict[str, str],
    at_once: int = 1,
) -> pd.DataFrame:
    """Run a part of the work for some people.

    Parameters
    ----------
    people : sequence of Person
    subjects : Path
        The folder of the subjects, made if need be; what is complete there is not made again.
    tool, longitudinal, part
        As in :func:`plan`.
    failed : dict of str to str
        Scans that an earlier part set aside, with the reason.
    at_once : int
        How many people at a time, each with ``tool.threads`` threads.

    Returns
    -------
    pandas.DataFrame
        Table ``reconstructed``: scan_id, passed, reason, subject (path of the folder).
    """
    subjects = subjects.absolute()

    def one(person: Person) -> list[dict]:
        before = {scan: failed[scan] for scan in person.scans if scan in failed}
        before |= _check_origins(person, subjects, tool, longitudinal)
        reasons = run_steps(plan(person, subjects, tool, longitudinal, part), tool, subjects / "logs", before)
        return [
            {
                "scan_id": scan,
                "passed": scan not in reasons,
                "reason": reasons.get(scan),
                "subject": str(subjects / subject_name(scan, person.participant_id, tool, longitudinal)),
            }
            for scan in person.scans
        ]

    with ThreadPoolExecutor(max(1, at_once)) as pool:
        rows = [row for rows in pool.map(one, people) for row in rows]
    return pd.DataFrame(rows, columns=["scan_id", "passed", "reason", "subject"])
