"""Rows of tables that aparcstats2table and asegstats2table wrote."""

from collections.abc import Callable, Sequence

from workflow_scripts.lib.cohort.inputs.data import Data, read_ids, say_unread
from workflow_scripts.lib.cohort.inputs.subjects import LONG


def find_rows(entry: dict, row_names: Callable[[Sequence[str]], list[str]]) -> tuple[list[Data], list[tuple[str, str]]]:
    """Find the subjects of exported tables.

    Parameters
    ----------
    entry : dict
        An input of kind ``tables``: ``tables``, ``ids``.
    row_names : callable
        Lists the names of the rows of all tables together.

    Returns
    -------
    data : list of Data
        ``subject`` is the row's name.
    ignored : list of (name, reason)
    """
    data, ignored = [], []
    for name in row_names(entry["tables"]):
        match = LONG.fullmatch(name)
        point = match["point"] if match else name
        ids = read_ids(point, entry.get("ids"))
        if ids is None:
            ignored.append((name, say_unread(entry.get("ids"))))
            continue
        read = {"kind": "tables", "t1w": None, "image": "auto", "subject": name}
        data.append(Data(*ids, name, read, (name, point)))
    return data, ignored
