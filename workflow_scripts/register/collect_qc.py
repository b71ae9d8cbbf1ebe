"""Decide which scans go on: tables of all, of the excluded (with a page for the report), of the included, of tools."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.cohort.guard import refuse_duplicates
from workflow_scripts.lib.imaging.qc import decide, duplicates
from workflow_scripts.lib.imaging.qc.overrides import read_overrides
from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.files import atomic


def read_all(paths, schema):
    """Read the batches' tables of one schema as one; batches without a scan add no columns."""
    parts = [tables.read_table(path, schema) for path in paths]
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def find_twins(table, features, folders):
    """Find the scans that go on and are one image, or have one row of features, under two ids."""
    included = table[table["included"]].set_index("scan_id")
    brains = {path.name.removesuffix(".nii.gz"): path for folder in folders for path in Path(folder).glob("*.nii.gz")}
    rows = features[features["scan_id"].isin(included.index)].set_index("scan_id").drop(columns="participant_id")
    return duplicates.find_duplicates(included, rows, brains)


def main(snakemake):
    """Entry point of rule ``collect_qc``."""
    given, made, settings = snakemake.input, snakemake.output, snakemake.params.qc
    scans = tables.read_table(given.scans, "scans")
    stages = tuple(read_all(paths, "stage_scans") for paths in (given.preprocessed, given.registered))
    features = read_all([Path(folder) / "features.tsv" for folder in given.brains], "features")
    chosen = settings["overrides"] and read_overrides(settings["overrides"], scans["scan_id"].tolist())
    table = decide.judge(scans, stages, features, feature_list(snakemake.params.features["list"]), settings, chosen)
    twins = find_twins(table, features, given.brains)
    table, twins = duplicates.set_aside_repeats(table, twins)
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
    decide.warn(table, tools)
    decide.refuse_too_many(table, settings["max_excluded_fraction"])
    refuse_duplicates(twins.itertuples(index=False, name=None), table.set_index("scan_id")["participant_id"])


if __name__ == "__main__":
    log.run(main, snakemake)
