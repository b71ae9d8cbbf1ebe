"""Pick common variants of a part, which kinship is estimated from; from imported genotypes to a .bed fileset."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import genotypes
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``pick_common``."""
    prefix = Path(snakemake.input.genotypes[0]).with_suffix("")
    out = Path(snakemake.output.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        genotypes.pick_common(
            prefix, snakemake.params.kinship_variants, snakemake.params.build, out, Path(folder), limits
        )


if __name__ == "__main__":
    log.run(main, snakemake)
