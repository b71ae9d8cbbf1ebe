"""From the user's participants table to the scans, roles and splits that every later stage reads."""

import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_overlap
from workflow_scripts.lib.cohort.inputs.data import missing_file
from workflow_scripts.lib.cohort.inputs.subjects import subject_fault
from workflow_scripts.lib.study.errors import StudyError
from workflow_scripts.lib.study.tables import check_table, load_schema, read_table

ROLES = ("pretrain", "normative", "evaluate", "gwas")
SOURCES = ("t1w", "freesurfer", "fastsurfer")  # columns of which a row names one


def read_participants(path: str | os.PathLike, label_columns: tuple[str, ...] = (), made: bool = False) -> pd.DataFrame:
    """Read a participants table, fill in the columns it may leave out and check every value.

    Parameters
    ----------
    path : path
        TSV, one row a scan (schema ``participants``); each names a T1w volume or a subject folder of FreeSurfer or
        FastSurfer.
    label_columns : tuple of str
        Further columns that the config declares.
    made : bool
        Whether the study makes the volumes itself, later.

    Returns
    -------
    pandas.DataFrame
        Columns of schema ``scans`` but ``input`` and ``batch``; paths relative to the working directory.

    Raises
    ------
    StudyError
        With file, line, column and value.
    """
    table = read_table(path, "participants", label_columns)
    absent = [column for column in SOURCES if column not in table]
    table[absent] = None
    given = table[list(SOURCES)].notna()
    wrong = given.sum(axis=1).to_numpy() != 1
    if wrong.any():
        row = int(wrong.argmax())
        named = " and ".join(column for column in SOURCES if given[column].iloc[row]) or "nothing"
        raise StudyError(
            f"{path}, line {row + 2}: found {named}, expected one of t1w, freesurfer and fastsurfer. "
            "Name what the scan is to be read from, and only that."
        )
    table["kind"] = given.idxmax(axis=1)
    folder = Path(path).parent
    for column in SOURCES:
        names = table[column].astype(object)
        table[column] = [os.path.normpath(folder / name) if isinstance(name, str) else None for name in names]
    table["subject"] = table["freesurfer"].fillna(table["fastsurfer"])
    volumes = table["kind"] == "t1w"
    faults = [
        None if made else missing_file(scan.t1w) if scan.kind == "t1w" else subject_fault(scan.subject)
        for scan in table.itertuples()
    ]
    table["reason"] = pd.Series(faults, index=table.index, dtype=object)
    table["found"] = table["reason"].isna()
    table["t1w"] = table["t1w"].where(volumes, None)
    return fill_defaults(table.drop(columns=["freesurfer", "fastsurfer"]), "scans")


def fill_defaults(table: pd.DataFrame, schema: str) -> pd.DataFrame:
    """Fill in the columns and cells that people may leave out, and ``scan_id``.

    Parameters
    ----------
    table : pandas.DataFrame
        With ``participant_id`` and ``session_id``; changed in place.
    schema : str
        Whose defaults are taken.
    """
    for column, rule in load_schema(schema)["properties"].items():
        if "default" in rule:
            if column not in table:
                table[column] = rule["default"]
            elif rule["default"] is not None:
                table[column] = table[column].fillna(rule["default"])
    table.insert(0, "scan_id", table["participant_id"] + "_" + table["session_id"])
    return table


def assign_roles(table: pd.DataFrame, roles: dict[str, list[str]], others: Iterable[str] = ()) -> pd.DataFrame:
    """Give participants their roles by cohort.

    Parameters
    ----------
    table : pandas.DataFrame
        The participants.
    roles : dict of str to list of str
        Config section ``cohort: roles``: role -> cohorts.
    others : iterable of str
        Cohorts whose people are not in the table yet.

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
    known = set(table["cohort"]) | set(others)
    parts = []
    for role, cohorts in roles.items():
        strange = sorted(set(cohorts) - known)
        if role not in ROLES or strange:
            what = f"no scan is of cohort '{strange[0]}'" if strange else f"role '{role}' is unknown"
            raise StudyError(
                f"cohort: roles: {role}: {what}. Roles: {', '.join(ROLES)}; "
                f"cohorts of the scans: {', '.join(sorted(known))}. Correct cohort: roles or the inputs."
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
    table: pd.DataFrame, roles: dict[str, list[str]], label_columns: tuple[str, ...] = (), others: Iterable[str] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the tables of scans and of roles.

    Parameters
    ----------
    table : pandas.DataFrame
        Scans of all inputs with their ``batch``; ``split`` where the user forces it.
    roles : dict of str to list of str
    label_columns : tuple of str
    others : iterable of str
        Cohorts whose people are not in the table yet.

    Returns
    -------
    scans, roles : pandas.DataFrame
        Schemas ``scans`` and ``roles``.
    """
    people = assign_roles(table, roles, others)
    scans = table.assign(split=assign_split(table, people))
    scans = order_columns(scans, label_columns)
    check_table(scans, "scans", "scans", label_columns)
    check_table(people, "roles", "roles")
    return scans, people


def order_columns(scans: pd.DataFrame, label_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Bring the columns of the scans table into the schema's order, and leave out others."""
    order = [*load_schema("scans")["properties"], *label_columns]
    return scans[[column for column in order if column in scans]]
