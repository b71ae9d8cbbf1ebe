"""From the user's participants table to the scans, roles and splits that every later stage reads."""

import os
import re
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.study.config import SUFFIXES
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table, load_schema, read_table

ROLES = ("pretrain", "normative", "evaluate", "gwas")


def read_participants(path: str | os.PathLike, label_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a participants table, fill in the columns it may leave out and check every value.

    Parameters
    ----------
    path : path
        TSV, one row a scan (schema ``participants``).
    label_columns : tuple of str
        Further columns that the config declares.

    Returns
    -------
    pandas.DataFrame
        With every column of the schema, ``scan_id`` included; ``t1w`` relative to the working directory.
    """
    return complete(read_table(path, "participants", label_columns), Path(path).parent)


def complete(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Fill in the columns that a participants table may leave out.

    Parameters
    ----------
    table : pandas.DataFrame
        Schema ``participants``; changed in place.
    folder : pathlib.Path
        What ``t1w`` is relative to.
    """
    for column, rule in load_schema("participants")["properties"].items():
        if column not in table:
            table[column] = rule.get("default")
        elif "default" in rule and rule["default"] is not None:
            table[column] = table[column].fillna(rule["default"])
    table.insert(0, "scan_id", table["participant_id"] + "_" + table["session_id"])
    table["t1w"] = [name if os.path.isabs(name) else os.path.normpath(folder / name) for name in table["t1w"]]
    return table


def list_folder(folder: str | os.PathLike, pattern: str) -> pd.DataFrame:
    """Make a participants table of the volumes in a folder; the file's name becomes the participant id.

    Raises
    ------
    StudyError
        If no file fits the pattern.
    """
    files = sorted(Path(folder).glob(pattern))
    files = [file for file in files if file.name.endswith(SUFFIXES)]
    if not files:
        raise StudyError(
            f"cohort: no file '{pattern}' with an ending of {', '.join(SUFFIXES)} in {folder}. "
            "Correct cohort: folder or cohort: pattern."
        )
    names = [file.name for file in files]
    for suffix in SUFFIXES:
        names = [name.removesuffix(suffix) for name in names]
    return pd.DataFrame(
        {
            "participant_id": [re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") for name in names],
            "session_id": "1",
            "cohort": "folder",
            "site": "folder",
            "t1w": [str(file.resolve()) for file in files],
        }
    )


def missing_files(table: pd.DataFrame) -> list[str]:
    """List the T1w files that are not there."""
    return [path for path in table["t1w"] if not os.path.exists(path)]


def assign_roles(table: pd.DataFrame, roles: dict[str, list[str]]) -> pd.DataFrame:
    """Give participants their roles by cohort.

    Parameters
    ----------
    table : pandas.DataFrame
        The participants.
    roles : dict of str to list of str
        Config section ``cohort: roles``: role -> cohorts.

    Returns
    -------
    pandas.DataFrame
        ``participant_id``, ``role``; a participant may have several.

    Raises
    ------
    StudyError
        For a role or a cohort that does not exist.
    LeakageError
        If pretraining and evaluation share a participant.
    """
    known = set(table["cohort"])
    parts = []
    for role, cohorts in roles.items():
        strange = sorted(set(cohorts) - known)
        if role not in ROLES or strange:
            what = f"cohort '{strange[0]}' is not in the participants table" if strange else f"role '{role}' is unknown"
            raise StudyError(
                f"cohort: roles: {role}: {what}. Roles: {', '.join(ROLES)}; "
                f"cohorts in the table: {', '.join(sorted(known))}."
            )
        people = table.loc[table["cohort"].isin(cohorts), "participant_id"].drop_duplicates()
        parts.append(pd.DataFrame({"participant_id": people, "role": role}))
    result = (
        pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["participant_id", "role"], dtype=str)
    )
    by_role = {role: result.loc[result["role"] == role, "participant_id"] for role in ROLES}
    refuse_overlap(by_role["pretrain"], by_role["evaluate"], "pretraining", "evaluation")
    return result


def assign_split(table: pd.DataFrame, roles: pd.DataFrame) -> pd.Series:
    """Say for each scan whether its participant belongs to training or to testing.

    A ``split`` column of the table stands; elsewhere participants with the role ``pretrain`` are training and
    all others testing. Pretraining, ComBat and the normative model learn from training participants only.

    Raises
    ------
    LeakageError
        If a participant's scans stand on both sides, or an evaluated participant is in training.
    """
    pretrain = set(roles.loc[roles["role"] == "pretrain", "participant_id"])
    drawn = table["participant_id"].isin(pretrain).map({True: "train", False: "test"})
    split = table["split"].where(table["split"].notna(), drawn)
    train, test = (table.loc[split == side, "participant_id"] for side in ("train", "test"))
    refuse_overlap(train, test, "split train", "split test")
    refuse_overlap(train, roles.loc[roles["role"] == "evaluate", "participant_id"], "split train", "evaluation")
    return split


def make_scans(
    table: pd.DataFrame, roles: dict[str, list[str]], scans_per_job: int, label_columns: tuple[str, ...] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of scans and of roles.

    Parameters
    ----------
    table : pandas.DataFrame
        From :func:`read_participants`.
    roles : dict of str to list of str
    scans_per_job : int
        Scans are numbered into batches in the table's order, so that a row added at the end moves no other.

    Returns
    -------
    scans, roles : pandas.DataFrame
        Schemas ``scans`` and ``roles``.
    """
    people = assign_roles(table, roles)
    scans = table.assign(split=assign_split(table, people))
    scans["batch"] = [f"{row // scans_per_job:03d}" for row in range(len(scans))]
    order = [*load_schema("scans")["properties"], *label_columns]
    scans = scans[[column for column in order if column in scans]]
    check_table(scans, "scans", "scans", label_columns)
    check_table(people, "roles", "roles")
    return scans, people
