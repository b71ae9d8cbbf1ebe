"""Decide which scans go on: tables of all, of the excluded (with a page for the report), of the included, of tools."""

import logging
from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.qc import decide
from workflow_scripts.lib.imaging.qc.overrides import read_overrides
from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def read_all(paths, schema):
    """Read the batches' tables of one schema as one; batches without a scan add no columns."""
    parts = [tables.read_table(path, schema) for path in paths]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def warn(table, tools):
    """Say in the log what a person should know."""
    for row in table[~table["included"]].itertuples():
        logging.warning("%s set aside by %s: %s", row.scan_id, row.stage, row.reason)
    flags = table.loc[table["included"], "flags"].dropna().str.split(";").explode()
    for name, count in flags.value_counts().items():
        logging.warning("%d scans go on with flag %s", count, name)
    for cohort, part in tools.groupby("cohort"):
        if len(part) > 1:
            made = ", ".join(f"{row.scans} scans by {row.tool} {row.version}" for row in part.itertuples())
            logging.warning(
                "cohort %s mixes tools or versions (%s), which do not measure alike. "
                "Process all its scans with one, or give each its own cohort and site.",
                cohort,
                made,
            )


def main(snakemake):
    """Entry point of rule ``collect_qc``."""
    given, made, settings = snakemake.input, snakemake.output, snakemake.params.qc
    scans = tables.read_table(given.scans, "scans")
    stages = tuple(read_all(paths, "stage_scans") for paths in (given.preprocessed, given.registered))
    features = read_all([Path(folder) / "features.tsv" for folder in given.brains], "features")
    chosen = settings["overrides"] and read_overrides(settings["overrides"], scans["scan_id"].tolist())
    table = decide.judge(scans, stages, features, feature_list(snakemake.params.features["list"]), settings, chosen)
    excluded = table.loc[~table["included"], ["scan_id", "stage", "reason"]]
    tools = decide.count_tools(table)
    tables.write_table(table, made.scans, "qc_scans")
    tables.write_table(excluded, made.excluded, "excluded")
    included = table.loc[table["included"], ["scan_id", "participant_id", "volume"]]
    tables.write_table(included, made.included, "included")
    tables.write_table(included[included["volume"]], made.with_volume, "included")
    tables.write_table(tools, made.tools, "qc_tools")
    with atomic(made.page) as path:
        path.write_text(excluded.to_html(index=False, border=0, justify="left"))
    warn(table, tools)
    decide.refuse_too_many(table, settings["max_excluded_fraction"])


if __name__ == "__main__":
    log.run(main, snakemake)
