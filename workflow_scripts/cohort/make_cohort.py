"""Take the scans of all inputs and give each its roles, split and task labels."""

import logging
import sys

import pandas as pd

from workflow_scripts.lib.cohort.inputs.batches import row_batches
from workflow_scripts.lib.cohort.participants import make_scans, read_participants
from workflow_scripts.lib.cohort.same_files import refuse_same_files
from workflow_scripts.lib.cohort.tasks import keep_used, report_tasks
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def main(snakemake):
    """Entry point of rule ``make_cohort``."""
    cohort, labels = snakemake.params.cohort, tuple(snakemake.params.cohort["label_columns"])
    parts = []
    if snakemake.input.phantom:
        made = read_participants(snakemake.input.phantom, labels, made=True)
        batches = row_batches(len(made), cohort["scans_per_job"])
        parts.append(made.assign(input=snakemake.params.phantom, batch=batches))
    if snakemake.input.index:
        parts.append(tables.read_table(snakemake.input.index, "scans", labels))
    found = pd.concat([part.astype(object) for part in parts], ignore_index=True).infer_objects()
    scans, roles = make_scans(found, cohort["roles"], labels)
    refuse_same_files(scans)
    lost = scans[~scans["found"].astype(bool)]
    for scan in lost.itertuples():
        logging.warning("%s: %s; it will be set aside", scan.scan_id, scan.reason)
    if len(lost) == len(scans):
        raise StudyError(f"not one of {len(scans)} scans can be read, e.g. {lost['reason'].iloc[0]}")
    evaluate = set(roles.loc[roles["role"] == "evaluate", "participant_id"])
    tasks, counts, said = report_tasks(scans, snakemake.params.tasks, evaluate, snakemake.params.min_participants)
    logging.info("%d scans of %d people in all\n%s", len(scans), scans["participant_id"].nunique(), said)
    # also where nobody looks into logs: the last chance to see too small a task before hours of computing
    print(said, file=sys.stderr)
    tables.write_table(scans, snakemake.output.scans, "scans", labels)
    tables.write_table(roles, snakemake.output.roles, "roles")
    tables.write_table(keep_used(tasks, counts), snakemake.output.tasks, "tasks")
    tables.write_table(counts, snakemake.output.task_counts, "task_counts")


if __name__ == "__main__":
    log.run(main, snakemake)
