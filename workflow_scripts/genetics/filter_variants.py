"""Filter the variants of a part; from imported genotypes and people to a .pgen fileset, counts, missing calls."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gwas, qc_variants
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``filter_variants``."""
    given, output = snakemake.input, snakemake.output
    prefix, out = (Path(files[0]).with_suffix("") for files in (given.genotypes, output.genotypes))
    repeated = Path(given.repeated).read_text().split()
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        record, missing = qc_variants.filter_variants(
            prefix, Path(given.people), snakemake.params.qc, repeated, out, Path(folder), limits
        )
    tables.write_table(record.steps, output.steps, "genotype_qc_steps")
    tables.write_table(missing, output.missing, "genotype_missing")
    gwas.write_gzip(record.removed, output.removed)


if __name__ == "__main__":
    log.run(main, snakemake)
