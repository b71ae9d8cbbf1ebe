"""Add the counts of all chunks up: the share of simulated studies that each test rejects, with its interval."""

import pandas as pd

from workflow_scripts.lib.evaluate.calibration import collect
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``collect_calibration``."""
    counts = [tables.read_table(path, "calibration_counts") for path in snakemake.input.counts]
    tables.write_table(collect(pd.concat(counts, ignore_index=True)), snakemake.output.calibration, "calibration")


if __name__ == "__main__":
    log.run(main, snakemake)
