"""Make the genetic relatedness matrix of one part; from filtered genotypes to GCTA's three files."""

from pathlib import Path

from workflow_scripts.lib.genetics import grm
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``make_grm``."""
    prefix = Path(snakemake.input.genotypes[0]).with_suffix("")
    out = Path(snakemake.output.matrix[0].removesuffix(".grm.bin"))
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    grm.make_part(prefix, Path(snakemake.input.people), out, snakemake.params.greml["extract"], limits)
    Path(f"{out}.log").unlink()  # the rule's log has it


if __name__ == "__main__":
    log.run(main, snakemake)
