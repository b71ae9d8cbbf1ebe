"""Fit REGENIE's whole-genome regression (step 1); from pruned genotypes to predictions of every trait."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import regenie
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``fit_regenie``."""
    given = snakemake.input
    phenotypes, covariates = (
        tables.read_table(given[name], name).set_index("participant_id") for name in ("phenotypes", "covariates")
    )
    prefix = Path(given.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    predictions = Path(snakemake.output.predictions)
    with tempfile.TemporaryDirectory(dir=predictions.parent) as work:
        folder = Path(work)
        linked = regenie.write_inputs(prefix, phenotypes, covariates, folder)
        entered = regenie.fit(linked, list(phenotypes), list(covariates), folder, predictions, limits)
    tables.write_table(entered, snakemake.output.entered, "entered")


if __name__ == "__main__":
    log.run(main, snakemake)
