"""Draw how often each test rejects a true null hypothesis, and planted differences."""

from workflow_scripts.lib.figures import calibration, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``calibration``."""
    table = tables.read_table(snakemake.input.calibration, "calibration")
    style.apply()
    style.save(calibration.draw(table), table, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
