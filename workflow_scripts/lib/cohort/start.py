"""The look into the inputs before any job: what is there, in which batches, and whether a study can be made of it."""

import contextlib
import csv
import filecmp
import functools
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from workflow_scripts.lib.cohort.inputs.batches import assign_batches, batch_states
from workflow_scripts.lib.cohort.inputs.find import RowNames, find_scans
from workflow_scripts.lib.cohort.participants import make_scans, order_columns
from workflow_scripts.lib.study.files import read_json, write_json
from workflow_scripts.lib.study.tables import write_table


def index_inputs(
    cohort: dict,
    inputs: list[dict],
    files: dict[str, str],
    row_names: RowNames,
    first: int = 0,
    others: Iterable[str] = (),
    together: bool = False,
) -> None:
    """Find the scans of all inputs, check them, and write what the jobs need to know of them.

    A file whose content would stay the same is not touched, so that nothing reruns for it.

    Parameters
    ----------
    cohort : dict
        Config section ``cohort``.
    inputs : list of dict
        Those of its inputs to look into.
    files : dict of str to str
        Paths by use: ``index`` (the scans with their batches; schema ``scans``), ``ignored`` (schema ``ignored``) and
        ``state`` (JSON: of each batch a hash and the names of its inputs, and how batches were dealt).
    row_names : callable
        Lists the names of the rows of exported tables.
    first : int
        Number of the first batch.
    others : iterable of str
        Cohorts that do not come from these inputs.
    together : bool
        Whether all scans of a participant share a batch.

    Raises
    ------
    StudyError
        For malformed tables, inputs without scans, scans that stand twice, unknown cohorts, or participants on both
        sides of a split. Nothing is written then.
    """
    labels = tuple(cohort["label_columns"])
    scans, ignored = find_scans(inputs, row_names, labels)
    dealt = {"scans_per_job": cohort["scans_per_job"], "first": first, "together": together}
    before = _batches_before(files, dealt)
    scans["batch"] = assign_batches(scans, cohort["scans_per_job"], first, before, together)
    scans = order_columns(scans, labels)
    make_scans(scans, cohort["roles"], labels, others)
    write_if_new(files["index"], functools.partial(write_table, scans, schema="scans", extra=labels))
    write_if_new(files["ignored"], functools.partial(write_table, ignored, schema="ignored"))
    # last: the jobs read it, and the next look trusts the index that goes with it
    names = {batch: sorted(set(rows)) for batch, rows in scans.groupby("batch")["input"]}
    state = {"dealt": dealt, "batches": batch_states(scans, inputs), "inputs": names}
    write_if_new(files["state"], functools.partial(write_json, content=state))


def write_if_new(path: str | os.PathLike, write: Callable) -> None:
    """Write a file, unless it is there with the same content: its time of change says when the content changed.

    Parameters
    ----------
    path : path
    write : callable
        Given ``path=``, writes there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".new.{os.getpid()}.{path.name}")
    try:
        write(path=fresh)
        if not path.exists() or not filecmp.cmp(fresh, path, shallow=False):
            os.replace(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def _batches_before(files: dict[str, str], dealt: dict) -> dict[str, str]:
    """Read the batch that each scan had, if they were dealt in the same way."""
    with contextlib.suppress(FileNotFoundError):
        if read_json(files["state"])["dealt"] == dealt:
            with open(files["index"], newline="") as table:
                return {row["scan_id"]: row["batch"] for row in csv.DictReader(table, delimiter="\t")}
    return {}
