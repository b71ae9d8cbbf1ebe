"""T1w volumes of a BIDS dataset, listed by bids2table."""

import logging
import os
import re
from collections import defaultdict
from pathlib import Path

from bids2table import index_dataset

from workflow_scripts.lib.cohort.inputs.bids_people import DatasetPeople
from workflow_scripts.lib.cohort.inputs.data import FIRST_SESSION, Data, missing_file
from workflow_scripts.lib.study.errors import StudyError

VOLUMES = (".nii.gz", ".nii")
# columns of the list that are no entities
NOT_ENTITIES = ("dataset", "root", "path", "extra_entities", "sub", "ses", "run", "datatype", "suffix", "ext")


def find_bids(
    entry: dict, labels: tuple[str, ...] = (), with_people: bool = True
) -> tuple[list[Data], list[tuple[str, str]]]:
    """Find the T1w volume of each session.

    Parameters
    ----------
    entry : dict
        An input of kind ``bids``: ``path``, ``runs`` (``first`` or ``last``), ``filters`` (entity -> value).
    labels : tuple of str
        Further columns of the dataset's own tables to take along.
    with_people : bool
        Whether to read ``participants.tsv`` and the subjects' ``sessions.tsv``.

    Returns
    -------
    data : list of Data
        A session with several T1w volumes that differ in more than their run has a ``reason``.
    ignored : list of (path, reason)

    Raises
    ------
    StudyError
        If there is no subject folder, or a table of the dataset is malformed.
    """
    root = Path(entry["path"])
    files = _list_files(root)
    sessions, ignored = defaultdict(list), _odd_folders(root, files)
    for file in files:
        sessions[file["sub"], file["ses"]].append(file)
    people = DatasetPeople(root, files, labels) if with_people else None
    data, seen = [], set()
    for (sub, ses), inside in sorted(sessions.items(), key=lambda item: (item[0][0], natural(item[0][1] or ""))):
        volumes = [file for file in inside if file["suffix"] == "T1w" and file["ext"] in VOLUMES]
        wanted, others = _filter(volumes, entry["filters"])
        ignored += [(str(root / file["path"]), _not_wanted(entry["filters"])) for file in others]
        if not wanted:
            if not volumes and any(file["datatype"] for file in inside):
                folder = root / f"sub-{sub}" / (f"ses-{ses}" if ses else "")
                ignored.append((str(folder), "no T1w volume"))
            continue
        chosen, reason, left = _choose(wanted, entry["runs"])
        ignored += [(str(root / file["path"]), why) for file, why in left]
        about = people.about(f"sub-{sub}", ses, first=sub not in seen) if people else {}
        seen.add(sub)
        data.append(_data(root, sub, ses, chosen, reason, about))
    if people:
        ignored += people.without_data({f"sub-{sub}" for sub in seen})
        people.warn()
    return data, ignored


def natural(text: str) -> list:
    """Give a sorting key that puts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text) if part]


def _list_files(root: Path) -> list[dict]:
    """List the files of the subjects with their entities."""
    # bids2table gives an empty list for such a name, and reads the dataset's name off the path
    root = root.absolute()
    if root.suffix or root.name.startswith("."):
        raise StudyError(
            f"{root}: the name of a BIDS dataset's folder may hold no dot. Rename it, or make a link without one to it."
        )
    if not any(re.fullmatch("sub-[A-Za-z0-9]+", place.name) for place in root.iterdir()):
        raise StudyError(
            f"{root}: holds no folder sub-LABEL, so it is no BIDS dataset. Give its root, or another kind."
        )
    logging.getLogger("bids2table").setLevel(logging.ERROR)  # it warns of each entity that it does not know
    return index_dataset(root).to_pylist()


def _odd_folders(root: Path, files: list[dict]) -> list[tuple[str, str]]:
    """List what looks like a subject and is none."""
    known = {f"sub-{file['sub']}" for file in files}
    odd = []
    for place in sorted(root.glob("sub-*")):
        if not re.fullmatch("sub-[A-Za-z0-9]+", place.name):
            odd.append((str(place), "no BIDS label; letters and digits may follow sub-"))
        elif place.name not in known:
            odd.append((str(place), "holds no file named by BIDS"))
    return odd


def _value(file: dict, entity: str) -> str | None:
    """Give the value of an entity of a file as text, None without it."""
    value = file.get(entity, dict(file["extra_entities"]).get(entity))
    return None if value is None else str(value)


def _filter(volumes: list[dict], filters: dict) -> tuple[list[dict], list[dict]]:
    """Part the volumes whose entities are as wanted from the others; 01 and 1 are the same run."""

    def fits(file: dict) -> bool:
        found = {entity: _value(file, entity) for entity in filters}
        return all(
            found[entity] is not None and found[entity].lstrip("0") == str(value).lstrip("0")
            for entity, value in filters.items()
        )

    wanted = [file for file in volumes if fits(file)]
    return wanted, [file for file in volumes if file not in wanted]


def _not_wanted(filters: dict) -> str:
    return f"not wanted by filters: {', '.join(f'{entity}: {value}' for entity, value in filters.items())}"


def _choose(volumes: list[dict], runs: str) -> tuple[dict, str | None, list[tuple[dict, str]]]:
    """Choose one volume of a session: by run, compressed before plain.

    Returns
    -------
    chosen : dict
    reason : str or None
        Why no choice can be made.
    left : list of (dict, str)
        The others, each with the reason.
    """
    entities = sorted({name for file in volumes for name in [*file, *dict(file["extra_entities"])]} - {*NOT_ENTITIES})
    differ = [name for name in entities if len({_value(file, name) for file in volumes}) > 1]
    volumes = sorted(volumes, key=lambda file: (int(file["run"] or 0), file["ext"] != ".nii.gz", file["path"]))
    if differ:
        values = [
            f"{name}-{value}" for name in differ for value in sorted({_value(f, name) or "none" for f in volumes})
        ]
        reason = (
            f"the session has {len(volumes)} T1w volumes that differ in {', '.join(differ)} ({', '.join(values)}); "
            f"name the one to take, e.g. filters: {{{values[0].replace('-', ': ', 1)}}}"
        )
        return volumes[0], reason, []
    best = volumes[0] if runs == "first" else volumes[-1]
    same = [file for file in volumes if file["run"] == best["run"]]
    chosen = same[0]
    left = [
        (file, "the same volume uncompressed" if file in same else f"another run; runs: {runs} takes the {runs} one")
        for file in volumes
        if file is not chosen
    ]
    return chosen, None, left


def _data(root: Path, sub: str, ses: str | None, file: dict, reason: str | None, about: dict) -> Data:
    path = os.path.join(root, file["path"])
    read = {"kind": "t1w", "t1w": path, "image": "auto", "subject": None}
    name = f"sub-{sub}_ses-{ses}" if ses else f"sub-{sub}"
    return Data(f"sub-{sub}", ses or FIRST_SESSION, path, read, (name,), reason or missing_file(path), about)
