"""The list of scans of a study, found in all its inputs."""

import logging
from collections.abc import Callable, Sequence

import pandas as pd

from workflow_scripts.lib.cohort.inputs.bids import find_bids
from workflow_scripts.lib.cohort.inputs.data import Data
from workflow_scripts.lib.cohort.inputs.exported import find_rows
from workflow_scripts.lib.cohort.inputs.people import match_people, read_people, say_absent
from workflow_scripts.lib.cohort.inputs.sheet import deal_cohort, read_sheet
from workflow_scripts.lib.cohort.inputs.subjects import find_subjects
from workflow_scripts.lib.cohort.inputs.volumes import find_volumes
from workflow_scripts.lib.cohort.participants import fill_defaults, read_participants
from workflow_scripts.lib.study.errors import StudyError

RowNames = Callable[[Sequence[str]], list[str]]
IGNORED = ("input", "path", "reason")
log = logging.getLogger(__name__)


def find_scans(
    inputs: list[dict], row_names: RowNames, label_columns: tuple[str, ...] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the scans of all inputs.

    Parameters
    ----------
    inputs : list of dict
        Config section ``cohort: inputs``.
    row_names : callable
        Lists the names of the rows of exported tables.
    label_columns : tuple of str
        Further columns of people that the config declares.

    Returns
    -------
    scans : pandas.DataFrame
        Schema ``scans`` without ``batch``: one row a scan wanted, found or not.
    ignored : pandas.DataFrame
        Schema ``ignored``.

    Raises
    ------
    StudyError
        For an input without any scan that can be read, and for scans that stand in two places.
    """
    found, ignored = [], []
    for entry in inputs:
        scans, left = _find_input(entry, row_names, label_columns)
        _refuse_nothing(entry, scans, left)
        found.append(scans)
        ignored += [(entry["name"], *item) for item in left]
    scans = pd.concat([table.astype(object) for table in found], ignore_index=True).infer_objects()
    scans["found"] = scans["found"].astype(bool)
    _refuse_repeated(scans)
    return scans.drop(columns="place"), pd.DataFrame(ignored, columns=list(IGNORED))


def _find_input(entry: dict, row_names: RowNames, labels: tuple[str, ...]) -> tuple[pd.DataFrame, list]:
    """Find the scans of one input; column ``place`` says where each lies."""
    if entry["kind"] == "participants":
        return _from_table(entry, labels), []
    people, contradicted = _read_people(entry, labels)
    if entry["kind"] == "bids":
        data, ignored = find_bids(entry, labels, with_people=people is None)
    elif entry["kind"] == "tables":
        data, ignored = find_rows(entry, row_names)
    else:
        data, ignored = (find_subjects if entry["kind"] in ("freesurfer", "fastsurfer") else find_volumes)(entry)
    if people is None:
        matched = [
            ({"participant_id": item.participant_id, "session_id": item.session_id} | item.about, item) for item in data
        ]
    else:
        matched, left = match_people(people, data, entry["participants"], entry)
        known = {name for name, _ in contradicted}
        left = [item for item in left if known.isdisjoint(item.names)]
        ignored += contradicted + [(item.path, f"no row in {entry['participants']}") for item in left]
    if "cohorts" in entry:
        matched = [
            (about | {"cohort": deal_cohort(about["participant_id"], entry["cohorts"])}, item)
            for about, item in matched
        ]
    rows = [_row(entry, about, item) for about, item in matched]
    columns = ["participant_id", "session_id", "cohort", "site", "found", "place", "reason"]
    return fill_defaults(pd.DataFrame(rows, columns=None if rows else columns), "scans"), ignored


def _read_people(entry: dict, labels: tuple[str, ...]) -> tuple[list[dict] | None, list[tuple[str, str]]]:
    """Read the table of people of an input, if it has one, and who is left out of it."""
    if "participants" not in entry:
        return None, []
    if "columns" in entry:
        return read_sheet(entry, labels)
    return read_people(entry["participants"], labels), []


def _row(entry: dict, about: dict, item: Data | None) -> dict:
    """Make a row of the scans table."""
    kind = entry["kind"] if entry["kind"] in ("freesurfer", "fastsurfer", "tables") else "t1w"
    read = item.read if item else {"kind": kind, "t1w": None, "image": "auto", "subject": None}
    reason = item.reason if item else say_absent(about, entry)
    site = entry.get("site", entry["name"])
    place = item.path if item else entry["participants"]
    return (
        {"cohort": entry["name"], "site": site}
        | about
        | read
        | {"input": entry["name"], "found": reason is None, "reason": reason, "place": place}
    )


def _from_table(entry: dict, labels: tuple[str, ...]) -> pd.DataFrame:
    """Take the scans of a participants table."""
    table = read_participants(entry["path"], labels)
    table["input"], table["place"] = entry["name"], entry["path"]
    return table


def _refuse_nothing(entry: dict, scans: pd.DataFrame, ignored: list[tuple[str, str]]) -> None:
    """Refuse an input that gives the study nothing; warn if it gives less than was wanted."""
    source = f"cohort: inputs: {entry['name']}"
    place = entry.get("path") or ", ".join(entry["tables"])
    if scans.empty:
        left = f" Left out: {len(ignored)}, e.g. {ignored[0][0]} ({ignored[0][1]})." if ignored else ""
        raise StudyError(f"{source}: no scan in {place}.{left} Correct the input or drop it.")
    lost = scans[~scans["found"].astype(bool)]
    if len(lost) == len(scans):
        raise StudyError(
            f"{source}: {len(lost)} of {len(scans)} scans cannot be read, e.g. {lost['reason'].iloc[0]}. "
            f"Correct {entry.get('participants', place)} or what it names."
        )
    if len(lost):
        log.warning(
            "%s: %d of %d scans cannot be read and will be set aside, e.g. %s",
            source, len(lost), len(scans), lost["reason"].iloc[0],
        )  # fmt: skip


def _refuse_repeated(scans: pd.DataFrame) -> None:
    """Refuse a scan that stands in two places."""
    repeated = scans[scans.duplicated("scan_id", keep=False)]
    if repeated.empty:
        return
    name = repeated["scan_id"].iloc[0]
    first, second, *_ = repeated[repeated["scan_id"] == name].itertuples()
    where = [f"input '{row.input}' ({row.place})" for row in (first, second)]
    more = repeated["scan_id"].nunique() - 1
    raise StudyError(
        f"cohort: inputs: scan '{name}' is in {where[0]} and in {where[1]}"
        + (f", and {more} more stand twice" if more else "")
        + ". One scan has one source: drop an input, narrow it, or give it ids that tell the scans apart."
    )
