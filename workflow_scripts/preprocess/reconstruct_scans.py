"""Reconstruct the T1w volumes of a batch: FreeSurfer's whole run, or the surfaces of FastSurfer's segmentations."""

from pathlib import Path

from workflow_scripts.lib.imaging.backends.reconstruct import people_of_batch, reconstruct
from workflow_scripts.lib.imaging.backends.tools import Tool, ending_with_us
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``reconstruct_scans``."""
    settings = snakemake.params.preprocess
    tool, longitudinal = Tool.from_config(settings), settings["longitudinal"]
    scans = tables.read_table(snakemake.input.scans, "scans")
    people = people_of_batch(scans, snakemake.wildcards.batch)
    failed = {}
    if snakemake.input.get("segmented"):
        segmented = tables.read_table(snakemake.input.segmented, "reconstructed")
        failed = segmented[~segmented["passed"]].set_index("scan_id")["reason"].to_dict()
    with ending_with_us():
        table = reconstruct(
            people,
            Path(snakemake.params.subjects),
            tool,
            longitudinal,
            "reconstruct",
            failed,
            settings["tool"]["at_once"],
        )
    tables.write_table(table, snakemake.output.table, "reconstructed")


if __name__ == "__main__":
    log.run(main, snakemake)
