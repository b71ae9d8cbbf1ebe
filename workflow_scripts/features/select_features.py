"""Make a representation of some of the regional features of the included scans."""

from workflow_scripts.lib.imaging.stats.lists import subset_list
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``select_features``."""
    features = tables.read_table(snakemake.input.features, "features")
    wanted = subset_list(snakemake.wildcards.subset, snakemake.params.list, features.columns)
    included = tables.read_table(snakemake.input.included, "included")
    scans = included[["scan_id"]].sort_values("scan_id")
    table = scans.merge(features[["scan_id", "participant_id", *wanted]], on="scan_id", validate="one_to_one")
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
