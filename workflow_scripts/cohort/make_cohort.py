"""Check the participants table and give every scan its batch, roles, split and task labels."""

import logging
from pathlib import Path

from workflow_scripts.lib.cohort.participants import complete, list_folder, make_scans, missing_files, read_participants
from workflow_scripts.lib.cohort.tasks import build_tasks, count_tasks, keep_used
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def main(snakemake):
    """Entry point of rule ``make_cohort``."""
    cohort, labels = snakemake.params.cohort, tuple(snakemake.params.cohort["label_columns"])
    source = cohort["folder"] or cohort["participants"]
    if cohort["folder"]:
        participants = complete(list_folder(source, cohort["pattern"]), Path(source))
    else:
        participants = read_participants(source, labels)
    missing = missing_files(participants)
    if missing:
        logging.warning("%d files are missing, the first is %s; they will be set aside", len(missing), missing[0])
    if len(missing) == len(participants):
        raise StudyError(f"{source}: not one of the {len(missing)} files in column t1w is there, e.g. {missing[0]}")
    scans, roles = make_scans(participants, cohort["roles"], cohort["scans_per_job"], labels)
    evaluate = set(roles.loc[roles["role"] == "evaluate", "participant_id"])
    tasks = build_tasks(scans, snakemake.params.tasks, evaluate)
    counts = count_tasks(tasks, snakemake.params.tasks, snakemake.params.min_participants)
    logging.info("%d scans of %d people\n%s", len(scans), scans["participant_id"].nunique(), counts.to_string())
    tables.write_table(scans, snakemake.output.scans, "scans", labels)
    tables.write_table(roles, snakemake.output.roles, "roles")
    tables.write_table(keep_used(tasks, counts), snakemake.output.tasks, "tasks")
    tables.write_table(counts, snakemake.output.task_counts, "task_counts")


if __name__ == "__main__":
    log.run(main, snakemake)
