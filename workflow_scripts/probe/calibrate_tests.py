"""Simulate one chunk of studies of one design and count what each test rejects."""

import logging

import pandas as pd

from workflow_scripts.lib.evaluate.calibration import Draws, count_rejections
from workflow_scripts.lib.evaluate.calibration_designs import Design, Planted
from workflow_scripts.lib.study import log, tables

logger = logging.getLogger(__name__)


def main(snakemake):
    """Entry point of rule ``calibrate_tests``."""
    settings, chunk = snakemake.params.calibration, int(snakemake.wildcards.chunk)
    design = Design.named(snakemake.wildcards.cell, settings["designs"])
    planted = Planted(**{key: settings[key] for key in ("auc", "columns", "shared", "c")})
    draws = Draws(settings["n_permutations"], settings["n_swaps"], settings["n_bootstrap"])
    first = chunk * settings["simulations_per_job"]
    parts = []
    for effect in [0.0, *map(float, settings["effects"])]:
        wanted = settings["power_simulations"] if effect else settings["simulations"]
        numbers = range(first, min(first + settings["simulations_per_job"], wanted))
        parts.append(count_rejections(design, planted, effect, draws, snakemake.params.seed, numbers))
        logger.info("%s, effect %g: %d studies", design.name, effect, len(numbers))
    counts = pd.concat([part for part in parts if len(part)], ignore_index=True)
    tables.write_table(counts, snakemake.output.counts, "calibration_counts")


if __name__ == "__main__":
    log.run(main, snakemake)
