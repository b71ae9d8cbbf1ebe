"""Estimate heritabilities and genetic correlations; from relatedness, traits and covariates to two tables."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import greml, greml_programs, grm
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``run_greml``."""
    given, settings = snakemake.input, snakemake.params.greml
    phenotypes = tables.read_table(given.phenotypes, "phenotypes").set_index("participant_id")
    covariates = tables.read_table(given.covariates, "covariates").set_index("participant_id")
    files = [Path(path.removesuffix(".grm.bin")) for path in given.matrices]
    relatedness = grm.read(files, set(phenotypes.index))
    relatedness, *data = greml.choose_people(relatedness, phenotypes, covariates, settings["max_relatedness"])
    limits, level = Limits(snakemake.threads, snakemake.resources.mem_mb), snakemake.params.level
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if settings["tool"] == "gcta":
            found = greml_programs.run_gcta(relatedness, *data, folder, limits, level)
        elif settings["tool"] == "bolt":
            prefixes = [Path(path).with_suffix("") for path in given.genotypes]
            people = relatedness.samples
            del relatedness  # BOLT takes genotypes
            filesets = greml_programs.make_filesets(prefixes, people, settings["extract"], folder, limits)
            found = greml_programs.run_bolt(filesets, people, tuple(data), limits, level)
        else:
            found = greml.estimate(relatedness, *data, level)
    tables.write_table(found[0], snakemake.output.heritability, "greml_heritability")
    tables.write_table(found[1], snakemake.output.correlation, "greml_correlation")


if __name__ == "__main__":
    log.run(main, snakemake)
