"""Decisions by hand: a table that includes or excludes scans whatever their numbers say."""

import difflib
import os

import pandas as pd

from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import read_table

# stages whose failure leaves nothing to include, with what then lacks
LACKS = {
    "cohort": "its data were not found",
    "preprocess": "it could not be preprocessed",
    "register": "it has no registered volume",
    "features": "it lacks features that the study uses",
}


def read_overrides(path: str | os.PathLike, scan_ids: list[str]) -> pd.DataFrame:
    """Read a table of decisions by hand, such as the page of quality control saves.

    Parameters
    ----------
    path : path
        TSV of schema ``qc_overrides``: scan_id, decision (include, exclude), reason.
    scan_ids : list of str
        Scans of the study.

    Raises
    ------
    StudyError
        At a table that does not fit its schema or names a scan that the study does not have.
    """
    table = read_table(path, "qc_overrides")
    known = set(scan_ids)
    for place, name in enumerate(table["scan_id"]):
        if name not in known:
            close = difflib.get_close_matches(name, scan_ids, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else "The cohort stage's scans.tsv lists the ids."
            raise StudyError(
                f"{path}, line {place + 2}, column 'scan_id': found '{name}', expected a scan of the study. "
                f"{hint} Correct the id or remove the row."
            )
    return table


def apply_overrides(table: pd.DataFrame, overrides: pd.DataFrame | None) -> pd.DataFrame:
    """Let decisions by hand prevail over those by numbers.

    Parameters
    ----------
    table : pandas.DataFrame
        scan_id, stage and reason (both empty for a scan that goes on).
    overrides : pandas.DataFrame or None
        Schema ``qc_overrides``.

    Returns
    -------
    pandas.DataFrame
        A copy with ``override``, ``override_reason`` and changed ``stage`` and ``reason``. A scan without the data that
        later stages need stays set aside, and its reason says so.
    """
    by_scan = {} if overrides is None else overrides.set_index("scan_id").to_dict("index")
    table = table.copy()
    for column, key in (("override", "decision"), ("override_reason", "reason")):
        table[column] = pd.Series([by_scan.get(scan, {}).get(key) for scan in table["scan_id"]], table.index, object)
    for place in table.index[table["override"].notna()]:
        stage, why = table.loc[place, ["stage", "override_reason"]]
        if table.loc[place, "override"] == "exclude":
            if stage not in LACKS:
                table.loc[place, ["stage", "reason"]] = ["override", f"excluded by hand: {why}"]
        elif stage in LACKS:
            table.loc[place, "reason"] += f" (the override 'include' has no effect: {LACKS[stage]})"
        else:
            table.loc[place, ["stage", "reason"]] = [None, None]
    return table
