"""Write the page of all comparisons: every pair with both kinds of p, and what each test is conditional on."""

from workflow_scripts.lib.evaluate import catalogue
from workflow_scripts.lib.figures.comparison_page import Found, write_page
from workflow_scripts.lib.study import log, tables

SOURCES = {
    "comparisons": "every pair, all tests",
    "summary": "every representation, with intervals",
    "sensitivity": "p by the number of resamples, all pairs",
    "coverage": "scans of each representation",
    "heldout": "mean held-out scores by scan, from which every test over participants can be made again",
}


def main(snakemake):
    """Entry point of rule ``report_comparisons``."""
    given = snakemake.input
    found = Found(
        comparisons=tables.read_table(given.comparisons, "comparisons"),
        coverage=tables.read_table(given.coverage, "probe_coverage"),
        sensitivity=tables.read_table(given.sensitivity, "probe_sensitivity"),
        tests=catalogue.table(),
        titles={task: rule.get("title", task) for task, rule in snakemake.params.tasks.items()},
        options=snakemake.params.probe,
    )
    pictures = {
        "Differences from the reference, with intervals of the population and both kinds of p": given.forest,
        "p by the number of resamples": given.by_resamples,
    }
    write_page(found, pictures, {words: given[name] for name, words in SOURCES.items()}, snakemake.output.page)


if __name__ == "__main__":
    log.run(main, snakemake)
