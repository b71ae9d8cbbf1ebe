"""Training logs of all methods, locations and levels as one table, for figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.study import tables


def collect(
    patch_folders: Mapping[str, Sequence[str | Path]],
    image_logs: Mapping[str, str | Path],
    volume_logs: Mapping[str, str | Path] | None = None,
) -> pd.DataFrame:
    """Put training logs one below the other.

    Parameters
    ----------
    patch_folders : mapping of str to sequence of path
        Method -> folders of its chunks, each with a ``{location}.tsv`` for each location.
    image_logs : mapping of str to path
        Method -> log of its image level.
    volume_logs : mapping of str to path, optional
        Method that reads whole volumes -> its log.

    Returns
    -------
    pandas.DataFrame
        method, level ('patch', 'image' or 'volume'), location ('all' unless at patch level), then the columns of
        schema ``training_log``; missing where a method has no such number. Untrained networks have no row.
    """
    files = [
        (method, "patch", file.stem, file)
        for method, folders in patch_folders.items()
        for folder in folders
        for file in sorted(Path(folder).glob("*.tsv"))
    ]
    for level, logs in (("image", image_logs), ("volume", volume_logs or {})):
        files += [(method, level, "all", Path(file)) for method, file in logs.items()]
    parts = []
    for method, level, location, file in files:
        part = tables.read_table(file, "training_log")
        if part.empty:
            continue
        for place, (name, value) in enumerate({"method": method, "level": level, "location": location}.items()):
            part.insert(place, name, value)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
