"""Segment the T1w volumes of a batch with FastSurfer: the part that wants a GPU."""

from pathlib import Path

from workflow_scripts.lib.imaging.backends.reconstruct import people_of_batch, reconstruct
from workflow_scripts.lib.imaging.backends.tools import Tool, ending_with_us
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``segment_scans``."""
    settings = snakemake.params.preprocess
    tool, longitudinal = Tool.from_config(settings), settings["longitudinal"]
    scans = tables.read_table(snakemake.input.scans, "scans")
    people = people_of_batch(scans, snakemake.wildcards.batch)
    with ending_with_us():
        table = reconstruct(
            people, Path(snakemake.params.subjects), tool, longitudinal, "segment", {}, settings["tool"]["at_once"]
        )
    tables.write_table(table, snakemake.output.table, "reconstructed")


if __name__ == "__main__":
    log.run(main, snakemake)
