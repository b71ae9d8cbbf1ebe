"""From a row of the scans table to a preprocessed scan, whichever way its data came: only the missing steps are run."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.backends.base import Preprocessed, get_backend
from workflow_scripts.lib.imaging.backends.existing import read_existing
from workflow_scripts.lib.imaging.stats.tables import read_tables
from workflow_scripts.lib.imaging.volumes import inspect_scan, read_scan
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.keep import file_state

# backends that rules of their own ran before; their subject folders are read like a user's
OUTSIDE = ("freesurfer", "fastsurfer")
# parts of a subject folder that are read
READ = ("stats/*.stats", "mri/*.mgz", "scripts/build-stamp.txt")


def preprocess(scan: dict, settings: dict) -> Preprocessed:
    """Preprocess one scan, or read what FreeSurfer or FastSurfer made of it.

    Parameters
    ----------
    scan : dict
        Of the scans table: ``kind``, ``t1w``, ``image``, ``subject``, ``found``, ``reason``.
    settings : dict
        Config section ``preprocess``.

    Raises
    ------
    StudyError
        With the reason why the scan is set aside.
    """
    if not scan["found"]:
        raise StudyError(scan["reason"])
    if scan["kind"] in OUTSIDE:
        return read_existing(scan["subject"], scan["kind"])
    image = read_scan(scan["t1w"])
    result = get_backend(settings["backend"])(image, scan["image"], settings)
    result.numbers.update(inspect_scan(image))
    return result


def use_reconstructed(scans: pd.DataFrame, made: pd.DataFrame, backend: str) -> pd.DataFrame:
    """Let scans that FreeSurfer or FastSurfer has been run on be read from its subject folders.

    Parameters
    ----------
    scans : pandas.DataFrame
        Schema ``scans``.
    made : pandas.DataFrame
        ``scan_id``, ``passed``, ``reason``, ``subject``: what the run gave.
    backend : {"freesurfer", "fastsurfer"}
    """
    made = made.set_index("scan_id")
    here = scans["scan_id"].isin(made.index) & scans["found"]
    ids = scans.loc[here, "scan_id"]
    scans = scans.copy()
    scans.loc[here, "kind"] = backend
    for column, name in (("found", "passed"), ("reason", "reason"), ("subject", "subject")):
        scans[column] = scans[column].astype(object)
        scans.loc[here, column] = made.loc[ids, name].to_numpy()
    return scans


def read_exported(scans: pd.DataFrame, inputs: list[dict]) -> dict[str, dict[str, float]]:
    """Read the features of the scans whose input is exported tables.

    Parameters
    ----------
    scans : pandas.DataFrame
        Schema ``scans``.
    inputs : list of dict
        Config ``cohort: inputs``.

    Returns
    -------
    dict
        scan_id -> features by name, with ``icv``; empty cells left out.
    """
    features = {}
    for entry in inputs:
        wanted = scans[(scans["input"] == entry["name"]) & (scans["kind"] == "tables") & scans["found"]]
        if len(wanted):
            table = read_tables(entry["tables"])
            for scan in wanted.itertuples():
                features[scan.scan_id] = table.loc[scan.subject].dropna().astype(float).to_dict()
    return features


def source_state(scan: dict) -> list:
    """List sizes and times of change of the files that a scan is read from, so that a replaced file is noticed."""
    if scan["kind"] in OUTSIDE and isinstance(scan["subject"], str):
        folder = Path(scan["subject"])
        files = sorted(file for pattern in READ for file in folder.glob(pattern))
        return [(file.name, *(file_state(file) or ())) for file in files]
    return [file_state(scan["t1w"])] if isinstance(scan["t1w"], str) else []
