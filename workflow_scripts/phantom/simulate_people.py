"""Draw the people of the phantom study, before their genes and images."""

from workflow_scripts.lib.phantom.people import draw_people
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``simulate_people``."""
    people = draw_people(snakemake.params.phantom, snakemake.params.seed)
    tables.write_table(people, snakemake.output.people)


if __name__ == "__main__":
    log.run(main, snakemake)
