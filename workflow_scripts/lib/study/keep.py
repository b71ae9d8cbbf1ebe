"""Results of single scans that outlive the job that made them.

Snakemake deletes the outputs of a job that failed or runs again. What took minutes a scan is therefore first written to
a folder that no rule names, and linked from there into the job's output: a rerun makes only what is new or has changed.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from workflow_scripts.lib.study.files import read_json, write_json


class Keep:
    """A folder with one subfolder a scan: its files, and a record written last.

    Parameters
    ----------
    folder : path
        May be deleted at any time; everything is then made anew.
    *recipe : object
        What all results depend on (code hash, settings); with an item's own parts it makes the key of a result.
    """

    def __init__(self, folder: str | os.PathLike, *recipe: object):
        self.folder, self.recipe = Path(folder), recipe

    def key(self, *parts: object) -> str:
        """Hash the recipe and the parts that this result alone depends on."""
        text = json.dumps([self.recipe, parts], sort_keys=True, default=str)
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def start(self, scan_id: str) -> Path:
        """Return an empty folder for a scan's new files; what was kept of it before is gone."""
        folder = self.folder / scan_id
        # never written over: an old file may still be linked from an output
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def read(self, scan_id: str, key: str) -> dict | None:
        """Return the record of a scan if it was made with this key and its files are there, else None."""
        path = self.folder / scan_id / "record.json"
        try:
            kept = read_json(path)
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        whole = kept.get("key") == key and all((path.parent / name).exists() for name in kept["files"])
        return kept["record"] if whole else None

    def write(self, scan_id: str, key: str, record: dict, files: tuple[str, ...] = ()) -> None:
        """Write the record of a scan whose files are complete."""
        write_json(self.folder / scan_id / "record.json", {"key": key, "record": record, "files": list(files)})

    def link(self, scan_id: str, name: str, target: str | os.PathLike) -> None:
        """Put a kept file to where a job's output wants it, without a second copy where the disk allows it."""
        source = self.folder / scan_id / name
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, target)


def file_state(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return size and time of change (ns) of a file, None without one: tells a replaced file from the old one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
