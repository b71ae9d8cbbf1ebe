"""Remove people with missing calls over all parts and join all counts; from filtered parts to who is left."""

from pathlib import Path

from workflow_scripts.lib.genetics import qc, tools
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``genotype_qc``."""
    given, output = snakemake.input, snakemake.output
    left, record = qc.join_control(
        tools.read_ids(given.people),
        tables.read_table(given.people_steps, "genotype_qc_steps"),
        [tables.read_table(path, "genotype_qc_steps") for path in given.steps],
        [tables.read_table(path, "genotype_missing") for path in given.missing],
        snakemake.params.max_person_missing,
    )
    tools.write_ids(left, output.people)
    tables.write_table(record.steps, output.steps, "genotype_qc_steps")
    sources = [Path(path) for path in (given.people_removed, *given.removed)]
    qc.join_removed(sources, record.removed, output.removed)


if __name__ == "__main__":
    log.run(main, snakemake)
