"""Filter the genotypes of people with the role gwas; from genotypes and cohort tables to a .pgen fileset and counts."""

import tempfile
from pathlib import Path

from workflow_scripts.lib.genetics import gwas, qc
from workflow_scripts.lib.genetics.tools import Limits
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``genotype_qc``."""
    scans = tables.read_table(snakemake.input.scans, "scans").drop_duplicates("participant_id")
    roles = tables.read_table(snakemake.input.roles, "roles")
    chosen = roles.loc[roles["role"] == "gwas", "participant_id"]
    people = scans.loc[scans["participant_id"].isin(chosen), ["participant_id", "sex"]]
    settings = dict(snakemake.params.qc) | {"build": snakemake.params.build}
    prefix = Path(snakemake.input.genotypes[0]).with_suffix("")
    out = Path(snakemake.output.genotypes[0]).with_suffix("")
    limits = Limits(snakemake.threads, snakemake.resources.mem_mb)
    with tempfile.TemporaryDirectory() as folder:
        steps, removed = qc.quality_control(prefix, people, settings, out, Path(folder), limits)
    Path(f"{out}.log").unlink()  # the rule's log has it
    tables.write_table(steps, snakemake.output.steps, "genotype_qc_steps")
    gwas.write_gzip(removed, snakemake.output.removed)


if __name__ == "__main__":
    log.run(main, snakemake)
