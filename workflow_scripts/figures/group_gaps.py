"""Draw the gaps by diagnosis."""

from workflow_scripts.lib.figures import group_gaps, style
from workflow_scripts.lib.study import log, tables


def main(snakemake):
    """Entry point of rule ``group_gaps``."""
    people = tables.read_table(snakemake.input.people, "group_people")
    tests = tables.read_table(snakemake.input.tests, "group_gaps")
    style.apply()
    figure = group_gaps.draw(people, tests)
    shown = ["difference", "lower", "upper", "hedges_g", "q", "significant"]
    both = people.merge(tests[["representation", "diagnosis", *shown]], on=["representation", "diagnosis"], how="left")
    style.save(figure, both, snakemake.output.png.removesuffix(".png"))


if __name__ == "__main__":
    log.run(main, snakemake)
