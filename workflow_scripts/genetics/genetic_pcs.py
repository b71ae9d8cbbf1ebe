"""Make genetic principal components; from thinned genotypes, or a user's table, to one row a person."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import pcs, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, seeds, tables


def main(snakemake):
    """Entry point of rule ``genetic_pcs``."""
    given, settings = snakemake.input, snakemake.params.pcs
    people, limits = tools.read_ids(given.people), Limits(snakemake.threads, snakemake.resources.mem_mb)
    if not settings["count"]:
        components, eigenvalues = pcs.no_components(people)
    elif settings["table"]:
        components, eigenvalues = pcs.components_of_table(settings["table"], people, settings["count"])
    else:
        prefix = Path(given.genotypes[0]).with_suffix("")
        seed = seeds.derive_seed(snakemake.params.seed, "genetic_pcs")
        with tempfile.TemporaryDirectory() as folder:
            components, eigenvalues = pcs.components(prefix, settings["count"], Path(folder), limits, seed)
    tables.write_table(components, snakemake.output.components, "genetic_pcs")
    tables.write_table(eigenvalues, snakemake.output.eigenvalues)


if __name__ == "__main__":
    log.run(main, snakemake)
