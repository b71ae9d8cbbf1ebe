"""Read a part of the genotypes once; from any usual format to a .pgen fileset of the wanted people, and counts."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import genotypes, sources
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``import_genotypes``."""
    given, params, part = snakemake.input, snakemake.params, snakemake.wildcards.part
    if given.get("phenotypes"):
        people = genotypes.table_people(given.phenotypes)
    else:
        scans, roles = tables.read_table(given.scans, "scans"), tables.read_table(given.roles, "roles")
        people = genotypes.wanted_people(scans, roles)
    source = sources.source(params.genetics, part)
    chosen = sources.read_chromosomes(params.genetics, part)
    info = sources.info_table(params.genetics, part)
    out = Path(snakemake.output.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    # beside the result, since a chromosome may be larger than the machine's folder for temporary files
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        steps = genotypes.import_part(
            source, people, chosen, params.genetics["qc"], out, Path(folder), limits, table=info
        )
    tables.write_table(steps, snakemake.output.steps, "genotype_qc_steps")


if __name__ == "__main__":
    log.run(main, snakemake)
