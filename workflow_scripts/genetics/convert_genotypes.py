"""Convert one file of another program's format whole, where jobs are one chromosome each; to a .pgen fileset."""

from pathlib import Path

from workflow_scripts.lib.genetics import genotypes, sources
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``convert_genotypes``."""
    settings = snakemake.params.genetics
    source = sources.source(settings, sources.ALL)
    chosen = sources.read_chromosomes(settings, sources.ALL)
    out = Path(snakemake.output.genotypes[0]).with_suffix("")
    genotypes.convert(source, chosen, out, Limits(snakemake.threads, snakemake.resources.mem_mb))


if __name__ == "__main__":
    log.run(main, snakemake)
