"""Make the page of quality control: every scan with picture, numbers, limits and decision, to leaf through offline."""

from pathlib import Path

from workflow_scripts.lib.imaging.qc.page import write_page
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``make_qc_page``."""
    table = tables.read_table(snakemake.input.scans, "qc_scans")
    pictures = {path.stem: path for folder in snakemake.input.volumes for path in Path(folder).glob("*.jpg")}
    write_page(table, pictures, snakemake.output.page, "Quality control", snakemake.params.checks)


if __name__ == "__main__":
    log.run(main, snakemake)
