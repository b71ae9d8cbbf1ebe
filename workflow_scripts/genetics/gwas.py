"""Associate the variants of a part of the genome with all traits; from phenotypes and genotypes to a table a trait."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gwas, regenie
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``gwas``."""
    given, params = snakemake.input, snakemake.params
    phenotypes, covariates = (
        tables.read_table(given[name], name).set_index("participant_id") for name in ("phenotypes", "covariates")
    )
    prefix = Path(given.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    traits, names = list(phenotypes), list(covariates)
    targets = dict(zip(traits, snakemake.output.results, strict=True))
    with tempfile.TemporaryDirectory(dir=Path(targets[traits[0]]).parent) as work:
        folder = Path(work)
        if params.gwas["tool"] == "regenie":
            linked = regenie.write_inputs(prefix, phenotypes, covariates, folder)
            found, entered = regenie.association(linked, traits, names, Path(given.predictions), folder, limits)
            for trait, path in found.items():
                regenie.convert(path, prefix, targets[trait])
        else:
            max_vif, residualize = params.gwas["max_vif"], params.gwas["residualize"]
            gwas.write_inputs(prefix, phenotypes, covariates, folder)
            entered = gwas.entered(prefix, traits, names, folder, limits, max_vif)
            found = gwas.association(prefix, traits, folder, limits, max_vif, residualize)
            for trait, path in found.items():
                gwas.convert(path, targets[trait])
    tables.write_table(entered, snakemake.output.entered, "entered")


if __name__ == "__main__":
    log.run(main, snakemake)
