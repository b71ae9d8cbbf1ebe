"""Make a representation of some of the regional features of the included scans."""

from workflow_scripts.lib.imaging.stats.lists import feature_list
from workflow_scripts.lib.study import log, tables
from workflow_scripts.lib.study.errors import StudyError


def main(snakemake):
    """Entry point of rule ``select_features``."""
    name, wanted = snakemake.wildcards.subset, feature_list(snakemake.params.list)
    features = tables.read_table(snakemake.input.features, "features")
    strange = [feature for feature in wanted if feature not in features]
    if strange:
        raise StudyError(
            f"features: subsets: {name}: list: '{strange[0]}' and {len(strange) - 1} more are not among the study's "
            "features. Choose a list that lies within features: list."
        )
    included = tables.read_table(snakemake.input.included, "included")
    scans = included[["scan_id"]].sort_values("scan_id")
    table = scans.merge(features[["scan_id", "participant_id", *wanted]], on="scan_id", validate="one_to_one")
    tables.write_table(table, snakemake.output.representation, "representation")


if __name__ == "__main__":
    log.run(main, snakemake)
