"""Scans whose data are one file, or copies of it byte by byte: found before anything is computed."""

import filecmp
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping

import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_duplicates

FILES = ("t1w", "freesurfer", "fastsurfer")  # kinds of scans that are files or folders
SAMPLE = 4096  # bytes read of files of one size, before two are compared whole


def refuse_same_files(scans: pd.DataFrame) -> None:
    """Refuse one file under two participants.

    Files that differ and hold one image are found once they have been read, by quality control, and so are visits of
    one participant that name one file.

    Parameters
    ----------
    scans : pandas.DataFrame
        Schema ``scans``; rows of tables have no file of their own and are left out.

    Raises
    ------
    LeakageError
        See :func:`workflow_scripts.lib.cohort.guard.refuse_duplicates`.
    """
    people = scans.set_index("scan_id")["participant_id"]
    files = scans["t1w"].fillna(scans["subject"]).where(scans["kind"].isin(FILES))
    named = zip(scans["scan_id"], files, strict=True)
    pairs = find_same_files({scan: path for scan, path in named if isinstance(path, str)})
    refuse_duplicates([(a, b, "the same file") for a, b in pairs if people[a] != people[b]], people)


def find_same_files(paths: Mapping[str, str | os.PathLike]) -> list[tuple[str, str]]:
    """List pairs of scans that name one file or folder, also by a link, or files of the same content.

    Files of different sizes are not opened, nor are those whose last bytes differ: a compressed volume ends with the
    checksum of its content.

    Parameters
    ----------
    paths : mapping
        scan_id -> volume or subject folder; what does not exist is passed over.

    Returns
    -------
    list of (str, str)
        In the order given. Of three copies the first and second, and the first and third.
    """
    first, sizes, pairs = {}, defaultdict(list), []
    for scan, path in paths.items():
        try:
            found = os.stat(path)
        except OSError:
            continue
        place = (found.st_dev, found.st_ino)
        if place in first:
            pairs.append((first[place], scan))
        else:
            first[place] = scan
            if stat.S_ISREG(found.st_mode) and found.st_size:
                sizes[found.st_size].append(scan)
    for scans in sizes.values():
        if len(scans) > 1:
            pairs += _same_content(scans, paths)
    order = {scan: place for place, scan in enumerate(paths)}
    return sorted(pairs, key=lambda pair: (order[pair[1]], order[pair[0]]))


def _same_content(scans: Iterable[str], paths: Mapping[str, str | os.PathLike]) -> list[tuple[str, str]]:
    """Compare files of one size."""
    pairs, ends = [], defaultdict(list)
    for scan in scans:
        seen = ends[_sample(paths[scan])]
        twin = next((other for other in seen if filecmp.cmp(paths[other], paths[scan], shallow=False)), None)
        if twin is None:
            seen.append(scan)
        else:
            pairs.append((twin, scan))
    return pairs


def _sample(path: str | os.PathLike) -> bytes:
    """Read some bytes of the middle and of the end of a file."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size // 2)
        middle = file.read(SAMPLE)
        file.seek(-min(size, SAMPLE), os.SEEK_END)
        return middle + file.read()
