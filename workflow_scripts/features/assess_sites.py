"""Say how well sites can be told from features before and after harmonisation."""

from workflow_scripts.lib.features.sites import assess_sites
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``assess_sites``."""
    params, given = snakemake.params, snakemake.input
    scans = tables.read_table(given.scans, "scans").set_index("scan_id")
    read = {name: tables.read_table(given[name], "features") for name in ("measured", "harmonised")}
    people = scans.loc[read["measured"]["scan_id"]].reset_index(drop=True)
    features = {name: table.drop(columns=["scan_id", "participant_id", "icv"]) for name, table in read.items()}
    found = assess_sites(features, people, params.covariates, params.level, params.seed)
    tables.write_table(found, snakemake.output.sites, "site_accuracy")


if __name__ == "__main__":
    log.run(main, snakemake)
