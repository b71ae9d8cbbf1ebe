"""Thin the genotypes of all parts to independent common variants; from filtered parts to one .bed fileset."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import pcs
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log


def main(snakemake):
    """Entry point of rule ``thin_genotypes``."""
    given, params = snakemake.input, snakemake.params
    parts = {part: Path(file).with_suffix("") for part, file in zip(params.parts, given.genotypes, strict=True)}
    out = Path(snakemake.output.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        pcs.thin_genotypes(parts, Path(given.people), params.pcs, params.build, out, Path(folder), limits)


if __name__ == "__main__":
    log.run(main, snakemake)
