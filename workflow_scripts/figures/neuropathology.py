"""Draw the gaps by grade of post-mortem findings."""

from workflow_scripts.lib.figures import neuropathology, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``neuropathology``."""
    people = tables.read_table(snakemake.input.people, "neuropathology_people")
    tests = tables.read_table(snakemake.input.tests, "neuropathology_tests")
    style.apply()
    figure = neuropathology.draw(people, tests)
    both = people.merge(tests[["representation", "pathology", "q", "significant"]], on=["representation", "pathology"])
    style.save(figure, both, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
