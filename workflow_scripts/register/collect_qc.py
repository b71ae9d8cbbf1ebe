"""Decide which scans go on: tables of all, of the excluded (with a page for the report) and of the included."""

import logging

import pandas as pd

from workflow_scripts.lib.imaging.quality import judge, refuse_too_many
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def main(snakemake):
    """Entry point of rule ``collect_qc``."""
    scans = tables.read_table(snakemake.input.scans, "scans")
    preprocessed, registered = (
        pd.concat([tables.read_table(path, "stage_scans") for path in paths], ignore_index=True)
        for paths in (snakemake.input.preprocessed, snakemake.input.registered)
    )
    table = judge(preprocessed, registered, snakemake.params.qc)
    people = scans.set_index("scan_id")["participant_id"]
    table.insert(1, "participant_id", table["scan_id"].map(people))
    excluded = table.loc[~table["included"], ["scan_id", "stage", "reason"]]
    tables.write_table(table, snakemake.output.scans, "qc_scans")
    tables.write_table(excluded, snakemake.output.excluded, "excluded")
    tables.write_table(
        table.loc[table["included"], ["scan_id", "participant_id"]], snakemake.output.included, "included"
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(excluded.to_html(index=False, border=0, justify="left"))
    for row in excluded.itertuples():
        logging.warning("%s set aside by %s: %s", row.scan_id, row.stage, row.reason)
    refuse_too_many(table, snakemake.params.qc["max_excluded_fraction"])


if __name__ == "__main__":
    log.run(main, snakemake)
