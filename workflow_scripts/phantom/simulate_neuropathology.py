"""Draw what is found post mortem in people of the phantom's clinical cohort."""

from workflow_scripts.lib.phantom.neuropathology import draw_findings
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``simulate_neuropathology``."""
    people = tables.read_table(snakemake.input.people)
    findings, truth = draw_findings(people, snakemake.params.neuropathology, snakemake.params.seed)
    tables.write_table(findings, snakemake.output.findings, "neuropathology")
    tables.write_table(truth, snakemake.output.truth, "planted_neuropathology")


if __name__ == "__main__":
    log.run(main, snakemake)
