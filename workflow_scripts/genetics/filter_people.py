"""Filter people by lists, ancestry, sex and kinship; from imported genotypes to who is left, counts and reasons."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gwas, qc, qc_people, tools
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def prefixes(parts, files):
    """Map parts to the prefixes of their filesets."""
    return {part: Path(file).with_suffix("") for part, file in zip(parts, files, strict=True)}


def main(snakemake):
    """Entry point of rule ``filter_people``."""
    given, params = snakemake.input, snakemake.params
    parts = prefixes(params.parts, given.genotypes)
    common = prefixes(params.parts, given.common) if given.common else {}
    x_prefix = Path(given.x[0]).with_suffix("") if given.x else None
    steps = [tables.read_table(path, "genotype_qc_steps") for path in given.steps]
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    out = Path(snakemake.output.people)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        people, record = qc_people.filter_people(
            parts, common, x_prefix, qc.sum_parts(steps), params.genetics, Path(folder), limits
        )
    tools.write_ids(people, out)
    Path(snakemake.output.repeated).write_text("".join(f"{name}\n" for name in qc_people.repeated_ids(parts)))
    tables.write_table(record.steps, snakemake.output.steps, "genotype_qc_steps")
    gwas.write_gzip(record.removed, snakemake.output.removed)


if __name__ == "__main__":
    log.run(main, snakemake)
