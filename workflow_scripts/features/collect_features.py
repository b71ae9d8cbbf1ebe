"""Collect the regional features of the usable scans, and say which belong to which patch."""

from pathlib import Path

import pandas as pd

from workflow_scripts.lib.imaging.regions import assign_features
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``collect_features``."""
    included = tables.read_table(snakemake.input.included, "included")["scan_id"]
    parts = [tables.read_table(Path(folder) / "features.tsv", "features") for folder in snakemake.input.brains]
    table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    table = table[table["scan_id"].isin(set(included))]
    tables.write_table(table, snakemake.output.features, "features")
    names = [name for name in table if name not in ("scan_id", "participant_id", "icv")]
    tables.write_table(assign_features(names), snakemake.output.assignment, "assignment")


if __name__ == "__main__":
    log.run(main, snakemake)
