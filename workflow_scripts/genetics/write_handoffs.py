"""Write files for other programs; from results, munged statistics, traits and covariates to a folder a program."""

from pathlib import Path

from workflow_scripts.lib.genetics import tools
from workflow_scripts.lib.genetics.handoff import models, write
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``write_handoffs``."""
    given, params, out = snakemake.input, snakemake.params, snakemake.output
    people = models.gather(
        tables.read_table(given.phenotypes, "phenotypes"),
        tables.read_table(given.covariates, "covariates"),
        tools.read_ids(given.people),
        "the genotypes that passed quality control",
    )
    results = dict(zip(params.traits, given.results, strict=True))
    munged = dict(zip(params.traits, given.munged, strict=True))
    about = dict(params.handoff) | {
        "build": params.build,
        "software": {"plink2": "PLINK 2", "regenie": "REGENIE"}[params.tool],
        "covariates": list(people.covariates),
        "min_maf": params.min_maf,
    }
    listed, verdicts = write.write_all(
        params.traits,
        lambda trait: (tables.read_table(results[trait], "gwas"), Path(munged[trait])),
        people,
        Path(out.readme).parent,
        params.handoff["targets"],
        params.loci,
        about,
    )
    tables.write_table(listed, out.files, "handoff_files")
    tables.write_table(verdicts, out.validation, "handoff_validation")


if __name__ == "__main__":
    log.run(main, snakemake)
