"""Compute genetic principal components; from filtered genotypes to one row a person."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import pcs
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, seeds, tables


def main(snakemake):
    """Entry point of rule ``genetic_pcs``."""
    settings = dict(snakemake.params.pcs) | {"build": snakemake.params.build}
    prefix = Path(snakemake.input.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    seed = seeds.derive_seed(snakemake.params.seed, "genetic_pcs")
    with tempfile.TemporaryDirectory() as folder:
        components, eigenvalues = pcs.components(prefix, settings, Path(folder), limits, seed)
    tables.write_table(components, snakemake.output.components, "genetic_pcs")
    tables.write_table(eigenvalues, snakemake.output.eigenvalues)


if __name__ == "__main__":
    log.run(main, snakemake)
