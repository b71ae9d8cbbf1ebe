"""Which columns of a table of the user's are traits. Used while the Snakefile is parsed: only the standard library."""

import re
from collections.abc import Collection
from pathlib import Path

from workflow_scripts.lib.study.errors import StudyError

RESERVED = ("participant_id", "sex", "age", "icv")
TABLES = ("points", "correlation")  # of rules that write a file a trait beside them


def trait_columns(columns: Collection[str], named: list[str] | None, other: Collection[str], source: str) -> list[str]:
    """Say which columns of the user's table are traits: those named, or all that are neither known nor covariates.

    Parameters
    ----------
    columns : collection of str
        Of the table.
    named : list of str or None
        Config key ``genetics: traits``.
    other : collection of str
        Covariates of the config.
    source : str
        The table's name, for messages.

    Raises
    ------
    StudyError
        If a named one is not there, none is left, or a name cannot be a file's.
    """
    left = [name for name in columns if name not in RESERVED and name not in other]
    wanted = left if named is None else list(named)
    absent = [name for name in wanted if name not in columns]
    if absent or not wanted:
        what = f"no column '{absent[0]}'" if absent else "no column that could be a trait"
        raise StudyError(
            f"{source}: {what}; columns that are neither participant_id, sex, age, icv nor covariates: "
            f"{', '.join(left) or 'none'}. Correct genetics: traits or the table."
        )
    for name in wanted:
        if name in (*RESERVED, *TABLES) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise StudyError(
                f"{source}: trait '{name}' cannot be used as a name: letters, digits, '_', '.' and '-' only, and not "
                f"{', '.join((*RESERVED, *TABLES))}. Rename the column."
            )
    return wanted


def read_traits(path: str | Path, named: list[str] | None, other: Collection[str]) -> list[str]:
    """Read the header of the user's table and say which of its columns are traits (see :func:`trait_columns`).

    Raises
    ------
    StudyError
        If the table is not there yet and ``named`` is None.
    """
    path = Path(path)
    if not path.exists():
        if named:
            return list(named)
        raise StudyError(
            f"{path}: no such file (genetics: phenotypes). Correct the path; of a table that the study makes itself, "
            "list the columns under genetics: traits."
        )
    with path.open(encoding="utf-8-sig") as stream:
        return trait_columns(stream.readline().rstrip("\r\n").split("\t"), named, other, str(path))
