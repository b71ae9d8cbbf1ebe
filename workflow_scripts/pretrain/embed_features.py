"""Harmonised regional features in; the same as a representation of the included scans out."""

from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``embed_features``."""
    features = tables.read_table(snakemake.input.features, "features")
    included = tables.read_table(snakemake.input.included, "included")
    scans = included[["scan_id"]].sort_values("scan_id")
    # the volume of the head belongs to no region; it is a column of the table only so that others can adjust for it
    table = scans.merge(features.drop(columns="icv"), on="scan_id", validate="one_to_one")
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
