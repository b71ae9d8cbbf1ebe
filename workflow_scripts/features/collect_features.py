"""Collect the configured features of the usable scans, what measured them, and which patch each belongs to."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.regions import assign_features
from workflow_scripts.lib.imaging.stats.lists import feature_list, unit_of
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``collect_features``."""
    given, made = snakemake.input, snakemake.output
    included = tables.read_table(given.included, "included")["scan_id"]
    parts = [tables.read_table(Path(folder) / "features.tsv", "features") for folder in given.brains]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table = table[table["scan_id"].isin(set(included))]
    names = feature_list(snakemake.params.features["list"])
    tables.write_table(table[["scan_id", "participant_id", "icv", *names]], made.features, "features")
    assignment = assign_features(names)
    assignment.insert(1, "unit", assignment["feature"].map(unit_of))
    tables.write_table(assignment, made.assignment, "assignment")
    qc = tables.read_table(given.qc, "qc_scans")
    provenance = qc.loc[qc["scan_id"].isin(set(included)), ["scan_id", "tool", "tool_version"]]
    tables.write_table(provenance, made.provenance, "provenance")


if __name__ == "__main__":
    log.run(main, snakemake)
