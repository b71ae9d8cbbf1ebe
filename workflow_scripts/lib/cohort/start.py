"""The check of a user's participants table before any job."""

from workflow_scripts.lib.cohort.participants import make_scans, missing_files, read_participants
from workflow_scripts.lib.study.errors import StudyError


def check_start(cohort: dict) -> None:
    """Refuse a participants table that the study would stumble over.

    Parameters
    ----------
    cohort : dict
        Config section ``cohort``; its table exists.

    Raises
    ------
    StudyError
        Duplicate scans, impossible values, unknown columns, participants on both sides of a split, or missing files.
    """
    labels = tuple(cohort["label_columns"])
    table = read_participants(cohort["participants"], labels)
    make_scans(table, cohort["roles"], cohort["scans_per_job"], labels)
    missing = missing_files(table)
    if missing:
        raise StudyError(
            f"{cohort['participants']}: {len(missing)} of {len(table)} files in column t1w do not exist, "
            f"e.g. {missing[0]}. "
            "Paths are absolute or relative to the table's folder; correct them or drop the rows."
        )
